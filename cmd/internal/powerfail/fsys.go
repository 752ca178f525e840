//go:build powerfail

package powerfail

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// fsys is a file system as it is made, mounted and checked.
type fsys struct {
	name    string
	typ     string
	size    int64
	mkfs    []string // the image is appended
	options string   // of mount
	fsck    []string // read-only; the image is appended
	repair  []string // what an administrator would run when it does not mount
	shuts   bool     // it knows FS_IOC_SHUTDOWN
}

var mkext4 = []string{"mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"}

var fileSystems = []fsys{
	{
		name: "ext4", typ: "ext4", size: 96 << 20, mkfs: mkext4, options: "noatime,data=ordered",
		fsck: []string{"e2fsck", "-fn"}, repair: []string{"e2fsck", "-fy"}, shuts: true,
	},
	{
		name: "xfs", typ: "xfs", size: 320 << 20, mkfs: []string{"mkfs.xfs", "-q", "-f", "-K"}, options: "noatime",
		fsck: []string{"xfs_repair", "-n"}, repair: []string{"xfs_repair", "-L"}, shuts: true,
	},
	{
		name: "btrfs", typ: "btrfs", size: 160 << 20, mkfs: []string{"mkfs.btrfs", "-q", "-f", "-K"}, options: "noatime",
		fsck: []string{"btrfs", "check", "--readonly"},
	},
}

// noBarrier is ext4 told not to flush: what a harness must see lose mail.
var noBarrier = fsys{
	name: "ext4 without barriers", typ: "ext4", size: 96 << 20, mkfs: mkext4, options: "noatime,data=ordered,barrier=0",
	fsck: []string{"true"}, repair: []string{"e2fsck", "-fy"},
}

func command(line ...string) (string, error) {
	c := exec.Command(line[0], line[1:]...)
	out, err := c.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// format makes the file system in a new image file.
func (f *fsys) format(img string) error {
	w, err := os.Create(img)
	if err != nil {
		return err
	}
	if err := w.Truncate(f.size); err != nil {
		w.Close()
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err = command(append(append([]string{}, f.mkfs...), img)...)
	return err
}

// mount puts the image (a file) onto the loop device and mounts it.
func (f *fsys) mount(img string, l *loop, at string) error {
	if _, err := command("losetup", l.path, img); err != nil {
		return err
	}
	if _, err := command("mount", "-t", f.typ, "-o", f.options, l.path, at); err != nil {
		l.detach()
		return err
	}
	return nil
}

// unmount undoes mount. A file system that is still busy is waited for.
func unmount(l *loop, at string) error {
	var err error
	for range 100 {
		if _, err = command("umount", at); err == nil || strings.Contains(err.Error(), "not mounted") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.detach()
	return err
}
