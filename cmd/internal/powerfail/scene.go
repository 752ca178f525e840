//go:build powerfail

package powerfail

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
	"mailsync/manifest"
)

// ground is what a scene stands on: the mount point of the file system that
// will be cut, which holds store and state, and a directory that will not.
type ground struct {
	mnt  string // below it: store, state
	safe string // replicas, archives, configuration
	bin  drive.Bin
}

func (g *ground) store() string { return filepath.Join(g.mnt, "store") }
func (g *ground) state() string { return filepath.Join(g.mnt, "state") }

// scene is one command under the power cut.
type scene interface {
	name() string
	// prepare puts the ground into the state before the command.
	prepare(g *ground) error
	// args is the command that is cut, and run again afterwards.
	args(g *ground) []string
	// acknowledged tells whether a line promises something, and what.
	acknowledged(l drive.Line) (promise, bool)
	// check looks at the store after a cut. promises are those that were made before it.
	check(g *ground, promises []promise) []string
	// final looks at the store after the command was run again to its end.
	final(g *ground, r *drive.Result) []string
}

// promise is what an acknowledgement said.
type promise struct {
	at   int // position in the log
	line drive.Line
}

// estate is what is tried: small messages in many folders, so that a run has
// many batches and the log many flushes.
func estate(seed uint64, perMailbox int) *sample.Estate {
	return sample.New(sample.Options{Seed: seed, Mailboxes: 4, PerMailbox: perMailbox, Size: 1100, Spread: 0.5, MaxSize: 20000, Odd: true})
}

// owner is the account that owns the mailboxes: what is restored must be its.
const owner = 5000

func chownAll(root string) error {
	return filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, owner, owner)
	})
}

// messages indexes the estate by the mailbox' name, folder and file name.
type messages struct {
	e       *sample.Estate
	byPlace map[place]*sample.Message
	folders map[[2]string]string // (mailbox by path or address, folder name) -> directory
}

func index(e *sample.Estate) *messages {
	x := &messages{e: e, byPlace: map[place]*sample.Message{}, folders: map[[2]string]string{}}
	for _, b := range e.Boxes {
		for _, f := range b.Folders {
			dir := filepath.Join(b.Path, f.Dir)
			x.folders[[2]string{b.ByPath, f.Name}] = dir
			x.folders[[2]string{b.Address, f.Name}] = dir
		}
	}
	for m := range e.Messages() {
		x.byPlace[placeOf(m)] = m
	}
	return x
}

// promised returns the message that an action is about.
func (x *messages) promised(l *drive.Line) *sample.Message {
	dir, ok := x.folders[[2]string{l.Mailbox, l.Folder}]
	if !ok {
		return nil
	}
	base, _, _ := strings.Cut(filepath.Base(l.Name()), ":")
	return x.byPlace[place{dir, base}]
}

// whole compares a visible file with what it should be.
func whole(f *found, m *sample.Message) string {
	switch {
	case !bytes.Equal(f.data, m.Stored()):
		return fmt.Sprintf("%s: %s", f.rel, whatIsWrong(f.data, m.Stored()))
	case f.mtime.Unix() != m.Date.Unix():
		return fmt.Sprintf("%s: its date is %s, not %s", f.rel, f.mtime.UTC().Format(time.RFC3339), m.Date.Format(time.RFC3339))
	case f.uid != owner:
		return fmt.Sprintf("%s: it is owned by %d", f.rel, f.uid)
	}
	return ""
}

func whatIsWrong(got, want []byte) string {
	nul := bytes.Count(got, []byte{0})
	switch {
	case len(got) == 0:
		return fmt.Sprintf("empty, should have %d bytes", len(want))
	case nul == len(got):
		return "filled with NULs"
	case len(got) != len(want):
		return fmt.Sprintf("%d bytes (%d NULs), should have %d", len(got), nul, len(want))
	}
	return fmt.Sprintf("other content (%d NULs)", nul)
}

