//go:build powerfail

package powerfail

import (
	"fmt"
	"path/filepath"
)

// applyScene carries out a plan that was made and read before: what it does is
// fixed, also when it is applied a second time to a store that is half done.
type applyScene struct{ *lossScene }

func (s *applyScene) name() string { return "apply" }

func (s *applyScene) plan(g *ground) string { return filepath.Join(g.safe, "apply.plan") }

func (s *applyScene) prepare(g *ground) error {
	if err := s.lossScene.prepare(g); err != nil {
		return err
	}
	r, err := g.bin.JSON(ctx(), "restore", g.store(), "--from", s.replica(g), "--undecided", "restore", "--plan", s.plan(g))
	if err != nil {
		return err
	}
	if (r.Code != 0 && r.Code != 1) || len(r.Faults) > 0 || r.Count("planned") == 0 {
		return fmt.Errorf("making the plan: %s", r)
	}
	return nil
}

func (s *applyScene) args(g *ground) []string { return []string{"apply", s.plan(g), "--yes"} }
