package compare_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/manifest"
)

func root(s string) manifest.Digest { return manifest.BLAKE3.Sum([]byte(s)) }

func head(state string, messages, damaged int64) *compare.Head {
	h := &compare.Head{Messages: messages, Damaged: damaged}
	if state != "" {
		h.State = root(state)
	}
	return h
}

// Only what the roots prove equal is skipped.
func TestEqualRootsAreNotOpened(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	for _, s := range []*store{a, b} {
		s.Add("same", msg{Name: "1.a", Body: "x"}).Head = head("r", 1, 0)
		s.Add("damaged", msg{Name: "1.a", Damage: manifest.Empty}).Head = head("r", 1, 1)
		s.Add("unknown", msg{Name: "1.a", Body: "x"})
		s.Add("differs", msg{Name: "1.a:2," + strings.ToUpper(s.Meta.Name), Body: "x"}).Head = head(s.Meta.Name, 1, 0)
		s.Add("zero", msg{Name: "1.a", Body: "x"}).Head = head("", 1, 0)
	}
	lines, r := diff(t, compare.Options{}, sides(a, b)...)
	if d := cmp.Diff([]string{"damaged", "differs", "unknown", "zero"}, sorted(a.Opens)); d != "" {
		t.Errorf("opened (-want +got):\n%s", d)
	}
	if r.Mailboxes != 5 || r.Messages != 5 || r.Skipped != 1 {
		t.Errorf("counts: %+v", r.Counts)
	}
	if d := cmp.Diff(map[compare.Kind]int{compare.DamagedCopy: 1, compare.Flags: 1}, kinds(lines)); d != "" {
		t.Error(d)
	}
}