// lossScene has a store that lost and damaged mail, and a replica that has it:
// restore, then undo.
type lossScene struct {
	e       *sample.Estate
	x       *messages
	gone    map[place]bool   // removed before the run
	damaged map[place][]byte // what was put in its place
	empty   bool             // the target has no mailboxes at all: a migration
}

func (s *lossScene) name() string {
	if s.empty {
		return "migrate"
	}
	return "restore"
}

func (s *lossScene) replica(g *ground) string { return filepath.Join(g.safe, s.name()+"-replica") }

func (s *lossScene) prepare(g *ground) error {
	if err := os.RemoveAll(s.replica(g)); err != nil {
		return err
	}
	if err := s.e.Write(s.replica(g)); err != nil {
		return err
	}
	s.gone, s.damaged = map[place]bool{}, map[place][]byte{}
	if err := os.MkdirAll(g.store(), 0o755); err != nil {
		return err
	}
	if s.empty {
		for m := range s.e.Messages() {
			s.gone[placeOf(m)] = true
		}
		return os.Chown(g.store(), owner, owner)
	}
	if err := s.e.Write(g.store()); err != nil {
		return err
	}
	if err := chownAll(g.store()); err != nil {
		return err
	}
	for _, args := range [][]string{{"scan", g.store()}, {"scan", s.replica(g)}} {
		if err := runClean(g, args...); err != nil {
			return err
		}
	}
	return s.lose(g)
}

// lose removes half of the messages and damages some of the others.
func (s *lossScene) lose(g *ground) error {
	v := sample.NewVandal(s.e, g.store(), 1)
	kinds := []manifest.Kind{manifest.Empty, manifest.NULFilled, manifest.Truncated, manifest.NULTail, manifest.ContentChanged}
	i := 0
	for m := range s.e.Messages() {
		i++
		switch {
		case i%2 == 0:
			if _, err := v.BreakMessage(m, manifest.Missing); err != nil {
				return err
			}
			s.gone[placeOf(m)] = true
		case i%9 == 0 && len(m.Stored()) > 1200:
			if _, err := v.BreakMessage(m, kinds[i/9%len(kinds)]); err != nil {
				return err
			}
			p, err := os.ReadFile(m.Path(g.store()))
			if err != nil {
				return err
			}
			s.damaged[placeOf(m)] = p
		}
	}
	return nil
}

func (s *lossScene) args(g *ground) []string {
	return []string{"restore", g.store(), "--from", s.replica(g), "--undecided", "restore", "--yes"}
}

func (s *lossScene) acknowledged(l drive.Line) (promise, bool) {
	return promise{line: l}, l.Type == "action" && l.State == "done"
}

func (s *lossScene) check(g *ground, promises []promise) []string {
	files, bad := readTree(g.store())
	seen := map[place][]*found{}
	for _, f := range visible(files) {
		at := place{f.dir, f.base()}
		seen[at] = append(seen[at], f)
		m := s.x.byPlace[at]
		if m == nil {
			bad = append(bad, fmt.Sprintf("%s: nobody's message", f.rel))
			continue
		}
		if d, ok := s.damaged[at]; ok && bytes.Equal(f.data, d) {
			continue // not yet replaced
		}
		if w := whole(f, m); w != "" {
			bad = append(bad, "visible and not whole: "+w)
		}
	}
	for at, fs := range seen {
		if len(fs) > 1 {
			bad = append(bad, fmt.Sprintf("doubled: %s and %s (same inode: %v)", fs[0].rel, fs[1].rel, fs[0].ino == fs[1].ino))
		}
		_ = at
	}
	for i := range promises {
		bad = append(bad, s.keptPromise(g, &promises[i].line, seen)...)
	}
	for m := range s.e.Messages() { // what nobody touched must be there
		at := placeOf(m)
		if !s.gone[at] && len(seen[at]) == 0 {
			bad = append(bad, fmt.Sprintf("lost what was not to be touched: %s", m.Path("")))
		}
	}
	return bad
}

