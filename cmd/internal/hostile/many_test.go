//go:build hostile

package hostile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailsync/cmd/internal/sample"
)

// names fills a directory with so many names of a few files: links are made
// faster than files, and are as many messages.
func names(dir string, n int) error {
	const each = 30_000 // links to one file; ext4 allows 65,000
	file := ""
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("1700000001.M%dP1.many", i))
		if filepath.Base(dir) == "cur" {
			name += ":2,S"
		}
		var err error
		if i%each == 0 {
			file = name
			err = os.WriteFile(file, mailText(fmt.Sprint(dir, i)), 0o600)
		} else {
			err = os.Link(file, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// commands runs what reads, and puts back a loss in the second mailbox.
func (g *ground) commands() {
	g.t.Helper()
	codes := []int{0, 1, 3}
	g.once(codes, "scan", g.store())
	g.once(codes, "verify", g.store())
	g.once(codes, "diff", g.store(), g.replica())
	m := g.e.Boxes[1].Folders[0].Messages[1]
	must(g.t, os.Remove(m.Path(g.store())))
	g.once(codes, "restore", g.store(), "--from", g.replica(), "--undecided", "restore", "--yes")
	if _, err := os.Stat(m.Path(g.store())); err != nil {
		g.t.Errorf("the loss in another mailbox was not put back: %v", err)
	}
	g.once(codes, "scan", g.store())
	g.safe()
}

// A million names in one folder, half of them in new and the same as in cur, cost
// a run its time, and memory for that one folder's names.
func TestMillionNames(t *testing.T) {
	g := newGround(t, sample.Options{Seed: 9, Mailboxes: 2, PerMailbox: 6})
	g.bin.Limit = time.Duration(size(30, 2)) * time.Minute
	g.memory = 600 << 20 // one folder is held while it is looked at
	g.once([]int{0}, "scan", g.replica())
	n := size(500_000, 5_000)
	must(t, errors.Join(names(g.inbox("cur"), n), names(g.inbox("new"), n)))
	g.commands()
}

// Very many folders, each with a message.
func TestVeryManyFolders(t *testing.T) {
	g := newGround(t, sample.Options{Seed: 10, Mailboxes: 2, PerMailbox: 6})
	g.bin.Limit = time.Duration(size(30, 2)) * time.Minute
	g.once([]int{0}, "scan", g.replica())
	for i := range size(20_000, 300) {
		dir := g.inbox(fmt.Sprintf(".Many.f%d", i))
		for _, sub := range []string{"cur", "new", "tmp"} {
			must(t, os.MkdirAll(filepath.Join(dir, sub), 0o700))
		}
		must(t, os.WriteFile(filepath.Join(dir, "cur", "1700000001.M1P1.a:2,S"), mailText(fmt.Sprint(i)), 0o600))
	}
	g.commands()
}
