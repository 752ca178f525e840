package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/remote"
)

// drawStore draws a store with a few mailboxes of a few messages, absences,
// blind folders and, where it is troubled, failures: of two failing sides the
// first to fail is told, and which that is, no promise says.
func drawStore(t *rapid.T, name string, troubled bool) *comparetest.Store {
	s := comparetest.New(name)
	s.Now = map[manifest.Ref]compare.Presence{}
	for i := range rapid.IntRange(0, 4).Draw(t, "mailboxes") {
		var list []comparetest.Message
		for k := range rapid.IntRange(0, 6).Draw(t, "messages") {
			m := comparetest.Message{
				Folder: rapid.SampledFrom([]string{"INBOX", "Sent"}).Draw(t, "folder"),
				Name:   fmt.Sprintf("%d.m%s", k, rapid.SampledFrom([]string{"", ":2,", ":2,S"}).Draw(t, "info")),
				Body:   rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "body"), Inode: uint64(k + 1),
			}
			switch rapid.IntRange(0, 9).Draw(t, "state") {
			case 0:
				m.Damage = manifest.Truncated
			case 1:
				m.Damage, m.Good = manifest.ContentChanged, "x"
			case 2:
				m.Unread = true
			}
			list = append(list, m)
		}
		b := s.Add(fmt.Sprintf("%d@example", i), list...)
		b.Mailbox.Alg = manifest.BLAKE3
		b.Mailbox.Folders = []manifest.Folder{{Name: "INBOX", UIDValidity: 7}, {Name: "Sent", Dir: ".Sent"}}
		if rapid.Bool().Draw(t, "absence") {
			e := comparetest.Message{Name: "gone", Body: "x"}.Entry()
			b.Absences = []manifest.Absence{{Entry: e, Evidence: manifest.ServerExpunge, LastSeen: time.Unix(5, 0).UTC(), FirstAbsent: time.Unix(9, 0).UTC()}}
		}
		switch trouble := rapid.IntRange(0, 9).Draw(t, "trouble"); {
		case trouble == 0:
			b.Blind = map[string]string{"Sent": "input/output error"}
		case !troubled:
		case trouble == 1:
			b.Err, b.FailAfter = errOdd, len(list)/2
		case trouble == 2:
			b.OpenErr = fmt.Errorf("%w: another file system", compare.ErrUnknown)
		case trouble == 3:
			b.AbsentErr = errOdd
		}
		if rapid.Bool().Draw(t, "head") {
			state := manifest.BLAKE3.Sum([]byte(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "root")))
			b.Head = &compare.Head{State: state, Content: state, Messages: int64(len(list))}
		}
	}
	return s
}

// told is a comparison, as far as anybody can see it. Texts of errors differ
// by what lies between.
func told(t *rapid.T, sides []compare.Side) (lines []string, sum compare.Counts, doubts int64) {
	c, err := compare.New(sides, compare.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range c.Mailboxes(context.Background()) {
		if err != nil {
			lines = append(lines, "error")
			break
		}
		for d, err := range m.Differences() {
			if err != nil {
				t.Fatal(err)
			}
			line := fmt.Sprint(d.Mailbox, d.Folder, d.File, d.Kind, d.Good, d.Messages)
			for _, k := range d.Copies {
				line += fmt.Sprint(" ", k.Unknown != "", k.Entry != nil)
				if k.Entry != nil {
					line += fmt.Sprint(k.Entry.Name, k.Entry.Digest)
				}
			}
			lines = append(lines, line)
		}
	}
	r := c.Result()
	return lines, r.Counts, r.Doubts
}

// A store looks the same from here as from there.
func TestComparesAlike(t *testing.T) {
	spill := spillIn(t)
	h := &host{stores: map[string]*comparetest.Store{}}
	p := pair(t, remote.Options{}, remote.Options{Host: h})
	rapid.Check(t, func(rt *rapid.T) {
		a, b := drawStore(rt, "a", false), drawStore(rt, "b", true)
		want, sum, doubts := told(rt, []compare.Side{a.Side(), b.Side()})
		h.stores["/b"] = b
		far := open(t, p, "b", "/b")
		defer far.Close()
		got, sum2, doubts2 := told(rt, []compare.Side{a.Side(), {Source: far, Witness: far}})
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatalf("lines differ (- near, + far):\n%s", d)
		}
		if d := cmp.Diff(sum, sum2); d != "" || doubts != doubts2 {
			rt.Fatalf("sums differ: %s, %d and %d doubts", d, doubts, doubts2)
		}
		// With sums on both sides, equal parts are not listed.
		near, err := compare.List(context.Background(), a, spill)
		if err != nil {
			rt.Fatal(err)
		}
		defer near.Close()
		got, sum2, _ = told(rt, []compare.Side{{Source: near, Witness: a}, {Source: far, Witness: far}})
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatalf("lines differ where parts are summed (- near, + far):\n%s", d)
		}
		if d := cmp.Diff(sum, sum2); d != "" {
			rt.Fatalf("sums differ where parts are summed: %s", d)
		}
	})
}

