package restore

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailsync/compare"
)

// uidStore makes a store whose INBOX has a UID list of n messages, and a backup.
func uidStore(w *world, n int) (list string) {
	p := w.maildir("primary", "a", "")
	list = "3 V1700000000 N" + itoa(n+1) + " G0895920c9cae026bc154000083ecc375\n"
	for i := range n {
		w.put("primary", "a", "", i, ":2,S")
		list += fmt.Sprintf("%d :%s\n", i+1, msgName(i))
	}
	w.write(p+"/dovecot-uidlist", list, epoch)
	w.copy("primary", "backup")
	w.scan("primary", "backup")
	return list
}

func (w *world) uidlist() string {
	b, err := os.ReadFile(w.path("primary", "a", "dovecot-uidlist"))
	w.must(err)
	return string(b)
}

func (w *world) forecast(p *Plan) MailboxForecast {
	w.t.Helper()
	for b, err := range p.Boxes(w.t.(*testing.T).Context()) {
		w.must(err)
		return b
	}
	w.t.Fatalf("no forecast")
	return MailboxForecast{}
}

// A loss that the server has not noticed keeps its UID by its name alone: the
// UID list is not touched.
func TestUIDKept(t *testing.T) {
	w := newWorld(t)
	list := uidStore(w, 5)
	w.must(os.Remove(w.path("primary", "a", "cur", msgName(2)+":2,S")))
	p := w.plan("primary", "backup")
	if b := w.forecast(p); b.UIDs != UIDKept || b.FetchMessages != 0 || b.Messages != 1 {
		t.Errorf("%+v", b)
	}
	w.must(w.apply(p, "primary", "backup").err)
	if got := w.uidlist(); got != list {
		t.Errorf("the UID list was touched:\n%s", got)
	}
	w.noLeftovers("primary")
}

// A UID list that is lost, empty, NULs or torn is restored from the record,
// with the same UIDs and a next UID that is never lower, however often the
// store was scanned since.
func TestUIDListRestored(t *testing.T) {
	for name, harm := range map[string]func(*world, string){
		"lost":  func(w *world, _ string) { w.must(os.Remove(w.path("primary", "a", "dovecot-uidlist"))) },
		"empty": func(w *world, _ string) { w.write(w.path("primary", "a", "dovecot-uidlist"), "", epoch) },
		"NULs": func(w *world, l string) {
			w.write(w.path("primary", "a", "dovecot-uidlist"), strings.Repeat("\x00", len(l)), epoch)
		},
		"torn": func(w *world, l string) { w.write(w.path("primary", "a", "dovecot-uidlist"), l[:len(l)-20], epoch) },
	} {
		for scans := range 4 {
			t.Run(fmt.Sprintf("%s, %d scans since", name, scans), func(t *testing.T) { restoreUIDList(t, harm, scans) })
		}
	}
}

func restoreUIDList(t *testing.T, harm func(*world, string), scans int) {
	w := newWorld(t)
	list := uidStore(w, 5)
	harm(w, list)
	for range scans { // none of them may forget what the list held
		w.scan("primary")
	}
	p := w.plan("primary", "backup")
	if b := w.forecast(p); b.UIDs != UIDRestored || b.UIDValidity {
		t.Errorf("%+v", b)
	}
	res := w.apply(p, "primary", "backup")
	w.must(res.err)
	got := readUIDs([]byte(w.uidlist()))
	if got.err != nil || got.header.UIDValidity != 1700000000 || got.next < 6 || got.count != 5 {
		t.Fatalf("%v %+v next %d, %d records", got.err, got.header, got.next, got.count)
	}
	i := -1
	for rec := range got.records() {
		i++
		if rec.UID != uint32(i+1) || rec.Base != msgName(i) {
			t.Errorf("line %d: %d %s", i, rec.UID, rec.Base)
		}
	}
	if p := w.plan("primary", "backup"); p.Forecast().Work() {
		t.Errorf("work is left: %v", summary(w.actions(p)))
	}
	w.must(w.undo("primary", res.id).err)
}

