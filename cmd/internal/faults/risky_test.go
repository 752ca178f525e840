//go:build faults

package faults

import (
	"path/filepath"
	"strings"
	"testing"

	"mailsync/cmd/internal/drive"
)

// A file system on which a power cut may show one message's content in
// another's place, and one on which no power cut was tried: whatever writes into
// a store there says so, once, and no damaged message is replaced on the first.
// What only looks says nothing of it.
func TestRiskyDisk(t *testing.T) {
	for _, d := range []struct {
		name, typ string
		mkfs      []string
		options   []string
		tune      string
		says      string
		replaces  bool
	}{
		{name: "mounted with data=writeback", typ: "ext4", mkfs: ext4, options: []string{"-o", "data=writeback"}, says: "ext4 is mounted with data=writeback"},
		{name: "data=writeback in the superblock", typ: "ext4", mkfs: ext4, tune: "journal_data_writeback", says: "ext4 works with data=writeback"},
		{name: "never tried", typ: "ext2", mkfs: []string{"mkfs.ext2", "-q", "-F", "-b", "1024", "-m", "0"}, says: "this file system is ext2", replaces: true},
		{name: "data=ordered", typ: "ext4", mkfs: ext4, replaces: true},
	} {
		t.Run(d.name, func(t *testing.T) {
			needs(t, d.mkfs[0], "tune2fs")
			dir := t.TempDir()
			v := newImage(t, d.typ, 8<<20, filepath.Join(dir, "now", "store"), d.mkfs...)
			if d.tune != "" {
				_, err := command("tune2fs", "-o", d.tune, v.img)
				must(t, err)
			}
			v.options = d.options
			v.mount()
			l := newLabAt(t, dir)
			must(t, lose(l.Ground))

			plan := filepath.Join(dir, "plan")
			restore := []string{"primary", "--from", "replica", "--undecided", "restore"}
			l.warned("", "restore", append(restore, "--dry-run")...)
			l.warned("", "restore", append(restore, "--plan", plan)...)
			l.warned("", "scan", "primary")
			run := l.warned(d.says, "apply", plan, "--yes").Summary.Run
			l.warned(d.says, "undo", run, "--yes")
			replaced := false
			for _, a := range l.warned(d.says, "restore", append(restore, "--yes")...).Find("action") {
				replaced = replaced || a.Op == "replace" && a.State == "done"
			}
			if replaced != d.replaces {
				t.Errorf("damaged messages were replaced: %v", replaced)
			}
			must(t, gap(l.Ground))
			l.warned(d.says, "replay", "--from", "gw", "--to", "primary", "--since", "all", "--yes")
		})
	}
}

// warned runs a command and wants that it says once what is to be said of the
// disk.
func (l *lab) warned(says, command string, args ...string) *drive.Result {
	l.t.Helper()
	r, err := l.bin.JSON(l.t.Context(), append([]string{command}, args...)...)
	must(l.t, err)
	for _, f := range r.Faults {
		l.t.Errorf("%s %v: %s", command, args, f)
	}
	var said []string
	for line := range strings.Lines(r.Stderr) {
		if strings.Contains(line, "power cut") {
			said = append(said, line)
		}
	}
	switch {
	case says == "" && len(said) > 0:
		l.t.Errorf("%s %v: it is said without need: %q", command, args, said)
	case says != "" && (len(said) != 1 || !strings.Contains(said[0], says) || !strings.Contains(said[0], l.Store())):
		l.t.Errorf("%s %v: want %q once: %q", command, args, says, said)
	}
	return r
}
