package replay

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/scan/maildir"
	"mailsync/scan/message"
)

// disk is a store on disk, read the simple way: INBOX only.
type disk struct{ path string }

func (d *disk) root(box string) string { return filepath.Join(d.path, box) }

func (d *disk) Info() compare.Info { return compare.Info{Name: "primary"} }

func (d *disk) Mailboxes(context.Context) iter.Seq2[compare.Head, error] {
	return func(func(compare.Head, error) bool) {}
}

func (d *disk) Open(_ context.Context, box string) (compare.View, error) {
	if _, err := os.Stat(d.root(box)); err != nil {
		return nil, compare.ErrNoMailbox
	}
	return &diskView{d: d, box: box}, nil
}

func (d *disk) Lookup(_ context.Context, _, _ string, unique []string) ([]compare.Presence, error) {
	return make([]compare.Presence, len(unique)), nil
}

func (d *disk) Evidence(_ context.Context, _, box string, e *manifest.Entry, _ compare.EvidenceKind) (compare.Evidence, error) {
	b, err := os.ReadFile(filepath.Join(d.root(box), e.File()))
	if err != nil {
		return compare.Evidence{}, err
	}
	id, err := message.Identify(bytes.NewReader(b), message.Limits{})
	return compare.Evidence{Known: err == nil, Exact: id.Exact, Delivery: id.Delivery, Body: id.Body, ID: id.ID, NoID: id.NoID}, nil
}

type diskView struct {
	d   *disk
	box string
}

func (v *diskView) Mailbox() *manifest.Mailbox { return &manifest.Mailbox{Name: v.box} }
func (v *diskView) Close() error               { return nil }
func (v *diskView) Absences(context.Context) iter.Seq2[manifest.Absence, error] {
	return func(func(manifest.Absence, error) bool) {}
}

