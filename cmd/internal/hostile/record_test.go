//go:build hostile

package hostile

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailsync/cmd/internal/sample"
)

// files lists the regular files below a directory, sorted.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out = append(out, path)
		}
		return err
	}))
	slices.Sort(out)
	return out
}

// harms yields changed forms of a file: cut at places, flipped at places,
// emptied, filled with NULs, doubled.
func harms(p []byte, n int) map[string][]byte {
	out := map[string][]byte{
		"empty":   {},
		"NULs":    make([]byte, len(p)),
		"doubled": append(bytes.Clone(p), p...),
		"grown":   append(bytes.Clone(p), "xyz"...),
	}
	for i := range n {
		at := len(p) * i / n
		out[fmt.Sprintf("cut at %d", at)] = bytes.Clone(p[:at])
		f := bytes.Clone(p)
		if len(f) > 0 {
			f[at] ^= 1 << (i % 8)
		}
		out[fmt.Sprintf("flipped at %d", at)] = f
	}
	return out
}

// Any file of the record, cut or flipped anywhere: the commands that need it
// say so, none panics, none takes what is left for the truth.
func TestRecordHarmed(t *testing.T) {
	g := newGround(t, sample.Options{Seed: 5, Mailboxes: 2, PerMailbox: 8})
	g.once([]int{0}, "scan", g.store())
	g.once([]int{0}, "scan", g.replica())
	before := g.look("store")
	codes := []int{0, 1, 3, 65}
	list := files(t, g.path("state"))
	if len(list) < 4 {
		t.Fatalf("the record has only %d files", len(list))
	}
	n := size(6, 2)
	tried, noticed := 0, 0
	for _, path := range list {
		rel, _ := filepath.Rel(g.path("state"), path)
		good, err := os.ReadFile(path)
		must(t, err)
		for how, p := range harms(good, n) {
			if bytes.Equal(p, good) {
				continue
			}
			must(t, os.WriteFile(path, p, 0o600))
			check := g.once(nil, "manifest", "check", g.store())
			verify := g.once(codes, "verify", g.store())
			diff := g.once(codes, "diff", g.store(), g.replica(), "--recorded", g.store(), "--recorded", g.replica())
			tried++
			// A difference or damage that is not there would be a lie told by a harmed record.
			for _, l := range append(verify.Find("finding"), diff.Find("difference")...) {
				if l.Type == "difference" || l.Kind != "unreadable" && l.Certainty != "unknown" {
					t.Errorf("%s %s: a lie: %s", rel, how, l.Raw)
				}
			}
			if check.Code != 0 || verify.Code > 1 || diff.Code > 1 {
				noticed++
			} else if strings.HasSuffix(rel, ".msm") || strings.Contains(rel, "manifest") {
				t.Logf("%s %s: nobody noticed", rel, how)
			}
			must(t, os.WriteFile(path, good, 0o600))
		}
	}
	t.Logf("%d harms to %d files of the record; noticed %d", tried, len(list), noticed)
	for _, d := range same(before, g.look("store")) {
		t.Errorf("the store has changed: %s", d)
	}
	g.once([]int{0}, "verify", g.store())
}

// Any byte of a plan flipped, or the plan cut: it is refused whole.
func TestPlanHarmed(t *testing.T) {
	g := newGround(t, sample.Options{Seed: 6, Mailboxes: 2, PerMailbox: 10})
	g.once([]int{0}, "scan", g.store())
	g.once([]int{0}, "scan", g.replica())
	for _, m := range g.e.Boxes[0].Folders[0].Messages[:3] {
		must(t, os.Remove(m.Path(g.store())))
	}
	plan := g.path("plan")
	g.once([]int{1}, "restore", g.store(), "--from", g.replica(), "--undecided", "restore", "--plan", plan)
	good, err := os.ReadFile(plan)
	must(t, err)
	before := g.look("store")
	n := size(60, 12)
	for how, p := range harms(good, n) {
		if bytes.Equal(p, good) {
			continue
		}
		must(t, os.WriteFile(plan, p, 0o600))
		r := g.once([]int{65}, "apply", plan, "--yes")
		if r.Code == 0 {
			t.Errorf("a plan was applied although it was %s", how)
		}
	}
	for _, d := range same(before, g.look("store")) {
		t.Errorf("the store has changed: %s", d)
	}
	must(t, os.WriteFile(plan, good, 0o600))
	g.once([]int{0}, "apply", plan, "--yes")
	for _, bad := range g.e.Check(g.store()) {
		t.Errorf("after the sound plan: %s", bad)
	}
}

