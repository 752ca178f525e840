package main

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"

	"mailsync/restore/archive"
	"mailsync/restore/remote"
)

// OpenArchive implements remote.Archives. The files are handed out as they are;
// what they hold is for the caller to understand.
func (h *server) OpenArchive(_ context.Context, asked string) (archive.Files, error) {
	path, err := h.place(asked)
	if err != nil {
		return nil, err
	}
	if len(h.within) == 0 {
		return archive.OpenDisk(path)
	}
	d, err := archive.OpenBeneath(path)
	if err != nil {
		return nil, err
	}
	dir := path
	if d.Single() {
		dir = filepath.Dir(path)
	}
	if err := h.holds(dir, d); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// holds proves that what was opened lies in what is served.
func (h *server) holds(dir string, d *archive.Disk) error {
	st, err := d.Self()
	if err != nil {
		return err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%w: %q cannot be told apart from other places", remote.ErrRefused, dir)
	}
	return h.proven(dir, uint64(sys.Dev), sys.Ino)
}
