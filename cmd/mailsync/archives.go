package main

import (
	"context"
	"errors"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/archive"
	"mailsync/restore/remote"
	"mailsync/restore/replay"
)

// archive resolves an ARCHIVE argument.
func (a *app) archive(arg string) (*config.Archive, error) {
	x, err := a.cfg.Archive(arg)
	if err != nil {
		return nil, a.nameProblem(err, arg, "archive", a.cfg.ArchiveNames())
	}
	return x, nil
}

// openArchive opens an archive as the configuration describes it, here or on
// another host. The caller closes it.
func (a *app) openArchive(ctx context.Context, x *config.Archive) (*archive.Archive, error) {
	zone, err := x.Zone()
	if err != nil {
		return nil, err
	}
	o := archive.Options{
		Name: x.Name, Zone: zone, Header: x.Header, SenderFrom: x.Sender, ReceivedBy: x.ReceivedBy,
		Own: x.Own, Pattern: x.Pattern, Variant: x.Variant,
	}
	var ar *archive.Archive
	if x.Host() == "" {
		ar, err = archive.Open(x.Path, o)
	} else {
		ar, err = a.farArchive(ctx, x, o)
	}
	if err == nil {
		return ar, nil
	}
	p := &ui.Problem{What: "archive " + x.Name, Why: err}
	var told *ui.Problem
	switch {
	case cancelled(ctx) != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &told):
		return nil, err
	case errors.Is(err, remote.ErrLost):
		p.Code, p.Hint = exitPartial, broken+a.again()
	case errors.Is(err, remote.ErrRefused):
		p.Hint = "what " + x.Host() + " serves is said there, by the flags of its mailsync serve"
	case errors.Is(err, archive.ErrNoInput):
		p.Hint = "is it mounted, and readable for this user?"
	case !config.IsPath(x.Name):
		p.Code = exitConfig
	}
	return nil, p
}

// farArchive opens an archive of another host. Its files come from there, and
// are understood here.
func (a *app) farArchive(ctx context.Context, x *config.Archive, o archive.Options) (*archive.Archive, error) {
	p, err := a.peer(ctx, x.Host())
	if err != nil {
		return nil, err
	}
	files, err := p.OpenArchive(ctx, x.Dir())
	if err != nil {
		return nil, err
	}
	return archive.New(x.Dir(), files, o)
}

// archiveSource opens an archive that a saved plan names.
func (a *app) archiveSource(ctx context.Context, name, path string) (*replay.ArchiveSource, error) {
	x, err := a.cfg.Archive(name)
	if err != nil || config.IsPath(name) {
		x = &config.Archive{Name: name, Path: path}
	}
	ar, err := a.openArchive(ctx, x)
	if err != nil {
		return nil, err
	}
	return replay.FromArchive(ar), nil
}
