package restore

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailsync/manifest"
	"mailsync/manifest/durable"
)

func fullAction() Action {
	d := manifest.BLAKE3.Sum([]byte("x"))
	return Action{
		Op: UID, Ref: manifest.Ref{Store: "s", Mailbox: "m\xff", Folder: "Ä", Unique: "u\x00"}, Dir: ".A",
		Pre:  Ground{Sub: manifest.New, Name: []byte("a\n"), Size: 1, Inode: 2, MTime: -3, Digest: d},
		Post: Ground{Sub: manifest.Cur, Name: []byte("b"), Size: 4, Inode: 5, MTime: 6, Digest: d},
		Date: time.Unix(1, 2).UTC(), Flags: "FS", Keywords: []string{"k", "$Junk"}, From: "f\x00p", FromName: []byte("n"),
		FromSub: manifest.New, FromDir: ".B", State: Skipped, Why: WhyVersion, Detail: "why", ACL: true, Whole: true,
		UIDs: &UIDs{Validity: 1, Next: 9, GUID: "g", Lines: []UIDLine{{1, []byte("a")}, {3, []byte("b")}}},
	}
}

func sampleEntries() []*entry {
	a := fullAction()
	m := Action{Op: Mkdir, State: Planned, Owner: 1, Group: 2, Mode: 0o700, Path: "x/y"}
	return []*entry{
		{kind: recBegin, begin: beginRecord{Command: "c", Store: "s", Path: "/p", Of: "o", Plan: "p", Host: "h", Args: []string{"a", "b"}, Began: time.Unix(5, 0).UTC(), PID: 7}},
		{kind: recOpen, folders: []folderKey{{"m", ""}, {"n", ".x"}}},
		{kind: recIntent, batch: 3, first: 4, actions: []Action{a, m}, asides: []string{"1", ""}},
		{kind: recDone, batch: 3, done: []outcome{{Index: 4, State: Done, Sub: manifest.Cur, Name: []byte("n"), Inode: 5, Size: 6, Aside: "7"}}},
		{kind: recWhole, mailbox: "m"},
		{kind: recFinished, mailbox: "m"},
		{kind: recEnd, end: endRecord{How: HowFailed, Error: "e", Ended: time.Unix(9, 0).UTC(), Counts: Counts{Done: 1, Bytes: 8}}},
	}
}

func TestRecordsRoundTrip(t *testing.T) {
	for _, want := range sampleEntries() {
		got, err := decodeEntry(want.encode())
		if err != nil {
			t.Fatalf("kind %d: %v", want.kind, err)
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(entry{}, folderKey{})); d != "" {
			t.Errorf("kind %d: %s", want.kind, d)
		}
	}
}

// Every prefix of every record is refused, without a panic.
func TestCutRecords(t *testing.T) {
	for _, e := range sampleEntries() {
		p := e.encode()
		for n := range p {
			if _, err := decodeEntry(p[:n]); err == nil {
				t.Errorf("kind %d: a prefix of %d of %d bytes is accepted", e.kind, n, len(p))
			}
		}
	}
}

// Any bytes: no panic, no allocation beyond what they could hold, and what is
// accepted means the same when it is written again.
func FuzzJournalRecord(f *testing.F) {
	for _, e := range sampleEntries() {
		f.Add(e.encode())
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		e, err := decodeEntry(p)
		if err != nil {
			return
		}
		q := e.encode()
		again, err := decodeEntry(q)
		if err != nil {
			t.Fatalf("what was accepted is refused when written again: %v", err)
		}
		if !bytes.Equal(q, again.encode()) {
			t.Fatal("two encodings of one record")
		}
	})
}

func FuzzPlanRecord(f *testing.F) {
	a := fullAction()
	for _, rec := range []*planRecord{
		{action: &a},
		{box: &MailboxForecast{Mailbox: "m", Messages: 3}, ground: &boxGround{Root: 4, Folders: []folderStamp{{Dir: []byte{0xff}}}}},
	} {
		p, err := encodePlan(rec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		rec, err := decodePlan(p)
		if err != nil {
			return
		}
		q, err := encodePlan(rec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodePlan(q); err != nil {
			t.Fatalf("what was accepted is refused when written again: %v", err)
		}
	})
}

// Any records in the place of a plan's, each whole and with its check: the plan is
// refused, or everything that it was checked for is there when it is read, and it
// is the same plan when it is saved again.
func FuzzPlan(f *testing.F) {
	a := fullAction()
	action, err := encodePlan(&planRecord{action: &a})
	if err != nil {
		f.Fatal(err)
	}
	box, err := encodePlan(&planRecord{box: &MailboxForecast{Mailbox: "m", Messages: 3}, ground: &boxGround{Root: 4}})
	if err != nil {
		f.Fatal(err)
	}
	head := []byte("\x01" + `{"command":"restore"}`)
	tail := func(n string) []byte { return []byte("\x04" + `{"records":` + n + `,"forecast":{}}`) }
	f.Add(head, box, action, tail("2"))
	f.Add(head, box, action, tail("3"))
	f.Add(box, head, action, tail("2"))
	f.Add(head, tail("1"), action, tail("0"))
	f.Add(head, head, action, tail("2"))
	f.Add([]byte{1}, []byte{2}, []byte{3}, []byte{4})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, first, second, third, last []byte) {
		path := filepath.Join(dir, "plan")
		_ = os.Remove(path)
		j, err := durable.OpenJournal(path, planOptions())
		if err != nil {
			t.Fatal(err)
		}
		err = j.Append(first, second, third, last)
		if cerr := j.Close(); err != nil || cerr != nil {
			t.Skip(err, cerr) // longer than a record may be
		}
		p, err := LoadPlan(path)
		if err != nil {
			return
		}
		n := 0
		for _, err := range p.store.records(t.Context()) {
			if err != nil {
				t.Fatalf("a plan that was checked cannot be read: %v", err)
			}
			n++
		}
		if n != 2 {
			t.Fatalf("%d records between its head and its end", n)
		}
		if err := savePlan(path, p.header, &p.forecast, p.store.records(t.Context())); err != nil {
			t.Fatal(err)
		}
		again, err := LoadPlan(path)
		if err != nil || !cmp.Equal(again.header, p.header) {
			t.Fatalf("%+v, %v; was %+v", again, err, p.header)
		}
	})
}