// An older copy was promoted: the safe next UID is named with its command, and
// raised on request.
func TestFixUIDNext(t *testing.T) {
	w := newWorld(t)
	uidStore(w, 5)
	w.write(w.path("backup", "a", "dovecot-uidlist"), strings.Replace(w.uidlist(), "N6", "N70", 1), epoch)
	p := w.plan("primary", "backup")
	b := w.forecast(p)
	if len(b.NextUID) != 1 || b.NextUID[0].Now != 6 || b.NextUID[0].Safe != 70+UIDMargin ||
		b.NextUID[0].Command != "doveadm mailbox update --min-next-uid 10070 -u a INBOX" {
		t.Errorf("%+v", b.NextUID)
	}
	if p.Forecast().Work() {
		t.Error("it is raised without being asked for")
	}
	w.tune = func(o *PlanOptions) { o.FixUIDNext = true }
	before := w.uidlist()
	if b := w.forecast(w.plan("primary", "backup")); len(b.NextUID) != 1 || b.NextUID[0].Safe != 70+UIDMargin || b.NextUID[0].Command != "" {
		t.Errorf("what the run raises itself is left to the operator: %+v", b.NextUID)
	}
	res := w.restore("primary", "backup")
	if got := readUIDs([]byte(w.uidlist())); got.err != nil || got.next != 70+UIDMargin || got.count != 5 {
		t.Errorf("%v next %d", got.err, got.next)
	}
	w.must(w.undo("primary", res.id).err)
	if w.uidlist() != before {
		t.Errorf("undo: %q", w.uidlist())
	}
}

// The command that raises a next UID speaks of that folder alone, whatever its
// owner calls it: -A would be everybody.
func TestCommandNamesAFolder(t *testing.T) {
	w := newWorld(t)
	uidStore(w, 1)
	for _, s := range []string{"primary", "backup"} {
		w.maildir(s, "a", ".-A")
		w.maildir(s, "a", ".it's mine")
	}
	for i, dir := range []string{".-A", ".it's mine"} {
		w.write(w.path("primary", "a", dir, "dovecot-uidlist"), strings.Replace(w.uidlist(), "1 :", "1 :x"+itoa(i), 1), epoch)
		w.write(w.path("backup", "a", dir, "dovecot-uidlist"), strings.Replace(w.uidlist(), "N2", "N70", 1), epoch)
	}
	b := w.forecast(w.plan("primary", "backup"))
	var got []string
	for _, x := range b.NextUID {
		got = append(got, x.Command)
	}
	want := []string{
		"doveadm mailbox update --min-next-uid 10070 -u a -- -A",
		`doveadm mailbox update --min-next-uid 10070 -u a 'it'\''s mine'`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// However high next UIDs are already, none is lowered.
func TestBeyondNeverLowers(t *testing.T) {
	for _, next := range []uint32{0, 1, 1 << 31, 1<<32 - UIDMargin, 1<<32 - 2, 1<<32 - 1} {
		if got := beyond(next); got < next || got == 0 {
			t.Errorf("beyond %d is %d", next, got)
		}
	}
}

// Next UIDs alone are raised from what records know, whatever else is missing or
// differs; where nothing knows better, nothing is planned.
func TestPlanNextUIDs(t *testing.T) {
	w := newWorld(t)
	uidStore(w, 5)
	w.write(w.path("backup", "a", "dovecot-uidlist"), strings.Replace(w.uidlist(), "N6", "N70", 1), epoch)
	w.must(os.Remove(w.path("primary", "a", "cur", msgName(2)+":2,S")))
	plan := func() *Plan {
		target, shut := w.side("primary")
		defer shut()
		other, shutOther := w.side("backup")
		defer shutOther()
		p, err := PlanNextUIDs(context.Background(), PlanOptions{Target: target, Others: []compare.Side{other}, Site: w.site("primary")})
		w.must(err)
		return p
	}
	p := plan()
	list := w.actions(p)
	if len(list) != 1 || list[0].Op != UID || list[0].UIDs.Next != 70+UIDMargin || len(list[0].UIDs.Lines) != 0 {
		t.Fatalf("planned: %v", summary(list))
	}
	before := w.uidlist()
	res := w.apply(p, "primary", "backup")
	w.must(res.err)
	if got := readUIDs([]byte(w.uidlist())); got.err != nil || got.next != 70+UIDMargin || got.count != 5 {
		t.Errorf("%v next %d", got.err, got.next)
	}
	if again := plan(); again.Forecast().Work() {
		t.Errorf("a second plan: %v", summary(w.actions(again)))
	}
	w.must(w.undo("primary", res.id).err)
	if w.uidlist() != before {
		t.Errorf("undo: %q", w.uidlist())
	}
	w.must(os.Remove(w.path("primary", "a", "dovecot-uidlist")))
	if p := plan(); p.Forecast().Work() || p.Forecast().Open > 0 {
		t.Errorf("without a list: %v", summary(w.actions(p)))
	}
}
