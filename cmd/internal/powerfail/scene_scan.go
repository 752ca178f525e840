//go:build powerfail

package powerfail

import (
	"fmt"
	"os"
	"strings"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
)

// scanScene records a store whose record is on the disk that is cut. What it
// promises is the whole record, once it has ended.
type scanScene struct {
	e *sample.Estate
}

func (s *scanScene) name() string { return "scan" }

func (s *scanScene) prepare(g *ground) error {
	if err := os.MkdirAll(g.store(), 0o755); err != nil {
		return err
	}
	// An older record of half of the mailboxes is there already.
	half := *s.e
	half.Boxes = s.e.Boxes[:len(s.e.Boxes)/2]
	if err := half.Write(g.store()); err != nil {
		return err
	}
	if err := runClean(g, "scan", g.store()); err != nil {
		return err
	}
	if err := s.e.Write(g.store()); err != nil {
		return err
	}
	return nil
}

func (s *scanScene) args(g *ground) []string { return []string{"scan", g.store()} }

func (s *scanScene) acknowledged(l drive.Line) (promise, bool) {
	return promise{line: l}, l.Type == "summary" && l.Exit == 0
}

func (s *scanScene) check(g *ground, promises []promise) []string {
	if len(promises) == 0 {
		return nil // records looks at what there is
	}
	return s.complete(g)
}

// complete tells what of the store the record lacks.
func (s *scanScene) complete(g *ground) []string {
	r, err := g.bin.Text(ctx(), "manifest", "export", g.store())
	if err != nil {
		return []string{err.Error()}
	}
	want := map[string]int{}
	for m := range s.e.Messages() {
		want[m.Digest().String()]++
	}
	var bad []string
	lines := 0
	for _, l := range splitLines(r.Stdout) {
		d := digestIn(l)
		if d == "" || strings.Contains(l, `"type":"mailbox"`) {
			continue
		}
		lines++
		if want[d] == 0 {
			bad = append(bad, "the record holds what is not there: "+l)
			continue
		}
		want[d]--
	}
	if lines != s.e.Count() {
		bad = append(bad, fmt.Sprintf("the record of a finished scan holds %d messages, the store %d: %s", lines, s.e.Count(), r))
	}
	return bad
}

func (s *scanScene) final(g *ground, r *drive.Result) []string {
	var bad []string
	if r.Code != 0 {
		bad = append(bad, "the second scan: "+told(r))
	}
	bad = append(bad, s.complete(g)...)
	v, err := g.bin.JSON(ctx(), "verify", g.store())
	if err != nil {
		return append(bad, err.Error())
	}
	if v.Code != 0 {
		bad = append(bad, "verify after the second scan: "+v.String())
	}
	return bad
}
