package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// fresh empties a state directory before a run.
func fresh(state string) func(int) error {
	return func(int) error { return os.RemoveAll(state) }
}

// aside is fresh for suites that measure speed: what is there is moved away and
// removed when all suites are done. On ext4 without a journal a file that is
// made within minutes of others' removal costs several times as much, since its
// inode must be one that was not freed just now.
func (b *bench) aside(state string) func(int) error {
	return func(int) error {
		if err := os.MkdirAll(b.asides(), 0o755); err != nil {
			return err
		}
		err := os.Rename(state, filepath.Join(b.asides(), fmt.Sprint(time.Now().UnixNano())))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
}

func (b *bench) asides() string { return b.path("old-states") }

func (b *bench) mailsync(args ...string) []string {
	return append([]string{b.bin}, append(args, "--quiet", "--progress", "never")...)
}

func (b *bench) bare(args ...string) []string { return append([]string{b.self}, args...) }

func (b *bench) scanWarm() error {
	store, _, err := b.stores()
	if err != nil {
		return err
	}
	state := b.path("state-scan")
	find := fmt.Sprintf("find %s -type f -print0 | xargs -0 -P2 -n 500 ", store)
	const (
		scan   = "mailsync scan (first)"
		hash   = "limit: read + BLAKE3, 2 readers"
		read   = "limit: read only, 2 readers"
		checks = "read + BLAKE3 + checks, 2 readers"
	)
	jobs := peers([]job{
		{name: scan, subject: true, line: b.mailsync("scan", store, "--state", state), before: b.aside(state)},
		{name: hash, line: b.bare("bare-read", "-t", "2", store)},
		{name: read, line: b.bare("bare-read", "-t", "2", "-hash", "none", store)},
		{name: checks, line: b.bare("bare-read", "-t", "2", "-hash", "checks", store)},
		{name: "find, xargs -P2 b3sum", line: []string{find + "b3sum --num-threads 1 >/dev/null"}},
		{name: "find, xargs -P2 openssl sha256", line: []string{find + "openssl dgst -sha256 -r >/dev/null"}},
		{name: "hashdeep -c sha256 -j2", line: []string{"hashdeep -r -c sha256 -j2 " + store + " >/dev/null"}, only: 2},
		{name: "rclone hashsum sha256", line: []string{"rclone hashsum sha256 " + store + " >/dev/null"}, only: 2},
	}, map[string]string{
		"find, xargs -P2 b3sum": "b3sum", "find, xargs -P2 openssl sha256": "openssl",
		"hashdeep -c sha256 -j2": "hashdeep", "rclone hashsum sha256": "rclone",
	})
	if err := b.warm(store); err != nil {
		return err
	}
	all, err := b.measure("scan", jobs, false)
	if err != nil {
		return err
	}
	// The checks digest large messages by AVX-512 where the processor has it,
	// which the bare hash does not: their share can be below 0.
	printBreakdown([]part{
		{"read", read, ""},
		{"hash", hash, read},
		{"checks, with our hash for the bare one", checks, hash},
		{"record, guarded opening, syncs", scan, checks},
	}, all)
	return nil
}

// warm reads a store into the page cache.
func (b *bench) warm(stores ...string) error {
	for _, s := range stores {
		_, err := b.once("warm", &job{line: b.bare("bare-read", "-t", "4", "-hash", "none", s)}, 0, false)
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) scanCold() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: a cold cache needs root", errSkipped)
	}
	store, _, err := b.stores()
	if err != nil {
		return err
	}
	part, err := b.part(store)
	if err != nil {
		return err
	}
	state := b.path("state-cold")
	jobs := peers([]job{
		{name: "mailsync scan (first)", subject: true, line: b.mailsync("scan", part, "--state", state), before: b.aside(state)},
		{name: "limit: read + BLAKE3, 32 readers on 32 Ps", line: b.bare("bare-read", "-t", "32", "-procs", "32", part)},
		{name: "limit: read + BLAKE3, 8 readers on 16 Ps, 16 ahead", line: b.bare("bare-read", "-t", "8", "-procs", "16", "-ahead", "16", part)},
		{name: "limit: read + BLAKE3, 2 readers", line: b.bare("bare-read", "-t", "2", part)},
		{name: "find, xargs -P16 b3sum", line: []string{"find " + part + " -type f -print0 | xargs -0 -P16 -n 200 b3sum --num-threads 1 >/dev/null"}},
		{name: "find, xargs -P16 openssl sha256", line: []string{"find " + part + " -type f -print0 | xargs -0 -P16 -n 200 openssl dgst -sha256 -r >/dev/null"}},
	}, map[string]string{"find, xargs -P16 b3sum": "b3sum", "find, xargs -P16 openssl sha256": "openssl"})
	_, err = b.measure("cold", jobs, true)
	return err
}

// recorded makes sure that a state directory holds a fresh record of the stores.
func (b *bench) recorded(state string, stores ...string) error {
	if err := os.RemoveAll(state); err != nil {
		return err
	}
	for _, s := range stores {
		if _, err := b.once("record", &job{line: b.mailsync("scan", s, "--state", state), codes: []int{0, 1}}, 0, false); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) scanUnchanged() error {
	store, replica, err := b.stores()
	if err != nil {
		return err
	}
	state := b.path("state-unchanged")
	if err := b.warm(store); err != nil {
		return err
	}
	if err := b.recorded(state, store); err != nil {
		return err
	}
	jobs := peers([]job{
		{name: "mailsync scan (nothing changed)", subject: true, line: b.mailsync("scan", store, "--state", state)},
		{name: "rsync -an --delete", line: []string{"rsync -an --delete " + store + "/ " + replica + "/ >/dev/null"}},
		{name: "find -printf", line: []string{"find " + store + " -type f -printf '%p %s %T@\\n' >/dev/null"}},
	}, map[string]string{"rsync -an --delete": "rsync"})
	_, err = b.measure("unchanged", jobs, false)
	return err
}

func (b *bench) verify() error {
	store, _, err := b.stores()
	if err != nil {
		return err
	}
	state := b.path("state-verify")
	if err := b.warm(store); err != nil {
		return err
	}
	if err := b.recorded(state, store); err != nil {
		return err
	}
	_, err = b.measure("verify", []job{
		{name: "mailsync verify", subject: true, line: b.mailsync("verify", store, "--state", state)},
		{name: "mailsync verify --quick", line: b.mailsync("verify", store, "--state", state, "--quick")},
		{name: "mailsync scan --rehash", line: b.mailsync("scan", store, "--state", state, "--rehash")},
		{name: "limit: read + BLAKE3, 2 readers", line: b.bare("bare-read", "-t", "2", store)},
	}, false)
	return err
}
