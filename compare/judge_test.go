package compare_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/manifest"
)

// verdictCase is one message on several stores, and who is right.
type verdictCase struct {
	name     string
	copies   []msg // Name "" = the store lacks it
	domains  []string
	inodes   bool // all copies are one file
	base     []msg
	recorded []bool
	crash    time.Time
	known    map[int]map[compare.EvidenceKind]compare.Evidence
	absent   []compare.Gone
	kind     compare.Kind
	basis    compare.Basis
	good     []int
	damaged  []int
	reason   string
}

func ev(holds compare.Tri) compare.Evidence { return compare.Evidence{Holds: holds} }

func body(s string) compare.Evidence {
	return compare.Evidence{Exact: manifest.BLAKE3.Sum([]byte(s)), Delivery: manifest.BLAKE3.Sum([]byte("d" + s))}
}

type known = map[int]map[compare.EvidenceKind]compare.Evidence

func is(kind compare.EvidenceKind, e compare.Evidence) map[compare.EvidenceKind]compare.Evidence {
	return map[compare.EvidenceKind]compare.Evidence{kind: e}
}

func TestJudge(t *testing.T) {
	m := func(body string) msg { return msg{Name: "1.a", Body: body} }
	bad := func(kind manifest.Kind, good string) msg {
		return msg{Name: "1.a", Body: "rotten", Damage: kind, Good: good}
	}
	suspect := func(body string) msg {
		return msg{Name: "1.a", Body: body, Status: manifest.Suspect, Damage: manifest.NULTail}
	}
	none := msg{}
	early, late := time.Unix(1000, 0), time.Unix(3000, 0)
	crash := time.Unix(2000, 0)
	at := func(x msg, when time.Time) msg { x.Checked = when; return x }
	enc := func(body string) msg { return msg{Name: "1.a", Body: body, Opaque: true} }
	cases := []verdictCase{
		{name: "all the same", copies: []msg{m("x"), m("x"), m("x")}, basis: compare.Equal, good: []int{0, 1, 2}},
		{name: "the same suspicion everywhere is no difference", copies: []msg{suspect("x"), suspect("x")}, basis: compare.Equal},

		// The record.
		{
			name: "the recorded digest names the good copy", copies: []msg{bad(manifest.ContentChanged, "x"), m("x"), m("y")},
			kind: compare.DamagedCopy, basis: compare.Record, good: []int{1}, damaged: []int{0, 2}, reason: "recorded",
		},
		{
			name:   "the record outvotes a majority that copied the damage",
			copies: []msg{bad(manifest.ContentChanged, "x"), m("y"), m("y"), m("x")},
			kind:   compare.DamagedCopy, basis: compare.Record, good: []int{3}, damaged: []int{0, 1, 2},
		},
		{
			name: "what is not what was recorded is not good", copies: []msg{bad(manifest.Truncated, "x"), m("y")},
			kind: compare.DamagedCopy, damaged: []int{0}, reason: "not what was recorded either",
		},
		{
			name: "a recorded store from before the crash", copies: []msg{at(m("x"), early), m("y"), m("y")}, recorded: []bool{true, false, false}, crash: crash,
			kind: compare.DamagedCopy, basis: compare.Record, good: []int{0}, damaged: []int{1, 2},
		},
		{
			name: "a record from after the crash decides nothing", copies: []msg{at(m("x"), late), m("y"), m("y")}, recorded: []bool{true, false, false}, crash: crash,
			kind: compare.DamagedCopy, basis: compare.Agreement, good: []int{1, 2}, damaged: []int{0},
		},
		{
			name: "a copy that is what was recorded of it", copies: []msg{m("x"), m("y")}, base: []msg{m("x"), none},
			kind: compare.DamagedCopy, basis: compare.Record, good: []int{0}, damaged: []int{1},
		},
		{
			name: "records that contradict each other decide nothing", copies: []msg{m("x"), m("y")}, base: []msg{m("x"), m("y")},
			kind: compare.Content, reason: "nothing proves",
		},
		{
			name: "an absence remembers what the message was", copies: []msg{none, m("x"), m("y")},
			absent: []compare.Gone{{Side: 0, ByName: true, Absence: manifest.Absence{Entry: m("x").Entry()}}},
			kind:   compare.DamagedCopy, basis: compare.Record, good: []int{1}, damaged: []int{2},
		},

		// The message's own proofs.
		{
			name: "a majority never outvotes a proof", copies: []msg{bad(manifest.NULFilled, ""), bad(manifest.NULFilled, ""), m("x")},
			kind: compare.DamagedCopy, basis: compare.Proof, good: []int{2}, damaged: []int{0, 1},
		},
		{
			name: "nor does a suspicious one", copies: []msg{suspect("y"), suspect("y"), m("x")},
			kind: compare.Content, reason: "nothing proves",
		},
		{
			name: "a suspect is no good copy", copies: []msg{bad(manifest.Empty, ""), suspect("x")},
			kind: compare.DamagedCopy, damaged: []int{0}, reason: "suspect",
		},
		{
			name: "unless its signature agrees", copies: []msg{bad(manifest.Empty, ""), suspect("x")},
			known: known{1: is(compare.DKIMBody, ev(compare.Yes))},
			kind:  compare.DamagedCopy, basis: compare.DKIM, good: []int{1}, damaged: []int{0},
		},
		{
			name: "reading again may prove damage", copies: []msg{m("x"), m("y")},
			known: known{0: is(compare.OwnProofs, compare.Evidence{Holds: compare.No, Finding: manifest.LineCount}), 1: is(compare.OwnProofs, ev(compare.Yes))},
			kind:  compare.DamagedCopy, basis: compare.Proof, good: []int{1}, damaged: []int{0}, reason: "line_count",
		},
		{
			name: "two sound copies that differ beside a damaged one", copies: []msg{bad(manifest.Empty, ""), m("x"), m("y")},
			kind: compare.DamagedCopy, damaged: []int{0}, reason: "the others differ",
		},

		// DKIM.
		{
			name: "exactly one content agrees with its signature", copies: []msg{m("y"), m("y"), m("x")},
			known: known{0: is(compare.DKIMBody, ev(compare.No)), 2: is(compare.DKIMBody, ev(compare.Yes))},
			kind:  compare.DamagedCopy, basis: compare.DKIM, good: []int{2}, damaged: []int{0, 1},
		},
		{
			name: "two contents that both agree decide nothing", copies: []msg{m("x"), m("y")},
			known: known{0: is(compare.DKIMBody, ev(compare.Yes)), 1: is(compare.DKIMBody, ev(compare.Yes))},
			kind:  compare.Content,
		},
		{
			name: "none that agrees says nothing", copies: []msg{m("x"), m("y")},
			known: known{0: is(compare.DKIMBody, ev(compare.No)), 1: is(compare.DKIMBody, ev(compare.No))},
			kind:  compare.Content,
		},
		{
			name: "a copy that nobody can check may agree as well", copies: []msg{m("x"), m("y")},
			known: known{0: is(compare.DKIMBody, ev(compare.Yes))},
			kind:  compare.Content,
		},

		// Agreement.
		{
			name: "independent replicas agree", copies: []msg{m("x"), m("y"), m("x")},
			kind: compare.DamagedCopy, basis: compare.Agreement, good: []int{0, 2}, damaged: []int{1}, reason: "independent replicas agree: s0 and s2",
		},
		{
			name: "replicas of one failure domain are one witness", copies: []msg{m("x"), m("x"), m("y")}, domains: []string{"rack", "rack", ""},
			kind: compare.Content, reason: "not independent",
		},
		{
			name: "hard links are one witness", copies: []msg{{Name: "1.a", Body: "x", Inode: 4}, {Name: "1.a", Body: "x", Inode: 4}, m("y")}, inodes: true,
			kind: compare.Content, reason: "not independent",
		},
		{
			name: "two camps decide nothing", copies: []msg{m("x"), m("y"), m("x"), m("y")},
			kind: compare.Content,
		},
		{
			name: "the same message with other line ends", copies: []msg{m("x"), m("y"), m("x")},
			known: known{0: is(compare.BodyIdentity, body("b")), 1: is(compare.BodyIdentity, body("b"))},
			kind:  compare.Content, reason: "line ends",
		},

		// Encrypted by the server.
		{name: "ciphertexts that differ", copies: []msg{enc("x"), enc("y"), enc("x")}, kind: compare.Content, reason: "encrypted"},
		{
			name: "plaintext never replaces ciphertext", copies: []msg{{Name: "1.a", Body: "r", Opaque: true, Damage: manifest.ContentChanged, Good: "c"}, m("x")},
			kind: compare.DamagedCopy, damaged: []int{0},
		},
		{
			name: "the recorded ciphertext does", copies: []msg{{Name: "1.a", Body: "r", Opaque: true, Damage: manifest.ContentChanged, Good: "c"}, enc("c")},
			kind: compare.DamagedCopy, basis: compare.Record, good: []int{1}, damaged: []int{0},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.check(t) })
	}
}

