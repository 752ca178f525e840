package main

import (
	"fmt"
	"os"
	"path/filepath"

	"mailsync/cmd/internal/sample"
)

// memory shows what the peak depends on: not on the size of the store.
func (b *bench) memory() error {
	sizes := []int{2000, 20000, 200000}
	single, many := 1000000, 1000000
	if b.quick {
		sizes, single, many = []int{1000, 10000}, 50000, 20000
	}
	var jobs []job
	for _, n := range sizes {
		e := sample.New(sample.Options{Seed: 5, Mailboxes: max(2, n/100), PerMailbox: 100, Size: 900, Spread: 0.3})
		root := b.path(fmt.Sprintf("memory-%d", n))
		if err := b.generate(e, root); err != nil {
			return err
		}
		state := root + ".state"
		jobs = append(jobs,
			job{name: fmt.Sprintf("scan, %d messages in %d mailboxes", n, max(2, n/100)), line: b.mailsync("scan", root, "--state", state), before: fresh(state), only: 2, units: float64(n)},
			job{name: fmt.Sprintf("scan again, %d messages", n), line: b.mailsync("scan", root, "--state", state), only: 2, units: float64(n)},
			job{name: fmt.Sprintf("verify, %d messages", n), line: b.mailsync("verify", root, "--state", state), only: 2, units: float64(n)},
		)
	}
	one := b.path(fmt.Sprintf("one-%d", single))
	if err := b.flood(one, 1, single); err != nil {
		return err
	}
	boxes := b.path(fmt.Sprintf("boxes-%d", many))
	if err := b.flood(boxes, many, 1); err != nil {
		return err
	}
	for _, s := range []struct {
		root, what string
		n          int
	}{{one, fmt.Sprintf("one mailbox of %d messages", single), single}, {boxes, fmt.Sprintf("%d mailboxes of one message", many), many}} {
		state := s.root + ".state"
		jobs = append(jobs,
			job{name: "scan, " + s.what, line: b.mailsync("scan", s.root, "--state", state), before: fresh(state), only: 1, units: float64(s.n)},
			job{name: "scan again, " + s.what, line: b.mailsync("scan", s.root, "--state", state), only: 1, units: float64(s.n)},
		)
	}
	// in order: a scan again needs the scan before it
	saved := b.reps
	b.reps = 1
	defer func() { b.reps = saved }()
	_, err := b.measure("memory", jobs, false)
	return err
}

// flood writes very many tiny messages.
func (b *bench) flood(root string, boxes, each int) error {
	done := root + ".complete"
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	fmt.Fprintf(os.Stderr, "generating %s\n", root)
	for i := range boxes {
		box := filepath.Join(root, fmt.Sprintf("%03d", i/1000), fmt.Sprintf("u%07d", i))
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(box, sub), 0o700); err != nil {
				return err
			}
		}
		for k := range each {
			p := fmt.Appendf(nil, "Message-ID: <%d.%d@example.net>\nFrom: a@example.net\nSubject: %d\n\nbody %d\n", i, k, k, i)
			name := fmt.Sprintf("17%08d.M%dP1.host,S=%d,W=%d:2,S", k, i%1000000, len(p), len(p)+5)
			if err := os.WriteFile(filepath.Join(box, "cur", name), p, 0o600); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(done, nil, 0o644)
}
