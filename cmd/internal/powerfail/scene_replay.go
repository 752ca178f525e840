//go:build powerfail

package powerfail

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
)

// replayScene has a store with a gap, and the gateway's archive.
type replayScene struct {
	e          *sample.Estate
	since      time.Time
	until      time.Time
	archived   map[string]sample.Archived // by Message-ID
	addressDir map[string]string          // recipient -> INBOX directory
}

func (s *replayScene) name() string { return "replay" }

func (s *replayScene) prepare(g *ground) error {
	s.since = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	s.until = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	s.archived, s.addressDir = map[string]sample.Archived{}, map[string]string{}
	for _, b := range s.e.Boxes {
		s.addressDir[b.Address] = b.Path
	}
	if err := os.MkdirAll(g.store(), 0o755); err != nil {
		return err
	}
	if err := s.e.Write(g.store()); err != nil {
		return err
	}
	var mail []sample.Archived
	for _, a := range s.e.Gateway(func(m *sample.Message) bool { return m.ID != "" }) {
		if a.Arrival.Before(s.since) || !a.Arrival.Before(s.until) {
			continue
		}
		mail = append(mail, a)
		s.archived[a.Message.ID] = a
	}
	for m := range s.e.Messages() {
		if m.ID == "" && !m.Date.Before(s.since) && m.Date.Before(s.until) {
			continue // not in the archive: it stays where it is
		}
		if a, ok := s.archived[m.ID]; ok && a.Message == m {
			if err := os.Remove(m.Path(g.store())); err != nil {
				return err
			}
		}
	}
	if err := s.rewriteUIDLists(g); err != nil {
		return err
	}
	if err := chownAll(g.store()); err != nil {
		return err
	}
	w, err := os.Create(s.mbox(g))
	if err != nil {
		return err
	}
	defer w.Close()
	if err := sample.WriteMbox(w, mail); err != nil {
		return err
	}
	config := fmt.Sprintf("[stores.primary]\npath = %q\nlayout = %q\nrole = \"primary\"\n\n[archives.gateway]\npath = %q\n", g.store(), sample.Layout, s.mbox(g))
	return os.WriteFile(s.config(g), []byte(config), 0o644)
}

// rewriteUIDLists leaves only what is there, as on a promoted backup.
func (s *replayScene) rewriteUIDLists(g *ground) error {
	for _, b := range s.e.Boxes {
		for _, f := range b.Folders {
			kept := *f
			kept.Messages = nil
			for _, m := range f.Messages {
				if _, err := os.Stat(m.Path(g.store())); err == nil {
					kept.Messages = append(kept.Messages, m)
				}
			}
			if err := os.WriteFile(filepath.Join(g.store(), b.Path, f.Dir, "dovecot-uidlist"), kept.UIDList(), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *replayScene) mbox(g *ground) string   { return filepath.Join(g.safe, "replay.mbox") }
func (s *replayScene) config(g *ground) string { return filepath.Join(g.safe, "replay.toml") }

func (s *replayScene) args(g *ground) []string {
	return []string{"replay", "--config", s.config(g), "--from", "gateway", "--since", s.since.Format(time.RFC3339), "--until", s.until.Format(time.RFC3339), "--yes"}
}

func (s *replayScene) acknowledged(l drive.Line) (promise, bool) {
	return promise{line: l}, l.Type == "delivery" && l.Outcome == "delivered"
}

// look reads the store: which archived messages are in which INBOX, and what
// is visible and not whole.
func (s *replayScene) look(g *ground) (seen map[[2]string][]*found, bad []string) {
	files, bad := readTree(g.store())
	known := map[place]*sample.Message{}
	for m := range s.e.Messages() {
		known[placeOf(m)] = m
	}
	byContent := map[string]string{}
	for id, a := range s.archived {
		byContent[string(a.Data)] = id
	}
	seen = map[[2]string][]*found{}
	for _, f := range visible(files) {
		if m := known[place{f.dir, f.base()}]; m != nil {
			if w := whole(f, m); w != "" {
				bad = append(bad, "what was there before has changed: "+w)
			}
			continue
		}
		id, ok := byContent[string(f.data)]
		if !ok {
			bad = append(bad, fmt.Sprintf("visible and not whole: %s (%d bytes, %d NULs)", f.rel, len(f.data), bytes.Count(f.data, []byte{0})))
			continue
		}
		a := s.archived[id]
		seen[[2]string{f.dir, id}] = append(seen[[2]string{f.dir, id}], f)
		if f.mtime.Unix() != a.Arrival.Unix() {
			bad = append(bad, fmt.Sprintf("%s: its date is %v, not %v", f.rel, f.mtime.UTC(), a.Arrival))
		}
		if f.uid != owner {
			bad = append(bad, fmt.Sprintf("%s: it is owned by %d", f.rel, f.uid))
		}
	}
	for k, fs := range seen {
		if len(fs) > 1 {
			bad = append(bad, fmt.Sprintf("doubled: %s in %s (same inode: %v)", k[1], k[0], fs[0].ino == fs[1].ino))
		}
	}
	return seen, bad
}

func (s *replayScene) check(g *ground, promises []promise) []string {
	seen, bad := s.look(g)
	for _, p := range promises {
		if p.line.MessageID == nil {
			bad = append(bad, "delivered what has no Message-ID: "+p.line.Raw)
			continue
		}
		dir := s.addressDir[p.line.Recipient]
		if len(seen[[2]string{dir, *p.line.MessageID}]) == 0 {
			bad = append(bad, fmt.Sprintf("acknowledged and lost: %s for %s", *p.line.MessageID, p.line.Recipient))
		}
	}
	return bad
}

func (s *replayScene) final(g *ground, r *drive.Result) []string {
	seen, bad := s.look(g)
	if r.Code != 0 {
		bad = append(bad, "the second run: "+told(r))
	}
	for id, a := range s.archived {
		for _, to := range a.To {
			if n := len(seen[[2]string{s.addressDir[to], id}]); n != 1 {
				bad = append(bad, fmt.Sprintf("in the end %d times there: %s for %s", n, id, to))
			}
		}
	}
	third, err := g.bin.JSON(ctx(), s.args(g)...)
	if err != nil {
		return append(bad, err.Error())
	}
	if third.Count("delivered") != 0 || third.Code != 0 {
		bad = append(bad, "one more replay delivers again: "+told(third))
	}
	return bad
}