func (v *diskView) Entries(context.Context) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for _, sub := range []manifest.Sub{manifest.New, manifest.Cur} {
			dir := filepath.Join(v.d.root(v.box), sub.String())
			list, err := os.ReadDir(dir)
			if err != nil {
				yield(manifest.Entry{}, err)
				return
			}
			for _, f := range list {
				b, err := os.ReadFile(filepath.Join(dir, f.Name()))
				if err != nil {
					yield(manifest.Entry{}, err)
					return
				}
				st, err := f.Info()
				if err != nil {
					yield(manifest.Entry{}, err)
					return
				}
				id, _ := message.Identify(bytes.NewReader(b), message.Limits{}) // in memory
				e := manifest.Entry{
					Folder: "INBOX", Sub: sub, Name: f.Name(), Unique: maildir.ParseName(f.Name()).Unique, Size: int64(len(b)),
					MTime: st.ModTime().UnixNano(), Digest: manifest.BLAKE3.Sum(b), HeaderID: id.HeaderID, Status: manifest.Sound,
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// The whole way with the real deliverer: bytes as archived, an own name with
// true sizes, INTERNALDATE = arrival, unread; the run is undoable, a second one
// delivers nothing.
func TestDeliverToDisk(t *testing.T) {
	d := &disk{path: t.TempDir()}
	boxes := []string{"ann", "bob"}
	for _, b := range boxes {
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(d.root(b), sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	site := &restore.Site{Store: "primary", Path: d.path, Place: func(box string) (maildir.Place, error) {
		return maildir.Place{Mailbox: box, Store: d.path, Root: d.root(box), Known: true}, nil
	}}
	g := newGateway(t)
	want := map[string]time.Time{}
	for i := range 40 {
		at := t0.Add(time.Duration(i) * time.Minute)
		body := mail(i, at)
		box := boxes[i%2]
		g.put(at, body, box+"@example.com")
		if i < 10 {
			name := filepath.Join(d.root(box), "cur", fmt.Sprintf("%d.M%d.host:2,S", at.Unix(), i))
			if err := os.WriteFile(name, []byte(deliveredCopy(body, box, i)), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want[box+"\x00"+body] = at
	}
	state := t.TempDir()
	undone := map[string]bool{}
	replay := func() *result {
		t.Helper()
		res, err := NewResolver(Maps{Mailboxes: names(boxes...), Domains: []string{"example.com"}})
		if err != nil {
			t.Fatal(err)
		}
		l, err := OpenLedger(nil, filepath.Join(state, "replay"), "primary", false)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.Forget(func(run string) bool { return undone[run] })
		w, err := restore.Begin(restore.RunOptions{Site: site, State: state, Command: "replay"})
		if err != nil {
			t.Fatal(err)
		}
		r, err := run(t, Options{Archive: g.open(), Target: d, Witness: d, Resolver: res, Ledger: l, All: true}, w)
		if end := w.End(err); end != nil && err == nil {
			err = end
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := replay()
	if r.totals.Delivered != 30 || r.totals.Present != 10 || r.exit != 0 {
		for _, l := range r.lines {
			if l.Outcome != Present {
				t.Logf("%s %s %s", l.Source, l.Outcome, l.Detail)
			}
		}
		t.Fatalf("%+v exit %d", r.totals, r.exit)
	}
	for _, box := range boxes {
		list, err := os.ReadDir(filepath.Join(d.root(box), "new"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			b, err := os.ReadFile(filepath.Join(d.root(box), "new", f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			at, ok := want[box+"\x00"+string(b)]
			if !ok {
				t.Errorf("%s/%s is nothing that was archived, or is there twice", box, f.Name())
				continue
			}
			delete(want, box+"\x00"+string(b))
			st, err := f.Info()
			if err != nil {
				t.Fatal(err)
			}
			if !st.ModTime().Equal(at) {
				t.Errorf("%s: INTERNALDATE %v, want the arrival %v", f.Name(), st.ModTime(), at)
			}
			n := maildir.ParseName(f.Name())
			if !n.HasS || n.S != int64(len(b)) || !n.HasW || n.W != int64(len(b)+strings.Count(string(b), "\n")) {
				t.Errorf("%s: sizes in the name are not those of the message (%d bytes)", f.Name(), len(b))
			}
		}
		tmp, err := os.ReadDir(filepath.Join(d.root(box), "tmp"))
		if err != nil || len(tmp) != 0 {
			t.Errorf("%s/tmp: %v %v", box, tmp, err)
		}
	}
	if len(want) != 0 {
		t.Errorf("%d messages were not delivered", len(want))
	}
	var files []string
	for _, l := range r.lines {
		if l.Outcome == Delivered {
			files = append(files, l.Mailbox+"/"+l.File)
		}
	}
	slices.Sort(files)
	if len(slices.Compact(files)) != 30 {
		t.Errorf("the lines name %d files", len(files))
	}
	if again := replay(); again.totals.Delivered != 0 || again.totals.Present != 40 || again.exit != 0 {
		t.Errorf("a second replay: %+v exit %d", again.totals, again.exit)
	}
	// Gone without a word: deleted or lost once more, nobody is flooded. Taken
	// back by mailsync itself: delivered when asked again.
	first := ""
	for run := range ledgerRuns(t, state) {
		first = run
	}
	for _, box := range boxes {
		if err := os.RemoveAll(filepath.Join(d.root(box), "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(d.root(box), "new"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if gone := replay(); gone.totals.Delivered != 0 || gone.totals.Ambiguous != 30 || gone.exit != 1 {
		t.Errorf("after a deletion: %+v exit %d", gone.totals, gone.exit)
	}
	undone[first] = true
	if back := replay(); back.totals.Delivered != 30 || back.exit != 0 {
		t.Errorf("after an undo: %+v exit %d", back.totals, back.exit)
	}
}

// ledgerRuns are the runs that the ledger names.
func ledgerRuns(t *testing.T, state string) map[string]bool {
	t.Helper()
	l, err := OpenLedger(nil, filepath.Join(state, "replay"), "primary", true)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for x, err := range l.all() {
		if err != nil {
			t.Fatal(err)
		}
		if x.run == "" {
			t.Error("a delivery of no run")
		}
		out[x.run] = true
	}
	return out
}
