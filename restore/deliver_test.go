package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/maildir"
)

// texts is a Source of messages by their number in From.
type texts map[string]string

func (m texts) Open(_ context.Context, a *Action) (io.ReadCloser, error) {
	s, ok := m[a.From]
	if !ok {
		return nil, os.ErrNotExist
	}
	return io.NopCloser(strings.NewReader(s)), nil
}

func newMail(mailbox, text string, n int) (Action, string) {
	from := fmt.Sprintf("archive\x00%s %d", mailbox, n)
	return Action{
		Op: Add, Ref: manifest.Ref{Store: "primary", Mailbox: mailbox, Folder: "INBOX"}, From: from,
		Post: Ground{Sub: manifest.New, Size: int64(len(text)), Digest: manifest.BLAKE3.Sum([]byte(text))},
		Date: epoch.Add(time.Duration(n) * time.Minute),
	}, from
}

// Messages decided elsewhere get names of their own with true sizes, lie in
// new, many mailboxes share a batch, and one undo takes back many deliveries.
func TestDeliver(t *testing.T) {
	w := newWorld(t)
	const boxes = 30
	src := texts{}
	var rounds [2][]Action
	for round := range rounds {
		for b := range boxes {
			box := fmt.Sprintf("box%02d", b)
			if round == 0 && b%2 == 0 {
				w.maildir("primary", box, "")
			} else if round == 0 {
				rounds[0] = append(rounds[0], Action{Op: Mkdir, Ref: manifest.Ref{Store: "primary", Mailbox: box, Folder: "INBOX"}})
			}
			text := fmt.Sprintf("Subject: %d %d\n\nLF\nCRLF\r\nlast line without end", b, round)
			a, from := newMail(box, text, round)
			src[from] = text
			if b == 3 {
				a.Keywords = []string{"$Replayed"}
			}
			rounds[round] = append(rounds[round], a)
		}
	}
	before := w.tree("primary")
	syncs := 0
	c := place.System()
	c.Syncfs = func(int) error { syncs++; return nil }
	w.calls = &c
	r, err := w.begin("primary", "replay")
	w.must(err)
	for _, list := range rounds {
		n := 0
		for a, err := range r.Deliver(context.Background(), list, src) {
			w.must(err)
			if n++; a.State != Done {
				t.Errorf("%s %s: %s %s", a.Op, a.Ref.Mailbox, a.State, a.Detail)
			}
			if a.Op == Add && (len(a.Post.Name) == 0 || a.Ref.Unique == "") {
				t.Errorf("no name was told: %+v", a)
			}
		}
		if n != len(list) {
			t.Errorf("%d of %d actions", n, len(list))
		}
	}
	w.must(r.End(nil))
	if d, err := place.NewDisks(place.NewOps(nil)).Of(r.open.store); err == nil && d.Batches && syncs > 4 {
		t.Errorf("%d syncfs for two rounds of %d mailboxes", syncs, boxes)
	}
	files, _ := filepath.Glob(w.path("primary", "*", "new", "*"))
	more, _ := filepath.Glob(w.path("primary", "*", "cur", "*:2,a"))
	if len(files) != 2*(boxes-1) || len(more) != 2 {
		t.Errorf("%d files in new, %d in cur: %v", len(files), len(more), more)
	}
	for _, f := range append(files, more...) {
		st, err := os.Stat(f)
		w.must(err)
		if n := maildir.ParseName(filepath.Base(f)); n.S != st.Size() || n.W != n.S+3 { // three bare LFs
			t.Errorf("%s: %d bytes", f, st.Size())
		}
	}
	for _, f := range files {
		st, err := os.Stat(f)
		w.must(err)
		if d := st.ModTime().Sub(epoch); d != 0 && d != time.Minute {
			t.Errorf("%s: date %v", f, st.ModTime())
		}
	}
	w.noLeftovers("primary")
	w.calls = nil
	u := w.undo("primary", r.ID())
	w.must(u.err)
	w.sameTree(before, w.tree("primary"))
}

// A message whose bytes are not what was planned is not delivered.
func TestWrongBytes(t *testing.T) {
	w := newWorld(t)
	w.maildir("primary", "a", "")
	large := strings.Repeat("0123456789abcde\n", smallMessage/16+1)
	var list []Action
	src := texts{}
	for n, change := range []func(string) string{
		func(s string) string { return s[:len(s)-1] },
		func(s string) string { return s + "x" },
		func(s string) string { return "X" + s[1:] },
		func(s string) string { return s },
	} {
		for i, text := range []string{"Subject: x\n\nshort\n", large} {
			a, from := newMail("a", text, 10*n+i)
			src[from] = change(text)
			list = append(list, a)
		}
	}
	a, _ := newMail("a", "gone", 99)
	list = append(list, a)
	r, err := w.begin("primary", "replay")
	w.must(err)
	states := map[State]int{}
	for a, err := range r.Deliver(context.Background(), list, src) {
		w.must(err)
		states[a.State]++
	}
	w.must(r.End(nil))
	if states[Done] != 2 || states[Failed] != 7 {
		t.Errorf("%v", states)
	}
	if got := w.tree("primary"); len(got) != 2 {
		t.Errorf("%d files", len(got))
	}
	w.noLeftovers("primary")
}