// The journal of a run, cut or flipped anywhere: undo takes back what it can
// prove, refuses otherwise, and never touches another message.
func TestJournalHarmed(t *testing.T) {
	g := newGround(t, sample.Options{Seed: 7, Mailboxes: 2, PerMailbox: 10})
	g.once([]int{0}, "scan", g.store())
	g.once([]int{0}, "scan", g.replica())
	lost := g.e.Boxes[0].Folders[0].Messages[:3]
	for _, m := range lost {
		must(t, os.Remove(m.Path(g.store())))
	}
	known := map[string]bool{}
	for _, f := range files(t, g.path("state")) {
		known[f] = true
	}
	r := g.once([]int{0}, "restore", g.store(), "--from", g.replica(), "--undecided", "restore", "--yes")
	run := r.Summary.Run
	var journals []string
	for _, f := range files(t, g.path("state")) {
		if !known[f] {
			journals = append(journals, f)
		}
	}
	if len(journals) == 0 {
		t.Fatal("the run left nothing in the state directory")
	}
	n := size(12, 4)
	mine := map[string]bool{}
	for _, m := range lost {
		mine[m.Path(g.store())] = true
	}
	before := g.look("store")
	for _, path := range journals {
		rel, _ := filepath.Rel(g.path("state"), path)
		good, err := os.ReadFile(path)
		must(t, err)
		for how, p := range harms(good, n) {
			if bytes.Equal(p, good) {
				continue
			}
			must(t, os.WriteFile(path, p, 0o600))
			g.once([]int{0, 1, 3, 65, 66}, "runs")
			g.once([]int{0, 1, 3, 65, 66}, "undo", run, "--dry-run")
			must(t, os.WriteFile(path, good, 0o600))
			for _, d := range same(before, g.look("store")) {
				t.Errorf("%s %s: the store has changed: %s", rel, how, d)
			}
		}
	}
	g.once([]int{0}, "undo", run, "--yes")
	for path := range same2(before, g.look("store")) {
		if !mine[path] && !strings.Contains(path, "/.mailsync") && !strings.HasSuffix(path, "/maildirsize") {
			t.Errorf("undo touched %s", path)
		}
	}
	g.once([]int{66}, "undo", "no-such-run", "--yes")
}

// same2 returns the paths of files that differ.
func same2(a, b map[string]string) map[string]bool {
	out := map[string]bool{}
	for k, v := range a {
		if b[k] != v && !strings.HasPrefix(v, "d") {
			out[k] = true
		}
	}
	for k, v := range b {
		if _, ok := a[k]; !ok && !strings.HasPrefix(v, "d") {
			out[k] = true
		}
	}
	return out
}

// A configuration cut at any byte, or with any byte flipped, is read or
// refused with 78, and names where.
func TestConfigHarmed(t *testing.T) {
	g := newGround(t, sample.Options{Seed: 8, Mailboxes: 1, PerMailbox: 2})
	good := []byte(fmt.Sprintf("state = %q\n\n[stores.primary]\npath = %q\nlayout = %q\nrole = \"primary\"\n\n[archives.gw]\npath = %q\n\n[recipients]\ndelimiter = \"+\"\n", g.path("state"), g.store(), sample.Layout, g.path("x")))
	path := g.path("c.toml")
	g.bin.Config, g.bin.State = path, ""
	step := size(3, 23)
	for i := 0; i < len(good); i += step {
		for _, p := range [][]byte{good[:i], flip(good, i, 0x20), flip(good, i, 0x80)} {
			must(t, os.WriteFile(path, p, 0o644))
			r := g.once([]int{0, 1, 3, 78, 66, 65}, "config", "check")
			if r.Code == 78 && len(r.Lines) == 1 && !strings.Contains(r.Summary.Error+r.Summary.Hint+r.Stderr, "c.toml") {
				t.Errorf("an error that does not name the file: %s", r)
			}
		}
	}
}

func flip(p []byte, at int, mask byte) []byte {
	p = bytes.Clone(p)
	p[at] ^= mask
	return p
}
