package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// bareDeliver copies the messages of one Maildir store into another by nothing
// but system calls, in one of the protocols that the tables compare:
//
//	safe     batches: write, owner, times; syncfs; link; syncfs; unlink (the probe). What mailsync does.
//	unsafe   batches: write; syncfs; rename; syncfs. No owner, no times, may overwrite, no probe.
//	each     one message at a time: write, owner, times, fsync, link, fsync of the directory, unlink
//	none     write and rename, nothing synced
func bareDeliver(args []string) error {
	f := flag.NewFlagSet("bare-deliver", flag.ContinueOnError)
	mode := f.String("mode", "safe", "safe, unsafe, each or none")
	batch := f.Int("batch", 512, "messages of a batch")
	workers := f.Int("g", 2, "goroutines that write and link")
	limit := f.Int("limit", 0, "stop after so many messages; 0 = all")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 2 {
		return errors.New("bare-deliver FROM TO")
	}
	d := &deliverer{mode: *mode, from: f.Arg(0), to: f.Arg(1), workers: *workers, dirs: map[string]int{}}
	list, err := d.list(*limit)
	if err != nil {
		return err
	}
	if d.root, err = unix.Open(d.to, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	if *mode == "each" {
		*batch = *workers // as many at a time, each synced by itself
	}
	for len(list) > 0 {
		n := min(*batch, len(list))
		if err := d.batch(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

type deliverer struct {
	mode     string
	from, to string
	workers  int
	root     int
	mu       sync.Mutex
	dirs     map[string]int // open directories of the target
}

// item is one message to copy.
type item struct {
	rel  string // of its folder
	sub  string
	name string
}

// list finds the messages and makes the target's directories.
func (d *deliverer) list(limit int) ([]item, error) {
	var out []item
	err := filepath.WalkDir(d.from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(d.from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(d.to, rel), 0o700)
		}
		dir := filepath.Dir(rel)
		if sub := filepath.Base(dir); (sub == "cur" || sub == "new") && (limit == 0 || len(out) < limit) {
			out = append(out, item{rel: filepath.Dir(dir), sub: sub, name: e.Name()})
		}
		return nil
	})
	return out, err
}

// dir opens a directory of the target once.
func (d *deliverer) dir(rel string) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if fd, ok := d.dirs[rel]; ok {
		return fd, nil
	}
	if len(d.dirs) > 512 {
		for k, fd := range d.dirs {
			unix.Close(fd)
			delete(d.dirs, k)
		}
	}
	fd, err := unix.Open(filepath.Join(d.to, rel), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		d.dirs[rel] = fd
	}
	return fd, err
}

// each runs f over the items on all workers.
func (d *deliverer) each(list []item, f func(item) error) error {
	var wg sync.WaitGroup
	errs := make([]error, d.workers)
	for w := range d.workers {
		wg.Go(func() {
			for i := w; i < len(list) && errs[w] == nil; i += d.workers {
				errs[w] = f(list[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func tmpName(name string) string {
	base, _, _ := strings.Cut(name, ":")
	return "t." + base
}

func (d *deliverer) batch(list []item) error {
	if d.mode == "each" {
		return d.each(list, d.one)
	}
	for _, it := range list { // open directories before, so that workers find them
		for _, sub := range []string{"tmp", it.sub} {
			if _, err := d.dir(filepath.Join(it.rel, sub)); err != nil {
				return err
			}
		}
	}
	if err := d.each(list, func(it item) error { _, err := d.write(it, false); return err }); err != nil {
		return err
	}
	if d.mode != "none" {
		if err := unix.Syncfs(d.root); err != nil {
			return err
		}
	}
	if err := d.each(list, d.show); err != nil {
		return err
	}
	if d.mode == "none" {
		return nil
	}
	if err := unix.Syncfs(d.root); err != nil {
		return err
	}
	if d.mode == "unsafe" {
		return nil
	}
	return d.each(list, d.probe)
}

// write puts the message into tmp.
func (d *deliverer) write(it item, sync bool) (int, error) {
	src := filepath.Join(d.from, it.rel, it.sub, it.name)
	var st unix.Stat_t
	in, err := unix.Open(src, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOATIME, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(in)
	if err := unix.Fstat(in, &st); err != nil {
		return 0, err
	}
	p := make([]byte, st.Size)
	if n, err := unix.Read(in, p); err != nil || n != len(p) {
		return 0, fmt.Errorf("read %s: %d bytes, %w", src, n, err)
	}
	dir, err := d.dir(filepath.Join(it.rel, "tmp"))
	if err != nil {
		return 0, err
	}
	out, err := unix.Openat(dir, tmpName(it.name), unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return 0, err
	}
	defer unix.Close(out)
	if n, err := unix.Write(out, p); err != nil || n != len(p) {
		return 0, fmt.Errorf("write: %d bytes, %w", n, err)
	}
	if d.mode == "safe" || d.mode == "each" {
		if err := unix.Fchown(out, int(st.Uid), int(st.Gid)); err != nil {
			return 0, err
		}
		times := []unix.Timespec{{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}, {Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}}
		if err := unix.UtimesNanoAt(dir, tmpName(it.name), times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return 0, err
		}
	}
	if sync {
		return 0, unix.Fsync(out)
	}
	return 0, nil
}

// show makes the message visible.
func (d *deliverer) show(it item) error {
	tmp, err := d.dir(filepath.Join(it.rel, "tmp"))
	if err != nil {
		return err
	}
	dst, err := d.dir(filepath.Join(it.rel, it.sub))
	if err != nil {
		return err
	}
	if d.mode == "unsafe" || d.mode == "none" {
		return unix.Renameat(tmp, tmpName(it.name), dst, it.name)
	}
	return unix.Linkat(tmp, tmpName(it.name), dst, it.name, 0)
}

// probe removes the temporary name: it fails where the syncs have lied.
func (d *deliverer) probe(it item) error {
	tmp, err := d.dir(filepath.Join(it.rel, "tmp"))
	if err != nil {
		return err
	}
	return unix.Unlinkat(tmp, tmpName(it.name), 0)
}

// one delivers a message with syncs of its own.
func (d *deliverer) one(it item) error {
	if _, err := d.write(it, true); err != nil {
		return err
	}
	if err := d.show(it); err != nil {
		return err
	}
	dst, err := unix.Open(filepath.Join(d.to, it.rel, it.sub), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dst)
	if err := unix.Fsync(dst); err != nil {
		return err
	}
	return d.probe(it)
}