// A full file system stops the run cleanly: what was acknowledged stays, the
// rest stays planned, and the same again completes.
func TestNoSpace(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSPC, unix.EDQUOT} {
		t.Run(errno.Error(), func(t *testing.T) {
			w := newWorld(t)
			src := texts{}
			var list []Action
			for _, box := range []string{"a", "b"} {
				w.maildir("primary", box, "")
				for n := range 20 {
					text := fmt.Sprintf("Subject: %s %d\n\n", box, n)
					a, from := newMail(box, text, n)
					a.Post.Name, a.Post.Sub = []byte(fmt.Sprintf("%d.M%dP1.x", 1700000000+n, n)), manifest.Cur
					src[from] = text
					list = append(list, a)
				}
			}
			c := place.System()
			writes, full := 0, true
			c.Write = func(fd int, p []byte) (int, error) {
				if strings.HasPrefix(string(p), "Subject: a") {
					if writes++; writes > 7 && full {
						n, _ := unix.Write(fd, p[:3])
						_ = n
						return 0, errno
					}
				}
				return unix.Write(fd, p)
			}
			w.calls = &c
			run := func() (Counts, error) {
				r, err := w.begin("primary", "replay")
				w.must(err)
				var stop error
				for _, err := range r.Deliver(context.Background(), list, src) {
					if err != nil {
						stop = err
					}
				}
				w.must(r.End(stop))
				return r.Counts(), stop
			}
			got, err := run()
			if !errors.Is(err, ErrNoSpace) {
				t.Fatalf("%v, want ErrNoSpace", err)
			}
			want := Counts{Done: 7, Planned: 33}
			if errno == unix.EDQUOT { // the other owner has room
				want = Counts{Done: 27, Planned: 13}
			}
			if got.Done != want.Done || got.Planned != want.Planned || got.Failed != 0 {
				t.Errorf("%+v, want %+v", got, want)
			}
			if n := len(w.tree("primary")); int64(n) != got.Done {
				t.Errorf("%d files for %d done", n, got.Done)
			}
			w.noLeftovers("primary")
			full = false
			got, err = run()
			w.must(err)
			if got.Already+got.Done != 40 {
				t.Errorf("again: %+v", got)
			}
		})
	}
}

// Cancelled, a run ends what is in flight, says why, and leaves a whole
// journal; what was done can be undone.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.maildir("primary", "a", "")
	before := w.tree("primary")
	src := texts{}
	var list []Action
	for n := range 400 {
		text := fmt.Sprintf("Subject: %d\n\n", n)
		a, from := newMail("a", text, n)
		src[from] = text
		list = append(list, a)
	}
	r, err := Begin(RunOptions{Site: w.site("primary"), State: w.state(), Command: "replay", BatchMessages: 20})
	w.must(err)
	stop := errors.New("the operator had enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var got error
	n := 0
	for _, err := range r.Deliver(ctx, list, src) {
		if err != nil {
			got = err
			break
		}
		if n++; n == 30 {
			cancel(stop)
		}
	}
	if !errors.Is(got, stop) {
		t.Errorf("%v, want the cause", got)
	}
	c := r.Counts()
	if c.Done == 0 || c.Done == 400 || c.Done+c.Planned != 400 {
		t.Errorf("%+v", c)
	}
	if n := len(w.tree("primary")); int64(n) != c.Done {
		t.Errorf("%d files, %d done", n, c.Done)
	}
	w.must(r.End(context.Canceled))
	info, err := FindRun(nil, w.state(), r.ID())
	w.must(err)
	if info.How != HowInterrupted || !info.Resumable || !info.Undoable || info.Counts.Done != c.Done {
		t.Errorf("%+v", info)
	}
	w.noLeftovers("primary")
	w.must(w.undo("primary", r.ID()).err)
	w.sameTree(before, w.tree("primary"))
}

// Two runs never write into one store at a time.
func TestBusy(t *testing.T) {
	w := newWorld(t)
	w.maildir("primary", "a", "")
	r, err := w.begin("primary", "restore")
	w.must(err)
	if _, err := w.begin("primary", "restore"); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	w.must(r.End(nil))
	r, err = w.begin("primary", "restore")
	w.must(err)
	w.must(r.End(nil))
	if _, err := FindRun(nil, w.state(), "no-such-run"); !errors.Is(err, ErrNoRun) {
		t.Errorf("%v", err)
	}
	if _, err := FindRun(nil, w.state(), "../../etc"); !errors.Is(err, ErrNoRun) {
		t.Errorf("%v", err)
	}
}
