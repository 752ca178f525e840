package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// volume is a file system of its own on a loop device with direct IO, so that
// the page cache is not paid twice and syncs reach the disk.
type volume struct {
	fs, image, loop, mnt string
}

var volumes = map[string][]string{
	"ext4":  {"mkfs.ext4", "-q", "-F"},
	"xfs":   {"mkfs.xfs", "-q", "-f"},
	"btrfs": {"mkfs.btrfs", "-q", "-f"},
}

// volume makes one; name tells it from others of the same kind.
func (b *bench) volume(name, fs string, size int64) (*volume, error) {
	mkfs := volumes[fs]
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: loop devices need root", errSkipped)
	}
	if !have(mkfs[0]) {
		return nil, fmt.Errorf("%w: %s is not installed", errSkipped, mkfs[0])
	}
	v := &volume{fs: fs, image: b.path(name + ".img"), mnt: b.path("mnt-" + name)}
	var free syscall.Statfs_t
	if err := syscall.Statfs(b.work, &free); err != nil {
		return nil, err
	}
	if int64(free.Bavail)*free.Bsize < size*5/4 {
		return nil, fmt.Errorf("%w: less than %d GiB free below %s", errSkipped, size*5/4>>30, b.work)
	}
	if err := sh("fallocate", "-l", fmt.Sprint(size), v.image); err != nil {
		return nil, err
	}
	if err := sh(append(mkfs, v.image)...); err != nil {
		return nil, err
	}
	out, err := exec.Command("losetup", "--direct-io=on", "--show", "-f", v.image).Output()
	if err != nil {
		return nil, err
	}
	v.loop = strings.TrimSpace(string(out))
	if err := os.MkdirAll(v.mnt, 0o755); err != nil {
		return nil, err
	}
	return v, sh("mount", v.loop, v.mnt)
}

// renew makes the file system anew: removing files would make the next runs
// dearer, and so would keeping them all.
func (v *volume) renew() error {
	if err := sh("umount", v.mnt); err != nil {
		return err
	}
	if err := sh(append(volumes[v.fs], v.loop)...); err != nil {
		return err
	}
	return sh("mount", v.loop, v.mnt)
}

// forget empties the page cache of what lies on the volume, inodes too, and
// leaves everybody else's alone.
func (v *volume) forget() error {
	if err := sh("umount", v.mnt); err != nil {
		return err
	}
	return sh("mount", v.loop, v.mnt)
}

func (v *volume) close() {
	_ = sh("umount", v.mnt)
	if v.loop != "" {
		_ = sh("losetup", "-d", v.loop)
	}
	_ = os.Remove(v.image)
	_ = os.Remove(v.mnt)
}

func sh(line ...string) error {
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(line, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
