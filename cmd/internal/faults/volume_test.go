//go:build faults

package faults

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mailsync/cmd/internal/drive"

	"golang.org/x/sys/unix"
)

// volume is a small file system of its own, on a loop device.
type volume struct {
	t            *testing.T
	typ, img, at string
	options      []string // of mount(8)
	loop         string
}

func command(line ...string) (string, error) {
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), err
}

// needs skips where the machine lacks something, and fails where it promises to
// have it.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	lacks := ""
	if os.Geteuid() != 0 {
		lacks = "file systems of its own need root"
	} else if _, err := os.Stat("/dev/loop-control"); err != nil {
		lacks = err.Error()
	}
	drive.Needs(t, lacks, programs...)
}

// newVolume makes a file system and mounts it at a directory, which is made.
func newVolume(t *testing.T, typ string, size int64, at string, mkfs ...string) *volume {
	t.Helper()
	v := newImage(t, typ, size, at, mkfs...)
	v.mount()
	return v
}

// newImage makes a file system that is not mounted yet.
func newImage(t *testing.T, typ string, size int64, at string, mkfs ...string) *volume {
	t.Helper()
	v := &volume{t: t, typ: typ, img: filepath.Join(t.TempDir(), "img"), at: at}
	must(t, os.MkdirAll(at, 0o755))
	must(t, os.WriteFile(v.img, nil, 0o600))
	must(t, os.Truncate(v.img, size))
	_, err := command(append(mkfs, v.img)...)
	must(t, err)
	t.Cleanup(v.unmount)
	return v
}

func (v *volume) mount() {
	v.t.Helper()
	must(v.t, v.tryMount())
}

// tryMount is for what a kernel may not be able to mount.
func (v *volume) tryMount() error {
	loop, err := command("losetup", "-f", "--show", v.img)
	if err != nil {
		return err
	}
	if _, err := command(append([]string{"mount", "-t", v.typ, loop, v.at}, v.options...)...); err != nil {
		_, _ = command("losetup", "-d", loop)
		return err
	}
	v.loop = loop
	_ = os.Remove(filepath.Join(v.at, "lost+found"))
	return nil
}

func (v *volume) unmount() {
	if v.loop == "" {
		return
	}
	if _, err := command("umount", v.at); err != nil {
		v.t.Error(err)
	}
	if _, err := command("losetup", "-d", v.loop); err != nil {
		v.t.Error(err)
	}
	v.loop = ""
}

// fill leaves about so many bytes free. Its file goes with the next Reset.
func (v *volume) fill(leave int64) {
	v.t.Helper()
	must(v.t, unixSync(v.at)) // what is free is known when all is written
	f, err := os.Create(filepath.Join(v.at, "filler"))
	must(v.t, err)
	defer f.Close()
	zero := make([]byte, 64<<10)
	for n := len(zero); n >= 512; {
		_, err := f.Write(zero[:n])
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			n /= 2
			continue
		}
		must(v.t, err)
	}
	must(v.t, f.Sync())
	end, err := f.Seek(0, io.SeekEnd)
	must(v.t, err)
	must(v.t, f.Truncate(max(0, end-leave)))
	must(v.t, f.Sync())
}

// empty gives the space back.
func (v *volume) empty() {
	v.t.Helper()
	must(v.t, os.Remove(filepath.Join(v.at, "filler")))
	must(v.t, unixSync(v.at))
}

func unixSync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}