// The only mailbox there is need not be read to be counted, unless it may hold
// damage or a plan wants its messages.
func TestMailboxOfOneSide(t *testing.T) {
	for _, c := range []struct {
		name   string
		head   *compare.Head
		groups bool
		read   bool
	}{
		{"known", head("r", 2, 0), false, false},
		{"not known", nil, false, true},
		{"damaged", head("r", 2, 1), false, true},
		{"for a plan", head("r", 2, 0), true, true},
	} {
		a, b := comparetest.New("a"), comparetest.New("b")
		box := a.Add("m", msg{Name: "1.a", Body: "x"}, msg{Name: "2.a", Body: "y"})
		box.Head = c.head
		if !c.read {
			box.Err, box.FailAfter = errors.New("nobody should read this"), 0
		}
		lines, r := diff(t, compare.Options{Groups: c.groups}, sides(a, b)...)
		if d := cmp.Diff([]string{"m  mailbox_missing [there -] good [0] messages 2"}, texts(lines)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		if r.Messages != 2 || len(r.Partial) > 0 {
			t.Errorf("%s: %+v", c.name, r)
		}
		if n := len(groups(t, compare.Options{}, sides(a, b)...)); c.groups && n != 2 {
			t.Errorf("%s: %d groups for a plan", c.name, n)
		}
	}
}

// A mailbox that is in a side's record and not there now may be gone with its
// disk: unknown, not missing.
func TestRecordedMailboxThatIsNotThere(t *testing.T) {
	a, b, base := comparetest.New("a"), comparetest.New("b"), comparetest.New("b")
	a.Add("m", msg{Name: "1.a", Body: "x"})
	base.Add("m", msg{Name: "1.a", Body: "x"})
	side := b.Side()
	side.Base = base
	lines, r := diff(t, compare.Options{}, a.Side(), side)
	if len(lines) != 0 || len(r.Partial) == 0 {
		t.Errorf("lines %v, partial %v", texts(lines), r.Partial)
	}
}

// The breaker: too much of a store gone at once without evidence of deletion.
func TestBreaker(t *testing.T) {
	build := func(evidence manifest.Evidence, gone int) (compare.Side, compare.Side) {
		a, b := comparetest.New("a"), comparetest.New("b")
		base := comparetest.New("b")
		base.Total = 10_000
		for n := range 3 {
			name := fmt.Sprintf("m%d", n)
			box := b.Add(name)
			base.Add(name)
			var list []msg
			for i := range gone {
				m := msg{Name: fmt.Sprintf("%d.%s", i, name), Body: fmt.Sprint(name, i)}
				list = append(list, m)
				box.Absences = append(box.Absences, manifest.Absence{Entry: m.Entry(), Evidence: evidence})
			}
			a.Add(name, list...)
		}
		side := b.Side()
		side.Base = base
		return a.Side(), side
	}
	for _, c := range []struct {
		evidence manifest.Evidence
		gone     int
		share    float64 // that may be gone
		trips    bool
		hidden   bool
	}{
		{manifest.NoEvidence, 120, 0, true, true},
		{manifest.NoEvidence, 120, 0.04, false, false}, // 360 of 10,000
		{manifest.NoEvidence, 120, 1, false, false},
		{manifest.OrdinaryAbsence, 120, 0, true, true},
		{manifest.OrdinaryAbsence, 20, 0.001, true, true},
		{manifest.InsideCrash, 120, 0, true, false},     // lost in the crash, for all that is known
		{manifest.OrdinaryAbsence, 20, 0, false, false}, // 60 of 10,000
		{manifest.ServerUnaware, 120, 0, false, false},  // proven losses
		{manifest.ServerExpunge, 120, 0, false, false},  // deletions
	} {
		for _, workers := range []int{1, 3} {
			x, y := build(c.evidence, c.gone)
			y.Breaker = c.share
			lines, r := diff(t, compare.Options{Workers: workers}, x, y)
			tripped := slices.ContainsFunc(r.Partial, func(d compare.Doubt) bool { return strings.Contains(d.Reason, "gone at once") })
			if tripped != c.trips {
				t.Errorf("%s %d: %+v", c.evidence, c.gone, r.Partial)
			}
			want := 3 * c.gone
			if c.hidden {
				want = 0
			}
			if n := kinds(lines)[compare.Missing]; n != want {
				t.Errorf("%s %d: %d missing, want %d", c.evidence, c.gone, n, want)
			}
			if r.Mailboxes != 3 || r.Messages != int64(3*c.gone) {
				t.Errorf("%s %d: what waited is counted once: %+v", c.evidence, c.gone, r.Counts)
			}
			// A plan sees the message absent, and why that proves nothing.
			for _, g := range groups(t, compare.Options{Workers: workers}, x, y) {
				if len(g.Absences) != 1 || !g.Copies[1].Absent() || (g.Absences[0].Evidence == manifest.MassDisappearing) != c.hidden {
					t.Fatalf("%s %d: group %+v", c.evidence, c.gone, g)
				}
			}
		}
	}
}

// A mailbox that lost most of its mail at once is not known to lack it.
func TestMassDisappearing(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	m := msg{Name: "1.a", Body: "x"}
	a.Add("m", m)
	b.Add("m").Absences = []manifest.Absence{{Entry: m.Entry(), Evidence: manifest.MassDisappearing}}
	lines, r := diff(t, compare.Options{}, sides(a, b)...)
	if len(lines) != 0 || len(r.Partial) == 0 {
		t.Errorf("lines %v, partial %v", texts(lines), r.Partial)
	}
}

// A listing that breaks: what it did not come to is asked one by one, and the
// outcome is partial. When all break, nothing is said.
func TestBrokenListing(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	for i := range 5 {
		name := fmt.Sprint("m", i)
		a.Add(name, msg{Name: "1.a", Body: "x"})
		if i != 3 {
			b.Add(name, msg{Name: "1.a", Body: "x"})
		}
	}
	b.ListErr, b.ListN = syscall.EIO, 1
	lines, r := diff(t, compare.Options{}, sides(a, b)...)
	if d := cmp.Diff([]string{"m3  mailbox_missing [there -] good [0] messages 1"}, texts(lines)); d != "" {
		t.Error(d)
	}
	if len(r.Partial) != 1 || r.Partial[0].Side != 1 {
		t.Errorf("partial: %+v", r.Partial)
	}
	a.ListErr = syscall.EIO
	c, err := compare.New(sides(a, b), compare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, err = range c.Mailboxes(t.Context()) {
		if err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.EIO) || c.Result().Complete {
		t.Errorf("both listings broke: %v", err)
	}
}

// Many bad mailboxes and one worker: no deadlock, and every one is told.
func TestManyBadMailboxes(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	for i := range 300 {
		name := fmt.Sprint("m", i)
		a.Add(name, msg{Name: "1.a", Body: "x"})
		b.Add(name).OpenErr = fmt.Errorf("%w: %w", compare.ErrUnknown, syscall.EIO)
	}
	_, r := diff(t, compare.Options{Workers: 1}, sides(a, b)...)
	if len(r.Partial) != 300 || r.Doubts != 300 {
		t.Errorf("%d told", len(r.Partial))
	}
}

// Cancelled is never a success, wherever it happens.
func TestCancelled(t *testing.T) {
	cause := errors.New("the operator pressed ^C")
	for _, workers := range []int{1, 4} {
		for _, after := range []int{0, 1, 7, 50} {
			a, b := comparetest.New("a"), comparetest.New("b")
			for i := range 100 {
				name := fmt.Sprint("m", i)
				a.Add(name, msg{Name: "1.a", Body: "x"})
				b.Add(name, msg{Name: "1.a", Body: "y"})
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			c, err := compare.New(sides(a, b), compare.Options{Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			if after == 0 {
				cancel(cause)
			}
			n := 0
			var last error
			for _, err := range c.Mailboxes(ctx) {
				if last = err; err != nil {
					break
				}
				if n++; n == after {
					cancel(cause)
				}
			}
			cancel(nil)
			if !errors.Is(last, cause) || c.Result().Complete {
				t.Errorf("workers %d, cancelled after %d: ended with %v, complete %v", workers, after, last, c.Result().Complete)
			}
		}
	}
}

// A consumer that stops early leaves no worker behind, and no success.
func TestStopEarly(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	for i := range 100 {
		name := fmt.Sprint("m", i)
		a.Add(name, msg{Name: "1.a", Body: "x"})
		b.Add(name, msg{Name: "1.a", Body: "y"})
	}
	c, err := compare.New(sides(a, b), compare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range c.Differences(t.Context()) {
		break
	}
	if c.Result().Complete {
		t.Error("complete, though nobody looked")
	}
	for _, err := range c.Differences(t.Context()) {
		if !errors.Is(err, compare.ErrUsage) {
			t.Errorf("run twice: %v", err)
		}
	}
}

// spillFile is a temporary file in memory.
type spillFile struct {
	mu   sync.Mutex
	data []byte
	open *int
}

func (f *spillFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data = append(f.data, p...)
	return len(p), nil
}

func (f *spillFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if off >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *spillFile) Close() error {
	*f.open--
	return nil
}

// What does not fit in memory waits in a file, and nothing else changes.
func TestSpill(t *testing.T) {
	build := func() []compare.Side {
		a, b := comparetest.New("a"), comparetest.New("b")
		var x, y []msg
		for i := range 3000 {
			x = append(x, msg{Name: fmt.Sprintf("%05d.a:2,S", i), Body: fmt.Sprint("body", i), Keywords: []string{"$Junk"}})
			y = append(y, msg{Name: fmt.Sprintf("%05d.b:2,S", 9999-i), Body: fmt.Sprint("body", i*2), Keywords: []string{"$Junk"}})
		}
		a.Add("m", x...)
		b.Add("m", y...)
		return sides(a, b)
	}
	plain, _ := diff(t, compare.Options{}, build()...)
	opened, open := 0, 0
	o := compare.Options{Memory: 16 << 10, Spill: func() (compare.Spill, error) {
		opened++
		open++
		return &spillFile{open: &open}, nil
	}}
	spilled, _ := diff(t, o, build()...)
	if opened == 0 || open != 0 {
		t.Errorf("%d files were opened, %d are left open", opened, open)
	}
	if d := cmp.Diff(texts(plain), texts(spilled)); d != "" {
		t.Errorf("(-memory +file):\n%s", d)
	}
	if len(plain) != 3000 { // the even halves match by content, the others do not
		t.Errorf("%d lines", len(plain))
	}
	o.Spill = func() (compare.Spill, error) { return nil, syscall.ENOSPC }
	c, err := compare.New(build(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, err = range c.Differences(t.Context()) {
		if err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) || c.Result().Complete {
		t.Errorf("no room to spill: %v", err)
	}
}

// Same message, other transport headers: only a Witness can tell.
func TestIdentity(t *testing.T) {
	build := func(knows bool) []compare.Side {
		a, b := comparetest.New("a"), comparetest.New("b")
		a.Add("m", msg{Name: "1.a", Body: "Received: x", Header: "id"}, msg{Name: "5.a", Body: "alone", Header: "other"})
		b.Add("m", msg{Name: "9.z", Body: "Received: y", Header: "id"}, msg{Name: "8.z", Body: "third", Header: "other"})
		if knows {
			ask := func(s *store, file, id string) {
				if s.Known == nil {
					s.Known = map[comparetest.Ask]compare.Evidence{}
				}
				s.Known[comparetest.Ask{Mailbox: "m", Folder: "INBOX", File: "cur/" + file, Kind: compare.BodyIdentity}] = body(id)
			}
			ask(a, "1.a", "one")
			ask(b, "9.z", "one")
			ask(a, "5.a", "two")
			ask(b, "8.z", "three")
		}
		return sides(a, b)
	}
	lines, _ := diff(t, compare.Options{}, build(true)...)
	if d := cmp.Diff(map[compare.Kind]int{compare.Content: 1, compare.Missing: 2}, kinds(lines)); d != "" {
		t.Error(d)
	}
	lines, _ = diff(t, compare.Options{}, build(false)...)
	if d := cmp.Diff(map[compare.Kind]int{compare.Missing: 4}, kinds(lines)); d != "" {
		t.Error(d)
	}
}

// What the records of all stores say of a message that is gone comes with it.
func TestAbsencesComeWithTheGroup(t *testing.T) {
	a, b, c := comparetest.New("a"), comparetest.New("b"), comparetest.New("c")
	m := msg{Name: "1.a", Body: "x"}
	trash := msg{Folder: "Trash", Name: "7.q", Body: "x"}
	a.Add("m", m)
	b.Add("m").Absences = []manifest.Absence{{Entry: m.Entry(), Evidence: manifest.ServerExpunge, FirstAbsent: time.Unix(5, 0), UIDValidity: 3}}
	c.Add("m").Absences = []manifest.Absence{{Entry: trash.Entry(), Evidence: manifest.ServerUnaware}}
	list := groups(t, compare.Options{}, sides(a, b, c)...)
	if len(list) != 1 {
		t.Fatalf("%d groups", len(list))
	}
	g := list[0]
	if len(g.Absences) != 2 {
		t.Fatalf("absences: %+v", g.Absences)
	}
	x, y := g.Absences[0], g.Absences[1]
	if x.Side != 1 || !x.ByName || x.Evidence != manifest.ServerExpunge || !x.FirstAbsent.Equal(time.Unix(5, 0)) || x.UIDValidity != 3 || x.Entry.Digest != m.Entry().Digest {
		t.Errorf("by name: %+v", x)
	}
	if y.Side != 2 || y.ByName || y.Entry.Folder != "Trash" || y.Evidence != manifest.ServerUnaware || !y.LastSeen.IsZero() {
		t.Errorf("by content: %+v", y)
	}
}

// The base of each copy comes with it, for a three-way merge.
func TestBaseAndChange(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	ra, rb := comparetest.New("a"), comparetest.New("b")
	a.Add("m", msg{Name: "1.a:2,S", Body: "x"})
	b.Add("m", msg{Name: "1.a:2,", Body: "x"})
	ra.Add("m", msg{Name: "1.a:2,", Body: "x"}, msg{Name: "2.gone", Body: "y"})
	rb.Add("m", msg{Name: "1.a:2,", Body: "x"})
	x, y := a.Side(), b.Side()
	x.Base, y.Base = ra, rb
	lines, _ := diff(t, compare.Options{}, x, y)
	if len(lines) != 1 || !slices.Equal(lines[0].Good, []int{0}) || !strings.Contains(lines[0].Reason, "changed in a") {
		t.Fatalf("%+v", lines)
	}
	if c := lines[0].Copies[0]; c.Base == nil || c.Base.Name != "1.a:2," {
		t.Errorf("base: %+v", c.Base)
	}
	// A base that cannot be read is no reason to say less of the store itself.
	ra.Boxes["m"].Err, ra.Boxes["m"].FailAfter = syscall.EIO, 1
	lines, r := diff(t, compare.Options{}, x, y)
	if len(lines) != 1 || len(lines[0].Good) != 0 {
		t.Errorf("%v %+v", texts(lines), r.Partial)
	}
}

func TestHardLinkedReplicas(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	for _, s := range []*store{a, b} {
		s.Add("m", msg{Name: "1.a", Body: "x", Inode: 9}).Mailbox.Device = 3
	}
	_, r := diff(t, compare.Options{All: true}, sides(a, b)...)
	if r.Totals[1].Linked != 1 {
		t.Errorf("%+v", r.Totals)
	}
}

func TestUsage(t *testing.T) {
	if _, err := compare.New(sides(comparetest.New("a")), compare.Options{}); !errors.Is(err, compare.ErrUsage) {
		t.Errorf("one side: %v", err)
	}
	many := make([]*store, 33)
	for i := range many {
		many[i] = comparetest.New(fmt.Sprint(i))
	}
	if _, err := compare.New(sides(many...), compare.Options{}); !errors.Is(err, compare.ErrUsage) {
		t.Errorf("33 sides: %v", err)
	}
}

func TestOne(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	a.Add("m", msg{Name: "1.a", Body: "x"})
	b.Add("m")
	c, err := compare.New(sides(a, b), compare.Options{Groups: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m, err := c.One(t.Context(), "m")
		if err != nil {
			t.Fatal(err)
		}
		if m.Row.Kinds[compare.Missing] != 1 || m.Sides[1].Mailbox == nil {
			t.Errorf("%+v", m.Row)
		}
		m.Close()
	}
}

// A view that could not look into a folder lacks nothing.
func TestBlindFolder(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	a.Add("m", msg{Name: "1.a", Body: "x"}, msg{Folder: "Sent", Name: "2.a", Body: "y"})
	b.Add("m").Blind = map[string]string{"Sent": "permission denied"}
	lines, r := diff(t, compare.Options{}, sides(a, b)...)
	if len(lines) != 0 || len(r.Partial) == 0 {
		t.Errorf("lines %v, partial %v", texts(lines), r.Partial)
	}
}