func (s *lossScene) keptPromise(g *ground, l *drive.Line, seen map[place][]*found) []string {
	switch l.Op {
	case "mkdir":
		dir, ok := s.x.folders[[2]string{l.Mailbox, l.Folder}]
		if !ok {
			dir = s.x.folders[[2]string{l.Mailbox, "INBOX"}]
		}
		for _, sub := range []string{"cur", "new", "tmp"} {
			if fi, err := os.Stat(filepath.Join(g.store(), dir, sub)); err != nil || !fi.IsDir() {
				return []string{fmt.Sprintf("acknowledged and lost: the directory %s/%s", dir, sub)}
			}
		}
		return nil
	case "add", "replace":
	default:
		return nil
	}
	m := s.x.promised(l)
	if m == nil {
		return []string{"acknowledged what is no message of ours: " + l.Raw}
	}
	at := placeOf(m)
	fs := seen[at]
	if len(fs) == 0 {
		return []string{"acknowledged and lost: " + m.Path("")}
	}
	if !slices.ContainsFunc(fs, func(f *found) bool { return bytes.Equal(f.data, m.Stored()) }) {
		return []string{"acknowledged and damaged: " + fs[0].rel + ": " + whatIsWrong(fs[0].data, m.Stored())}
	}
	if want := filepath.Base(l.Name()); fs[0].name != want {
		return []string{fmt.Sprintf("acknowledged as %s, found as %s", want, fs[0].name)}
	}
	return nil
}

func (s *lossScene) final(g *ground, r *drive.Result) []string {
	var bad []string
	if r.Code != 0 {
		bad = append(bad, "the second run: "+told(r))
	}
	files, more := readTree(g.store())
	bad = append(bad, more...)
	for _, f := range files {
		if f.making() || strings.HasPrefix(f.name, "mailsync.") {
			bad = append(bad, "in the end, what the cut run was making is still there: "+f.rel)
		}
	}
	seen := map[place]int{}
	for _, f := range visible(files) {
		at := place{f.dir, f.base()}
		seen[at]++
		m := s.x.byPlace[at]
		if m == nil {
			bad = append(bad, "in the end, nobody's message: "+f.rel)
			continue
		}
		if w := whole(f, m); w != "" {
			bad = append(bad, "in the end: "+w)
		}
		if s.empty && f.flags() != "" && len(m.Keywords) == 0 && f.flags() != m.Flags {
			bad = append(bad, fmt.Sprintf("in the end: %s has flags %q, should have %q", f.rel, f.flags(), m.Flags))
		}
	}
	for m := range s.e.Messages() {
		if n := seen[placeOf(m)]; n != 1 {
			bad = append(bad, fmt.Sprintf("in the end %d times there: %s", n, m.Path("")))
		}
	}
	return append(bad, nothingLeft(g, s.args(g))...)
}

// nothingLeft runs the command as a dry run: there must be nothing to do.
func nothingLeft(g *ground, args []string) []string {
	dry := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--yes" })
	r, err := g.bin.JSON(ctx(), append(dry, "--dry-run")...)
	if err != nil {
		return []string{err.Error()}
	}
	if r.Code != 0 || r.Count("planned") != 0 {
		return []string{"after the second run there is still something to do: " + told(r)}
	}
	return nil
}

func runClean(g *ground, args ...string) error {
	r, err := g.bin.JSON(ctx(), args...)
	if err != nil {
		return err
	}
	if r.Code != 0 || len(r.Faults) > 0 {
		return fmt.Errorf("%s: %s", strings.Join(args, " "), r)
	}
	return nil
}

// told is how a run ended, with the first actions that were not done.
func told(r *drive.Result) string {
	s, n := r.String(), 0
	for _, l := range r.Lines {
		if n < 3 && (l.State == "refused" || l.State == "failed" || l.State == "planned" || l.Outcome == "failed" || l.Type == "finding") {
			s += "\n\t" + l.Raw
			n++
		}
	}
	return s
}