func (c *verdictCase) check(t *testing.T) {
	var list []compare.Side
	for i, m := range c.copies {
		s := comparetest.New("s" + string(rune('0'+i)))
		var box *comparetest.Box
		if m.Name == "" {
			box = s.Add("m")
		} else {
			box = s.Add("m", m)
		}
		if c.inodes {
			box.Mailbox.Device = 1
		}
		if c.domains != nil {
			s.Meta.FailureDomain = c.domains[i]
		}
		s.Meta.CrashAt = c.crash
		if c.recorded != nil && c.recorded[i] {
			s.Meta.Recorded = time.Unix(1500, 0)
		}
		for _, g := range c.absent {
			if g.Side == i {
				box.Absences = append(box.Absences, g.Absence)
			}
		}
		for kind, e := range c.known[i] {
			if s.Known == nil {
				s.Known = map[comparetest.Ask]compare.Evidence{}
			}
			s.Known[comparetest.Ask{Mailbox: "m", Folder: "INBOX", File: "cur/1.a", Kind: kind}] = e
		}
		side := s.Side()
		if c.base != nil && c.base[i].Name != "" {
			base := comparetest.New(s.Meta.Name)
			base.Add("m", c.base[i])
			side.Base = base
		}
		list = append(list, side)
	}
	cmpr, err := compare.New(list, compare.Options{Groups: true, All: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for m, err := range cmpr.Mailboxes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for g, err := range m.Groups() {
			if err != nil {
				t.Fatal(err)
			}
			n++
			c.group(t, &g)
		}
	}
	if want := c.kind != ""; want != (n == 1) {
		t.Errorf("%d groups of interest", n)
	}
}

func (c *verdictCase) group(t *testing.T, g *compare.Group) {
	var kind compare.Kind
	for _, d := range g.Differences {
		if d.Kind == compare.DamagedCopy || d.Kind == compare.Content {
			if kind != "" {
				t.Errorf("two lines about one content: %v", g.Differences)
			}
			kind = d.Kind
			if diff := cmp.Diff(g.Good, d.Good); diff != "" {
				t.Errorf("line and verdict disagree:\n%s", diff)
			}
			if d.Reason == "" {
				t.Error("no reason")
			}
			if !strings.Contains(d.Reason, c.reason) {
				t.Errorf("reason %q, want %q in it", d.Reason, c.reason)
			}
		}
	}
	if kind != c.kind || g.Basis != c.basis {
		t.Errorf("kind %q basis %d (%s), want %q %d", kind, g.Basis, g.Reason, c.kind, c.basis)
	}
	if kind == compare.Content && len(g.Good) > 0 {
		t.Error("undecided, with a good copy")
	}
	if d := cmp.Diff(c.good, g.Good); d != "" {
		t.Errorf("good (-want +got):\n%s", d)
	}
	if d := cmp.Diff(c.damaged, g.Damaged); d != "" {
		t.Errorf("damaged (-want +got):\n%s", d)
	}
}

// Digests of different algorithms say nothing about each other; the bodies do.
func TestTwoAlgorithms(t *testing.T) {
	build := func(x, y string) []compare.Side {
		a, b := comparetest.New("a"), comparetest.New("b")
		a.Add("m", msg{Name: "1.a", Body: "x"})
		other := msg{Name: "1.a", Body: "x"}.Entry()
		other.Digest = manifest.SHA256.Sum([]byte("x"))
		b.Add("m").Entries = []manifest.Entry{other}
		for s, id := range map[*store]string{a: x, b: y} {
			if id != "" {
				s.Known = map[comparetest.Ask]compare.Evidence{{Mailbox: "m", Folder: "INBOX", File: "cur/1.a", Kind: compare.BodyIdentity}: body(id)}
			}
		}
		return sides(a, b)
	}
	for _, c := range []struct {
		name, x, y string
		lines      int
		partial    bool
	}{
		{"the same message", "one", "one", 0, false},
		{"another message", "one", "two", 1, false},
		{"nobody can read one", "one", "", 0, true},
		{"nobody can read any", "", "", 0, true},
	} {
		lines, r := diff(t, compare.Options{}, build(c.x, c.y)...)
		if len(lines) != c.lines || (len(r.Partial) > 0) != c.partial {
			t.Errorf("%s: %v %+v", c.name, texts(lines), r.Partial)
		}
		if c.lines == 1 && lines[0].Kind != compare.Content {
			t.Errorf("%s: %v", c.name, texts(lines))
		}
	}
}

// Judge alone is pure: it names what it needs, and takes what it is given.
func TestJudgeNamesItsNeeds(t *testing.T) {
	g := &compare.Group{Mailbox: "m", Copies: make([]compare.Copy, 3), Whole: make([]bool, 3), UIDValidity: make([]uint32, 3), One: []int{0, 1, 2}}
	for i, text := range []string{"x", "y", "y"} {
		e := msg{Name: "1.a", Body: text}.Entry()
		g.Copies[i].Entry = &e
	}
	c := &compare.Case{Infos: []compare.Info{{Name: "a"}, {Name: "b"}, {Name: "c"}}, Can: []bool{true, true, true}, Evidence: map[compare.Need]compare.Evidence{}}
	asked := map[compare.EvidenceKind]int{}
	for rounds := 0; ; rounds++ {
		needs := compare.Judge(g, c)
		if len(needs) == 0 {
			break
		}
		if rounds > 10 {
			t.Fatal("it never has enough")
		}
		for _, n := range needs {
			if _, again := c.Evidence[n]; !again {
				asked[n.Kind]++
			}
			c.Evidence[n] = compare.Evidence{Kind: n.Kind, Known: true, Holds: compare.Yes, Exact: manifest.BLAKE3.Sum([]byte{byte(n.Side)})}
		}
	}
	// One copy of each content is asked.
	want := map[compare.EvidenceKind]int{compare.OwnProofs: 2, compare.DKIMBody: 2, compare.BodyIdentity: 2}
	if d := cmp.Diff(want, asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
	if g.Basis != compare.Agreement || len(g.Differences) != 1 {
		t.Errorf("%+v %v", g.Verdict, g.Differences)
	}
}

// The same message that reached two stores on different ways has other bytes
// on each, under names of their own. A record of one of them condemns neither
// the other, nor does a majority.
func TestOtherWaysAreNoDamage(t *testing.T) {
	g := &compare.Group{How: compare.ByIdentity, Mailbox: "m", Copies: make([]compare.Copy, 3), Whole: make([]bool, 3), UIDValidity: make([]uint32, 3), One: []int{0, 1, 2}}
	for i, m := range []msg{{Name: "1.a", Body: "gateway"}, {Name: "2.b", Body: "delivered"}, {Name: "3.c", Body: "delivered"}} {
		e := m.Entry()
		g.Copies[i].Entry, g.Copies[i].Base = &e, &e
	}
	g.Copies[0].Base = nil // only the others were ever recorded
	if needs := compare.Judge(g, &compare.Case{Infos: []compare.Info{{Name: "a"}, {Name: "b"}, {Name: "c"}}}); len(needs) > 0 {
		t.Errorf("it asks for %v", needs)
	}
	if len(g.Damaged) > 0 || len(g.Good) > 0 || len(g.Differences) != 1 || g.Differences[0].Kind != compare.Content {
		t.Errorf("%+v %v", g.Verdict, g.Differences)
	}
}
