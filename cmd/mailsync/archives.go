package main

import (
	"errors"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/archive"
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

// openArchive opens an archive as the configuration describes it.
func (a *app) openArchive(x *config.Archive) (*archive.Archive, error) {
	zone, err := x.Zone()
	if err != nil {
		return nil, err
	}
	ar, err := archive.Open(x.Path, archive.Options{
		Name: x.Name, Zone: zone, Header: x.Header, SenderFrom: x.Sender, ReceivedBy: x.ReceivedBy,
		Own: x.Own, Pattern: x.Pattern, Variant: x.Variant,
	})
	if err != nil {
		p := &ui.Problem{What: "archive " + x.Name, Why: err}
		if errors.Is(err, archive.ErrNoInput) {
			p.Hint = "is it mounted, and readable for this user?"
		} else if !config.IsPath(x.Name) {
			p.Code = exitConfig
		}
		return nil, p
	}
	return ar, nil
}

// archiveSource opens an archive that a saved plan names.
func (a *app) archiveSource(name, path string) (*replay.ArchiveSource, error) {
	x, err := a.cfg.Archive(name)
	if err != nil || config.IsPath(name) {
		x = &config.Archive{Name: name, Path: path}
	}
	ar, err := a.openArchive(x)
	if err != nil {
		return nil, err
	}
	return replay.FromArchive(ar), nil
}
