//go:build powerfail

package powerfail

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"mailsync/cmd/internal/drive"
)

// records looks at what a cut left of the state directory: journals are runs
// that ended or were killed, whatever their last block looks like, and manifests
// are whole. A run of the command that has acknowledged something must be known.
func records(g *ground, command string, made []promise) []string {
	r, err := g.bin.JSON(ctx(), "runs")
	if err != nil {
		return []string{err.Error()}
	}
	bad := append([]string{}, r.Faults...)
	if r.Code != 0 {
		bad = append(bad, "the journals after the cut: "+told(r))
	}
	wrote := slices.ContainsFunc(made, func(p promise) bool { return p.line.Type != "summary" })
	known := slices.ContainsFunc(r.Find("run"), func(l drive.Line) bool { return l.Command == command })
	if wrote && !known {
		bad = append(bad, "acknowledged, and no journal knows of the run: "+told(r))
	}
	if found, _ := filepath.Glob(filepath.Join(g.state(), "stores", "*")); len(found) == 0 {
		return bad // never scanned
	}
	m, err := g.bin.JSON(ctx(), "manifest", "check", g.store())
	if err != nil {
		return append(bad, err.Error())
	}
	bad = append(bad, m.Faults...)
	if m.Code != 0 {
		bad = append(bad, "the manifests after the cut: "+told(m))
	}
	return bad
}

// notRight tells what was wrong with a run that nothing disturbed. An undo that
// was cut behind its end has nothing left to take back (66).
func notRight(r *drive.Result) []string {
	if r.Code == 0 || (r.Code == 66 && strings.Contains(r.Summary.Error, "undone by")) {
		return nil
	}
	return []string{fmt.Sprintf("a run that goes on after a cut: %s", told(r))}
}
