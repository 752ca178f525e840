package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/remote"
	"mailsync/scan/beneath"
	"mailsync/scan/budget"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	stdio      bool
	restrictTo []string
	readOnly   bool
}

func (a *app) serveCommand() *cobra.Command {
	var o serveFlags
	c := &cobra.Command{
		Use: "serve --stdio", Short: "let mailsync on another host work on stores of this one",
		Long: `Serve speaks to a mailsync on another host over its standard input and output:
that one has started it, by ssh. Nothing listens on a port. As a forced command
of an SSH key it hands out what its flags allow, whatever the other side asks
for:

  command="mailsync serve --stdio --restrict-to /srv/mail --read-only",restrict ssh-ed25519 AAAA...`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Standard output carries the protocol and nothing else.
			out := a.std.stdout
			a.std.stdout, a.std.stdoutTTY, a.flags.json = a.std.stderr, false, false
			a.flags.quiet, a.flags.progress = true, ui.Never
			return a.do(func(ctx context.Context, _ []string) (outcome, error) { return a.serve(ctx, out, &o) })(cmd, args)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.stdio, "stdio", false, "speak over standard input and output")
	f.StringArrayVar(&o.restrictTo, "restrict-to", nil, "serve no store that lies elsewhere than in this `DIR` (repeatable)")
	f.BoolVar(&o.readOnly, "read-only", false, "write into no store")
	return c
}

func (a *app) serve(ctx context.Context, out io.Writer, o *serveFlags) (outcome, error) {
	if !o.stdio {
		return outcome{}, usage("serve needs --stdio: mailsync on another host starts it, over ssh")
	}
	h := &server{a: a, readOnly: o.readOnly, budgets: a.budgets()}
	for _, dir := range o.restrictTo {
		if !filepath.IsAbs(dir) {
			return outcome{}, usage("--restrict-to %q must be absolute", dir)
		}
		h.within = append(h.within, filepath.Clean(dir))
	}
	pipe, done, err := servePipe(a.std.stdin, out)
	if err != nil {
		return outcome{}, err
	}
	defer done()
	err = remote.Serve(ctx, pipe, remote.Options{
		Program: strings.ReplaceAll(buildInfo().Version, " ", "_"), Host: h, Classes: errorClasses, Spill: spill,
	})
	return outcome{}, err
}

// server is this host, as another one sees it: a remote.Host.
type server struct {
	a        *app
	within   []string // directories that hold what is served; none: everything
	readOnly bool
	budgets  *budget.Set
}

// OpenStore implements remote.Host.
func (h *server) OpenStore(_ context.Context, spec remote.Spec) (*remote.Served, error) {
	sd, err := h.open(&spec)
	if err != nil {
		return nil, err
	}
	out := &remote.Served{
		Source: sd.scanner, Witness: sd.scanner, Messages: sd.messages(),
		Folders:  remote.Folders{FS: sd.store.Folders == config.FS, UTF8: sd.store.UTF8},
		ReadOnly: h.readOnly,
		Close:    func() error { sd.close(); return nil },
	}
	if sd.recorded != nil {
		out.Record, out.Heads, out.About = sd.recorded, sd.base.Heads, sd.base.Record()
	}
	return out, nil
}

// store finds what the caller means: this host's own description where its
// configuration has the path, else the caller's, which names no command and
// nothing outside of the store.
func (h *server) store(spec *remote.Spec) (*config.Store, error) {
	dir, err := h.place(spec.Path)
	if err != nil {
		return nil, err
	}
	for _, name := range h.a.cfg.StoreNames() {
		if s := h.a.cfg.Stores[name]; s.Path == dir {
			return s, nil
		}
	}
	s := &config.Store{
		Name: dir, Path: dir, Layout: spec.Layout, Control: spec.Control, Index: spec.Index, UTF8: spec.UTF8,
		FailureDomain: spec.FailureDomain, Readers: min(spec.Readers, maxReaders), LimitRate: config.Size(spec.BytesPerSec),
		FilesPerSec: spec.FilesPerSec, Latency: config.Duration{Duration: time.Duration(spec.Latency)},
	}
	if spec.Folders == "fs" {
		s.Folders = config.FS
	}
	for _, t := range []string{s.Layout, s.Control, s.Index} {
		if len(h.within) > 0 && t != "" && !filepath.IsLocal(t) {
			return nil, fmt.Errorf("%w: %q leads out of the store", remote.ErrRefused, t)
		}
	}
	if spec.Readers < 0 || spec.BytesPerSec < 0 || spec.FilesPerSec < 0 || spec.Latency < 0 {
		return nil, fmt.Errorf("%w: a negative limit", remote.ErrRefused)
	}
	if err := s.Role.UnmarshalText([]byte(spec.Role)); err != nil {
		return nil, fmt.Errorf("%w: %w", remote.ErrRefused, err)
	}
	if spec.Digest != "" {
		if err := s.Digest.UnmarshalText([]byte(spec.Digest)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// place is where a path leads that is served.
func (h *server) place(asked string) (string, error) {
	dir := path.Clean(asked)
	if !path.IsAbs(dir) || strings.ContainsRune(dir, 0) {
		return "", fmt.Errorf("%w: path %q is not absolute", remote.ErrRefused, asked)
	}
	if !h.allowed(dir) {
		return "", fmt.Errorf("%w: %q is not served", remote.ErrRefused, dir)
	}
	return dir, nil
}

// maxReaders is how many readers a device a caller may ask for.
const maxReaders = 64

// allowed tells whether a path lies in one of the directories that are served.
func (h *server) allowed(dir string) bool {
	for _, w := range h.within {
		if rel, err := filepath.Rel(w, dir); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return len(h.within) == 0
}

// inside proves that the store that was opened lies in what is served.
func (h *server) inside(sd *side) error {
	if len(h.within) == 0 {
		return nil
	}
	id := sd.scanner.Identity()
	return h.proven(sd.store.Path, id.Device, id.RootInode)
}

// proven proves that a directory that was opened lies where the path says, and
// that no symbolic link on the way led elsewhere: it is the one that is found by
// a way that cannot leave what is served.
func (h *server) proven(path string, device, inode uint64) error {
	for _, w := range h.within {
		rel, err := filepath.Rel(w, path)
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		root, err := beneath.OpenRoot(w, beneath.Options{})
		if err != nil {
			continue
		}
		d, err := root.OpenMounted(rel)
		_ = root.Close()
		if err != nil {
			continue
		}
		self, err := d.Self()
		_ = d.Close()
		if err == nil && self.Dev == device && self.Inode == inode {
			return nil
		}
	}
	return fmt.Errorf("%w: %q does not lie in what is served", remote.ErrRefused, path)
}
