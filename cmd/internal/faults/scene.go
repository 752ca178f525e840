package faults

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
)

// Ground is what every scene stands on: a store, its sound replica, both
// recorded, and the archive of the gateway before them.
//
//	now/store  now/state  now/copy    what a run may change, put back before the next
//	replica  gw.mbox  c.toml          what none changes
type Ground struct {
	Dir    string
	Estate *sample.Estate
	// Run runs a command of mailsync to its end, without any fault.
	Run func(args ...string) (*drive.Result, error)

	archived []sample.Archived
}

// Path returns a path below the ground's directory.
func (g *Ground) Path(parts ...string) string {
	return filepath.Join(append([]string{g.Dir}, parts...)...)
}

// Store is the root of the store that commands work on.
func (g *Ground) Store() string { return g.Path("now", "store") }

// State is the state directory.
func (g *Ground) State() string { return g.Path("now", "state") }

// Config is the configuration file.
func (g *Ground) Config() string { return g.Path("c.toml") }

// NewGround writes everything into a directory and scans both stores.
func NewGround(dir string, run func(args ...string) (*drive.Result, error)) (*Ground, error) {
	g := &Ground{Dir: dir, Run: run, Estate: sample.New(sample.Options{
		Seed: 1, Mailboxes: 2, PerMailbox: 6, Size: 900, Folders: []string{"INBOX", "Sent"},
	})}
	for _, at := range []string{g.Path("replica"), g.Store()} {
		if err := g.Estate.Write(at); err != nil {
			return nil, err
		}
	}
	conf := fmt.Sprintf("state_copies = [%q]\n[stores.primary]\npath = %q\nlayout = %q\nrole = \"primary\"\n[stores.replica]\npath = %q\nlayout = %q\n[archives.gw]\npath = %q\n",
		g.Path("now", "copy"), g.Store(), sample.Layout, g.Path("replica"), sample.Layout, g.Path("gw.mbox"))
	if err := os.WriteFile(g.Config(), []byte(conf), 0o644); err != nil {
		return nil, err
	}
	// What the archive holds, none of it in a folder to which users move mail.
	g.archived = g.Estate.Gateway(func(m *sample.Message) bool { return m.Folder == "INBOX" && m.ID != "" })
	var mbox bytes.Buffer
	if err := sample.WriteMbox(&mbox, g.archived); err != nil {
		return nil, err
	}
	if err := os.WriteFile(g.Path("gw.mbox"), mbox.Bytes(), 0o600); err != nil {
		return nil, err
	}
	for _, store := range []string{"primary", "replica"} {
		if err := g.clean("scan", store); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// clean runs a command that must find nothing.
func (g *Ground) clean(args ...string) error {
	r, err := g.Run(args...)
	if err == nil && (r.Code != 0 || len(r.Faults) > 0) {
		err = fmt.Errorf("mailsync %s: %s", strings.Join(args, " "), r)
	}
	return err
}

// Keep makes what is now the state from which every run begins.
func (g *Ground) Keep() error { return sample.Mirror(g.Path("now"), g.Path("begin")) }

// Reset goes back to it. Inodes stay, so that the record knows the store.
func (g *Ground) Reset() error { return sample.Mirror(g.Path("begin"), g.Path("now")) }

// Scene is one command, what comes before it, and what must be true after it,
// whatever has failed in it.
type Scene struct {
	Name string
	// Prepare makes the state before the command, once.
	Prepare func(g *Ground) error
	// Args returns the command; it may run others before.
	Args func(g *Ground) ([]string, error)
	// After returns what is wrong with what the run did and said.
	After func(g *Ground, args []string, r *drive.Result) ([]string, error)
}

// Scenes lists the commands that are made to fail.
func Scenes() []Scene {
	still := func(*Ground) error { return nil }
	fixed := func(args ...string) func(*Ground) ([]string, error) {
		return func(*Ground) ([]string, error) { return args, nil }
	}
	restore := []string{"restore", "primary", "--from", "replica", "--undecided", "restore", "--yes"}
	replay := []string{"replay", "--from", "gw", "--to", "primary", "--since", "all", "--yes"}
	return []Scene{
		{Name: "first scan", Prepare: forget, Args: fixed("scan", "primary"), After: recorded},
		{Name: "scan", Prepare: change, Args: fixed("scan", "primary"), After: rescanned},
		{Name: "verify", Prepare: still, Args: fixed("verify", "primary"), After: untouched},
		{Name: "diff", Prepare: lose, Args: fixed("diff", "primary", "replica"), After: untouched},
		{Name: "restore", Prepare: lose, Args: fixed(restore...), After: restored},
		{Name: "apply", Prepare: lose, Args: func(g *Ground) ([]string, error) {
			// A plan holds inodes: it is of this very store.
			plan := append(slices.Clone(restore[:len(restore)-1]), "--plan", g.Path("now", "plan"))
			r, err := g.Run(plan...)
			if err == nil && r.Code != 1 {
				err = fmt.Errorf("%v: %s", plan, r)
			}
			return []string{"apply", g.Path("now", "plan"), "--yes"}, err
		}, After: restored},
		{Name: "undo", Prepare: func(g *Ground) error {
			if err := lose(g); err != nil {
				return err
			}
			return sample.Mirror(g.Store(), g.Path("before"))
		}, Args: func(g *Ground) ([]string, error) {
			// It looks at inodes: the restore before it is of this very store.
			r, err := g.Run(restore...)
			if err == nil && r.Code != 0 {
				err = fmt.Errorf("%v: %s", restore, r)
			}
			if err != nil {
				return nil, err
			}
			return []string{"undo", r.Summary.Run, "--yes"}, nil
		}, After: undone},
		{Name: "audit", Prepare: gap, Args: fixed("audit", "--from", "gw", "--to", "primary", "--since", "all"), After: untouched},
		{Name: "replay", Prepare: gap, Args: fixed(replay...), After: replayed},
	}
}

// forget removes the record.
func forget(g *Ground) error {
	if err := os.RemoveAll(g.Path("now", "copy")); err != nil {
		return err
	}
	if err := removeBelow(g.State()); err != nil {
		return err
	}
	_ = os.Remove(g.State()) // a mount point stays
	return nil
}

func removeBelow(dir string) error {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return err
}

// lose removes every third message and empties some others.
func lose(g *Ground) error {
	i := 0
	for m := range g.Estate.Messages() {
		var err error
		if i++; i%3 == 0 {
			err = os.Remove(m.Path(g.Store()))
		} else if i%7 == 0 {
			err = os.WriteFile(m.Path(g.Store()), nil, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// change is what happens between two scans: a message is filed elsewhere, and
// one is damaged.
func change(g *Ground) error {
	box := g.Estate.Boxes[0]
	m := box.Folders[0].Messages[0]
	to := filepath.Join(g.Store(), box.Path, box.Folders[1].Dir, "cur", m.Base()+":2,S")
	if err := os.Rename(m.Path(g.Store()), to); err != nil {
		return err
	}
	return os.WriteFile(g.Estate.Boxes[1].Folders[0].Messages[0].Path(g.Store()), nil, 0o600)
}

// gap takes half of what the archive holds out of the store, and nobody knows
// that it was ever there.
func gap(g *Ground) error {
	for i, a := range g.archived {
		if i%2 == 0 {
			if err := os.Remove(a.Message.Path(g.Store())); err != nil {
				return err
			}
		}
	}
	return forget(g)
}

// untouched wants the store as it was.
func untouched(g *Ground, _ []string, _ *drive.Result) ([]string, error) {
	return differs(g.Path("begin", "store"), g.Store())
}

// differs compares two trees by names and bytes, without what mailsync itself
// and quotas keep there.
func differs(a, b string) ([]string, error) {
	out, err := exec.Command("diff", "-rq", "--exclude=.mailsync", "--exclude=maildirsize", a, b).Output()
	if err != nil && len(out) == 0 {
		return nil, err
	}
	var bad []string
	for line := range strings.Lines(string(out)) {
		bad = append(bad, "the store is not as before: "+strings.TrimSpace(line))
	}
	return bad, nil
}

// recorded wants that the next scan has everything, and verify agrees.
func recorded(g *Ground, args []string, r *drive.Result) ([]string, error) {
	bad, err := untouched(g, args, r)
	if err != nil {
		return bad, err
	}
	again, err := g.Run(args...)
	if err != nil {
		return bad, err
	}
	if again.Code != 0 || again.Count("messages") != int64(g.Estate.Count()) || again.Count("damaged") != 0 {
		bad = append(bad, "the next scan: "+again.String())
	}
	v, err := g.Run("verify", "primary")
	if err != nil {
		return bad, err
	}
	if v.Code != 0 {
		bad = append(bad, "verify after the next scan: "+v.String())
	}
	return bad, nil
}

// rescanned wants that the damage is found by the next scan still, and nothing
// else. Where the folder could not be read out of which a message was moved, the
// next scan cannot tell why it is gone from there.
func rescanned(g *Ground, args []string, r *drive.Result) ([]string, error) {
	bad, err := untouched(g, args, r)
	if err != nil {
		return bad, err
	}
	again, err := g.Run(args...)
	if err != nil {
		return bad, err
	}
	unsure := int64(0)
	if r.Code == 3 {
		unsure = 1
	}
	if again.Code != 1 || again.Count("messages") != int64(g.Estate.Count()) || again.Count("damaged") != 1 || again.Count("vanished") > unsure {
		bad = append(bad, "the next scan: "+again.String())
	}
	return bad, nil
}

// restored wants what was acknowledged, nothing by halves or twice, and that
// the same command again completes.
func restored(g *Ground, args []string, r *drive.Result) ([]string, error) {
	done := map[string]bool{}
	for _, a := range r.Find("action") {
		if a.State == "done" && (a.Op == "add" || a.Op == "replace") {
			done[a.Mailbox+"/"+a.Folder+"/"+filepath.Base(a.Name())] = true
		}
	}
	var bad []string
	for m := range g.Estate.Messages() {
		if !done[m.Address+"/"+m.Folder+"/"+m.Name()] {
			continue
		}
		if p, err := os.ReadFile(m.Path(g.Store())); err != nil || !bytes.Equal(p, m.Stored()) {
			bad = append(bad, "acknowledged and not there: "+m.File())
		}
	}
	for _, b := range g.Estate.Check(g.Store()) {
		if r.Code == 0 {
			bad = append(bad, "exit 0 although "+b)
		} else if !strings.HasPrefix(b, "0 times there") && !strings.HasSuffix(b, " has 0 bytes") {
			bad = append(bad, b)
		}
	}
	again, err := g.Run(args...)
	if err != nil {
		return bad, err
	}
	if again.Code != 0 && !(args[0] == "apply" && again.Code == 1) {
		bad = append(bad, "the same command again: "+again.String())
	}
	for _, b := range g.Estate.Check(g.Store()) {
		bad = append(bad, "after the same command again: "+b)
	}
	return bad, nil
}

// undone wants that the next undo ends where the store was.
func undone(g *Ground, args []string, _ *drive.Result) ([]string, error) {
	again, err := g.Run(args...)
	if err != nil {
		return nil, err
	}
	var bad []string
	if again.Code != 0 && again.Code != 66 { // 66: it is undone
		bad = append(bad, "the next undo: "+again.String())
	}
	more, err := differs(g.Path("before"), g.Store())
	return append(bad, more...), err
}

// replayed wants that every archived message is there once, in the end.
func replayed(g *Ground, args []string, r *drive.Result) ([]string, error) {
	bad, err := g.countArchived(func(n int) bool { return n <= 1 && (r.Code != 0 || n == 1) })
	if err != nil {
		return bad, err
	}
	again, err := g.Run(args...)
	if err != nil {
		return bad, err
	}
	if again.Code != 0 {
		bad = append(bad, "the next replay: "+again.String())
	}
	more, err := g.countArchived(func(n int) bool { return n == 1 })
	return append(bad, more...), err
}

// countArchived tells which messages of the archive are in their mailboxes as
// often as they must not be.
func (g *Ground) countArchived(good func(n int) bool) ([]string, error) {
	var bad []string
	for _, b := range g.Estate.Boxes {
		var text bytes.Buffer
		for _, sub := range []string{"new", "cur"} {
			names, err := filepath.Glob(filepath.Join(g.Store(), b.Path, sub, "*"))
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				p, err := os.ReadFile(n)
				if err != nil {
					return nil, err
				}
				text.Write(p)
			}
		}
		for _, a := range g.archived {
			if a.Message.Address != b.Address {
				continue
			}
			if n := bytes.Count(text.Bytes(), []byte("Message-ID: "+a.Message.ID+"\n")); !good(n) {
				bad = append(bad, fmt.Sprintf("%s is %d times in %s", a.Message.ID, n, b.Address))
			}
		}
	}
	return bad, nil
}