// Equal stores cost a few sums, however many mailboxes they have.
func TestEqualStoresCostLittle(t *testing.T) {
	a, b := comparetest.New("a"), comparetest.New("b")
	for i := range 3000 {
		state := manifest.BLAKE3.Sum(fmt.Append(nil, i))
		for _, s := range []*comparetest.Store{a, b} {
			s.Add(fmt.Sprintf("%d@example", i)).Head = &compare.Head{State: state, Content: state, Messages: 200}
		}
	}
	h := &host{stores: map[string]*comparetest.Store{"/b": b}}
	p := pair(t, remote.Options{}, remote.Options{Host: h})
	far := open(t, p, "b", "/b")
	near, err := compare.List(t.Context(), a, spillIn(t))
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	c, err := compare.New([]compare.Side{{Source: near}, {Source: far}}, compare.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range c.Mailboxes(t.Context()) {
		t.Fatal("a difference between equal stores")
	}
	if r := c.Result(); r.Mailboxes != 3000 || r.Messages != 600000 || !r.Complete {
		t.Fatalf("%+v", r)
	}
	in, out := p.Traffic()
	if in+out > 4<<10 {
		t.Errorf("%d bytes came and %d went for equal stores", in, out)
	}
	if len(b.Opens) > 0 {
		t.Errorf("%d mailboxes were opened", len(b.Opens))
	}
}

// A message comes as it is, packed or not, and in order of its own end.
func TestMessages(t *testing.T) {
	noise := make([]byte, 300<<10)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(noise)
	h := &host{
		stores: map[string]*comparetest.Store{"/b": comparetest.New("b")},
		mail: map[string][]byte{
			"empty": {}, "one": []byte("x"), "text": []byte(strings.Repeat("Subject: hello\r\n", 50000)),
			"noise": noise, "mixed": append([]byte(strings.Repeat("text\n", 30000)), noise...), "dovecot-acl": []byte("owner lr\n"),
		},
	}
	p := pair(t, remote.Options{}, remote.Options{Host: h})
	src := open(t, p, "b", "/b").Messages()
	for name, want := range h.mail {
		r, err := src.Open(t.Context(), &restore.Action{FromName: []byte(name)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %d bytes and %v, want %d bytes", name, len(got), err, len(want))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := src.Open(t.Context(), &restore.Action{FromName: []byte("none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a message that is not there: %v", err)
	}
	acl, err := src.(restore.SmallFiles).SmallFile(t.Context(), &restore.Action{}, "dovecot-acl")
	if err != nil || string(acl) != "owner lr\n" {
		t.Errorf("small file: %q, %v", acl, err)
	}
	if _, err := src.(restore.SmallFiles).SmallFile(t.Context(), &restore.Action{}, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a small file that is not there: %v", err)
	}
}

// Errors keep their meaning; what the other end refuses is refused.
func TestErrors(t *testing.T) {
	p := pair(t, remote.Options{Name: "spare1"}, remote.Options{Host: &host{}})
	_, err := p.Open(t.Context(), remote.Spec{Name: "b", Path: "/etc"})
	if !errors.Is(err, remote.ErrRefused) || !strings.HasPrefix(err.Error(), "spare1: ") {
		t.Errorf("a store that is not served: %v", err)
	}
}

// Tasks tell while they run, and end with a result or an error.
func TestTask(t *testing.T) {
	begun := make(chan struct{})
	h := &host{run: func(ctx context.Context, task *remote.Task) ([]byte, error) {
		switch task.Name {
		case "count":
			for i := range 1000 {
				if err := task.Event([]byte{byte(i)}); err != nil {
					return nil, err
				}
			}
			return []byte("done"), nil
		case "wait":
			close(begun)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		return nil, errOdd
	}}
	p := pair(t, remote.Options{}, remote.Options{Host: h})
	n := 0
	got, err := p.Do(t.Context(), "count", nil, func(b []byte) error {
		if b[0] != byte(n) {
			t.Errorf("event %d is %d", n, b[0])
		}
		n++
		return nil
	})
	if err != nil || string(got) != "done" || n != 1000 {
		t.Errorf("%q, %v, %d events", got, err, n)
	}
	if _, err := p.Do(t.Context(), "fail", nil, nil); err == nil || err.Error() != errOdd.Error() {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-begun
		cancel(errOdd)
	}()
	if _, err := p.Do(ctx, "wait", nil, nil); !errors.Is(err, errOdd) {
		t.Errorf("a task that was given up: %v", err)
	}
}

// A connection that breaks is ErrLost, and a view of it is unknown: never
// missing, never whole.
func TestBrokenConnection(t *testing.T) {
	b := comparetest.New("b")
	box := b.Add("m", comparetest.Message{Name: "1.a", Body: "x"})
	box.Mailbox.Alg = manifest.BLAKE3
	here, there := sockets(t)
	go func() {
		_ = remote.Serve(context.Background(), there, remote.Options{Program: "test", Host: &host{stores: map[string]*comparetest.Store{"/b": b}}, Spill: spillIn(t)})
	}()
	p, err := remote.Connect(t.Context(), here, remote.Options{Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, p, "b", "/b")
	if err := there.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), "m"); !errors.Is(err, compare.ErrUnknown) || !errors.Is(err, remote.ErrLost) || errors.Is(err, compare.ErrNoMailbox) {
		t.Errorf("a view: %v", err)
	}
	for _, err := range s.Mailboxes(t.Context()) {
		if !errors.Is(err, remote.ErrLost) {
			t.Errorf("a listing: %v", err)
		}
	}
	if _, err := s.Messages().Open(t.Context(), &restore.Action{}); !errors.Is(err, remote.ErrLost) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a message: %v", err)
	}
	if p, err := s.Lookup(t.Context(), "m", "INBOX", []string{"1.a"}); len(p) > 0 || err == nil {
		t.Errorf("a lookup: %v, %v", p, err)
	}
	_ = p.Close()
}

// Versions are negotiated, and a mismatch names both.
func TestVersions(t *testing.T) {
	for _, c := range []struct {
		line string
		want error
		text string
	}{
		{"mailsync 1-7 v9 serve\n", nil, ""},
		{"mailsync 2-3 v2.0.0 serve\n", remote.ErrVersion, "here test (1 to 1), there v2.0.0 (2 to 3)"},
		{"mailsync 1-1 v9 call\n", remote.ErrHello, "both ends call"},
		{"Welcome to spare1!\n", remote.ErrHello, "Welcome to spare1!"},
		{"bash: mailsync: command not found", remote.ErrHello, "command not found"},
		{strings.Repeat("x", 5000), remote.ErrHello, "xxxx"},
		{"", remote.ErrLost, ""},
	} {
		here, there := sockets(t)
		go func() {
			_, _ = io.WriteString(there, c.line)
			if c.want != nil {
				there.Close()
			}
		}()
		p, err := remote.Connect(t.Context(), here, remote.Options{Program: "test"})
		if !errors.Is(err, c.want) || c.want != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%.30q: %v", c.line, err)
		}
		if p != nil {
			_ = p.Close()
		}
	}
}
