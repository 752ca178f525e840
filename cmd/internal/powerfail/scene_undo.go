//go:build powerfail

package powerfail

import (
	"bytes"
	"fmt"
	"strings"

	"mailsync/cmd/internal/drive"
)

// undoScene takes back what a restore did. What it takes away must be in the
// quarantine, byte for byte, before it is acknowledged.
type undoScene struct {
	*lossScene
	run string
}

func (s *undoScene) name() string { return "undo" }

func (s *undoScene) prepare(g *ground) error {
	if err := s.lossScene.prepare(g); err != nil {
		return err
	}
	r, err := g.bin.JSON(ctx(), s.lossScene.args(g)...)
	if err != nil {
		return err
	}
	if r.Code != 0 || r.Summary.Run == "" {
		return fmt.Errorf("the restore before the undo: %s", r)
	}
	s.run = r.Summary.Run
	return nil
}

func (s *undoScene) args(*ground) []string { return []string{"undo", s.run, "--yes"} }

func (s *undoScene) acknowledged(l drive.Line) (promise, bool) {
	return promise{line: l}, l.Type == "action" && l.State == "done"
}

func (s *undoScene) check(g *ground, promises []promise) []string {
	files, bad := readTree(g.store())
	seen := map[place][]*found{}
	for _, f := range visible(files) {
		at := place{f.dir, f.base()}
		seen[at] = append(seen[at], f)
		m := s.x.byPlace[at]
		if m == nil {
			bad = append(bad, "nobody's message: "+f.rel)
			continue
		}
		if d, ok := s.damaged[at]; ok && bytes.Equal(f.data, d) {
			continue
		}
		if w := whole(f, m); w != "" {
			bad = append(bad, "visible and not whole: "+w)
		}
	}
	for _, fs := range seen {
		if len(fs) > 1 {
			bad = append(bad, fmt.Sprintf("doubled: %s and %s", fs[0].rel, fs[1].rel))
		}
	}
	kept := map[string]bool{} // contents in the quarantine
	for _, f := range files {
		if f.quarantined() {
			kept[string(f.data)] = true
		}
	}
	for at := range s.gone { // an added message is visible or in the quarantine, never nowhere
		if len(seen[at]) == 0 && !kept[string(s.x.byPlace[at].Stored())] {
			bad = append(bad, "neither in the store nor in the quarantine: "+at.dir+"/"+at.base)
		}
	}
	for at, d := range s.damaged { // the same for both sides of a replacement
		if !kept[string(d)] && !(len(seen[at]) == 1 && bytes.Equal(seen[at][0].data, d)) {
			bad = append(bad, "the damaged original is gone: "+at.dir+"/"+at.base)
		}
	}
	for i := range promises {
		l := &promises[i].line
		m := s.x.promised(l)
		if m == nil || l.Op != "quarantine" {
			continue
		}
		at := placeOf(m)
		if s.gone[at] && len(seen[at]) != 0 {
			bad = append(bad, "acknowledged as taken back and still there: "+seen[at][0].rel)
		}
	}
	for m := range s.e.Messages() {
		at := placeOf(m)
		if !s.gone[at] && len(seen[at]) == 0 {
			bad = append(bad, "lost what was there before the restore: "+m.Path(""))
		}
	}
	return bad
}

func (s *undoScene) final(g *ground, r *drive.Result) []string {
	return append(notRight(r), s.asBefore(g)...)
}

// asBefore tells what of the store is not as it was before the restore.
func (s *lossScene) asBefore(g *ground) []string {
	files, bad := readTree(g.store())
	seen := map[place]*found{}
	for _, f := range visible(files) {
		seen[place{f.dir, f.base()}] = f
	}
	for m := range s.e.Messages() {
		at := placeOf(m)
		f := seen[at]
		switch d, was := s.damaged[at]; {
		case s.gone[at] && f != nil:
			bad = append(bad, "in the end still there: "+f.rel)
		case s.gone[at]:
		case f == nil:
			bad = append(bad, "in the end lost: "+m.Path(""))
		case was && !bytes.Equal(f.data, d):
			bad = append(bad, "in the end not as before the restore: "+f.rel)
		case !was && !bytes.Equal(f.data, m.Stored()):
			bad = append(bad, "in the end changed: "+f.rel)
		}
	}
	return bad
}

// takeBack undoes a run that was cut: what it had done until then goes, and
// nothing else. A run whose journal did not reach the disk has done nothing.
func (s *lossScene) takeBack(g *ground) []string {
	list, err := g.bin.JSON(ctx(), "runs")
	if err != nil {
		return []string{err.Error()}
	}
	for _, l := range list.Find("run") {
		if l.Command != "restore" && l.Command != "apply" {
			continue
		}
		r, err := g.bin.JSON(ctx(), "undo", l.Run, "--yes")
		if err != nil {
			return []string{err.Error()}
		}
		nothing := r.Code == 66 && strings.Contains(r.Summary.Error, "changed nothing")
		if bad := append(r.Faults, notRight(r)...); len(bad) > 0 && !nothing {
			return bad
		}
	}
	return s.asBefore(g)
}
