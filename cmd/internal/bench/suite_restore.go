package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"mailsync/cmd/internal/sample"
)

// restoreSizes are what the restore suite moves.
func (b *bench) restoreSizes() (messages, slow int) {
	if b.quick {
		return 4000, 400
	}
	return 20000, 2000
}

func (b *bench) restore() error {
	n, slow := b.restoreSizes()
	// The sources lie on a volume of their own, so that they can be read from disk.
	from, err := b.volume("source", "ext4", 1<<30)
	if from != nil {
		defer from.close()
	}
	if err != nil {
		return err
	}
	source := filepath.Join(from.mnt, "whole")
	e := sample.New(sample.Options{Seed: 3, Mailboxes: 50, PerMailbox: n / 50, Size: 10000, Spread: -1})
	if err := b.generate(e, source); err != nil {
		return err
	}
	part := filepath.Join(from.mnt, "part")
	if err := b.generate(sample.New(sample.Options{Seed: 3, Mailboxes: 50, PerMailbox: slow / 50, Size: 10000, Spread: -1}), part); err != nil {
		return err
	}
	// doveadm runs as the owner of the mail
	if err := sh("chown", "-R", "5000:5000", part); err != nil {
		return err
	}
	var skipped error
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		err := b.restoreOn(fs, from, source, part, n, slow)
		if errors.Is(err, errSkipped) {
			skipped = err
			fmt.Println(err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", fs, err)
		}
		skipped = nil
	}
	return skipped
}

func (b *bench) restoreOn(fs string, from *volume, source, part string, n, slow int) error {
	v, err := b.volume(fs, fs, 5<<30)
	if v != nil {
		defer v.close()
	}
	if err != nil {
		return err
	}
	fmt.Printf("\n### %s, %d messages of 10 kB into 50 mailboxes with 5 folders each\n\n", fs, n)
	state := b.path("state-restore-" + fs)
	if err := b.recorded(state, source); err != nil {
		return err
	}
	// Every run has a directory of its own, every repetition a new file system:
	// removing files makes the next runs dearer.
	count, made := 0, 0
	target := ""
	skeleton := func() error { // the mailboxes and folders, empty
		return filepath.WalkDir(source, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(source, path)
			if err != nil {
				return err
			}
			return os.MkdirAll(filepath.Join(target, rel), 0o700)
		})
	}
	next := func(rep int) error {
		if rep != made {
			if err := v.renew(); err != nil {
				return err
			}
			made = rep
		}
		count++
		target = filepath.Join(v.mnt, fmt.Sprintf("t%03d", count))
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		// the path that the commands are given leads to it
		link := b.path("target-" + fs)
		_ = os.Remove(link)
		return os.Symlink(target, link)
	}
	at := b.path("target-"+fs) + "/."
	filled := func(rep int) error {
		if err := next(rep); err != nil {
			return err
		}
		if err := skeleton(); err != nil {
			return err
		}
		return b.warm(source)
	}
	cold := func(rep int) error {
		if err := next(rep); err != nil {
			return err
		}
		if err := skeleton(); err != nil {
			return err
		}
		return from.forget()
	}
	check := func(want int) func(int, *measured) error {
		return func(int, *measured) error {
			got := countMessages(target)
			if got != want {
				return fmt.Errorf("%d messages arrived, want %d", got, want)
			}
			return nil
		}
	}
	restore := []string{b.bin + " restore $(readlink " + b.path("target-"+fs) + ") --from " + source + " --yes --quiet --progress never --state " + state}
	jobs := peers([]job{
		{name: "mailsync restore, into empty mailboxes", subject: true, units: float64(n), before: filled, after: check(n), line: restore},
		{name: "mailsync restore, mailboxes and folders made too", units: float64(n), before: next, after: check(n), line: restore},
		{name: "limit: the same system calls bare, 2 goroutines, batches of 512", units: float64(n), before: filled, after: check(n), line: b.bare("bare-deliver", "-mode", "safe", "-g", "2", "-batch", "512", source, at)},
		{name: "limit: the same bare, batches of 1,024", units: float64(n), before: filled, after: check(n), line: b.bare("bare-deliver", "-mode", "safe", "-g", "2", "-batch", "1024", source, at)},
		{name: "mailsync restore, the source from disk", units: float64(n), before: cold, after: check(n), line: restore},
		{name: "limit: the same system calls bare, the source from disk", units: float64(n), before: cold, after: check(n), line: b.bare("bare-deliver", "-mode", "safe", "-g", "2", "-batch", "512", source, at)},
		{name: "unsafe ceiling: write, syncfs, rename, syncfs", units: float64(n), before: filled, after: check(n), line: b.bare("bare-deliver", "-mode", "unsafe", "-g", "2", "-batch", "512", source, at)},
		{name: "fsync of file and directory each, 1 at a time", units: float64(slow), before: next, after: check(slow), line: b.bare("bare-deliver", "-mode", "each", "-g", "1", part, at)},
		{name: "fsync of file and directory each, 8 at a time", units: float64(slow), before: next, after: check(slow), line: b.bare("bare-deliver", "-mode", "each", "-g", "8", part, at)},
		{name: "rsync -a --fsync", units: float64(slow), before: next, after: check(slow), line: []string{"rsync -a --fsync " + part + "/ " + at + "/"}},
	}, map[string]string{"rsync -a --fsync": "rsync"})
	if have("doveadm") {
		d, err := newDovecot(b, b.path("dv-"+fs), v.mnt)
		if err != nil {
			return err
		}
		defer d.stop()
		if err := d.start(); err != nil {
			return err
		}
		owned := func(rep int) error {
			if err := next(rep); err != nil {
				return err
			}
			return os.Chown(target, 5000, 5000)
		}
		jobs = append(jobs, job{
			name: "doveadm backup", units: float64(slow), before: owned, after: check(slow),
			line: []string{d.backupCommand(part, b.path("target-"+fs))}, only: 2,
		})
	} else {
		fmt.Println("left out, not installed: doveadm backup")
	}
	_, err = b.measure("restore-"+fs, jobs, false)
	return err
}

// countMessages counts the files of cur and new.
func countMessages(root string) int {
	n := 0
	_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if sub := filepath.Base(filepath.Dir(path)); d.Type().IsRegular() && (sub == "cur" || sub == "new") {
			n++
		}
		return nil
	})
	return n
}
