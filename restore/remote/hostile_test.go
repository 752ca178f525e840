package remote_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/remote"
)

func frame(kind byte, p []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(p)))
	return append(b, p...)
}

func item(t testing.TB, v any) []byte {
	t.Helper()
	p, err := remote.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return frame(2, p)
}

var endFrame = frame(5, []byte{0xa0})

// liar is a serving end that greets as it should and answers every request
// after the first, which opens a store, with the same bytes.
func liar(t testing.TB, answer []byte) *remote.Store {
	t.Helper()
	opened := map[int]any{1: 7, 2: map[int]any{1: []byte("b")}, 3: true, 4: true, 5: map[int]any{7: 1}}
	return open(t, liarAfter(t, concat(item(t, opened), endFrame), answer), "b", "/b")
}

// liarAfter answers the first request with other bytes.
func liarAfter(t testing.TB, begin, answer []byte) *remote.Peer {
	t.Helper()
	here, there := sockets(t)
	go func() {
		if _, err := io.WriteString(there, "mailsync 1-1 liar serve\n"); err != nil {
			return
		}
		line := make([]byte, len("mailsync 1-1 test call\n"))
		if _, err := io.ReadFull(there, line); err != nil {
			return
		}
		s, err := yamux.Server(there, quiet())
		if err != nil {
			return
		}
		for first := true; ; first = false {
			stream, err := s.AcceptStream()
			if err != nil {
				return
			}
			go func() {
				defer stream.Close()
				if first {
					_, _ = stream.Write(begin)
					return
				}
				_, _ = stream.Write(answer)
			}()
		}
	}()
	p, err := remote.Connect(t.Context(), here, remote.Options{Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func quiet() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput, c.Logger = io.Discard, nil
	return c
}

// manifestOf is a whole manifest of one mailbox.
func manifestOf(t testing.TB, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := manifest.NewWriter(&b, &manifest.Mailbox{Name: name, Alg: manifest.BLAKE3})
	if err != nil {
		t.Fatal(err)
	}
	e := comparetest.Message{Name: "1.a", Body: "x"}.Entry()
	if err := w.Add(&e); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A message whose end lies, or is missing, is an error and not a message.
func TestLiesAboutMessages(t *testing.T) {
	body := []byte("Subject: x\n\nhello\n")
	sum := manifest.BLAKE3.Sum(body)
	digest := append([]byte{byte(manifest.BLAKE3)}, sum.Sum[:]...)
	other := manifest.BLAKE3.Sum([]byte("other"))
	wrong := append([]byte{byte(manifest.BLAKE3)}, other.Sum[:]...)
	data := frame(3, body)
	for name, c := range map[string]struct {
		answer []byte
		ok     bool
	}{
		"truth":         {concat(data, item(t, map[int]any{1: len(body), 2: digest}), endFrame), true},
		"other digest":  {concat(data, item(t, map[int]any{1: len(body), 2: wrong}), endFrame), false},
		"other size":    {concat(data, item(t, map[int]any{1: 5, 2: digest}), endFrame), false},
		"no digest":     {concat(data, item(t, map[int]any{1: len(body)}), endFrame), false},
		"no item":       {concat(data, endFrame), false},
		"no end":        {concat(data, item(t, map[int]any{1: len(body), 2: digest})), false},
		"cut":           {data[:9], false},
		"more":          {concat(data, item(t, map[int]any{1: len(body), 2: digest}), data, endFrame), false},
		"huge frame":    {[]byte{3, 0xff, 0xff, 0xff, 0xff}, false},
		"unknown kind":  {[]byte{9, 0, 0, 0, 0}, false},
		"a request":     {frame(1, nil), false},
		"at work":       {concat(frame(6, nil), data, frame(6, nil), frame(6, nil), item(t, map[int]any{1: len(body), 2: digest}), frame(6, nil), endFrame), true},
		"broken packed": {concat(frame(4, []byte("no zstd")), endFrame), false},
		"unknown key":   {concat(data, item(t, map[int]any{1: len(body), 2: digest, 9: 1}), endFrame), false},
		"nothing":       {nil, false},
	} {
		r, err := liar(t, c.answer).Messages().Open(t.Context(), &restore.Action{FromName: []byte("n")})
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
			_ = r.Close()
		}
		if c.ok != (err == nil) || c.ok && !bytes.Equal(got, body) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// A view that lies is unknown: its entries are no mailbox.
func TestLiesAboutMailboxes(t *testing.T) {
	begin, middle := item(t, map[int]any{}), item(t, map[int]any{})
	whole := manifestOf(t, "m")
	good := concat(begin, frame(3, whole), middle, frame(3, emptyManifest(t, "m")), endFrame)
	for name, c := range map[string]struct {
		answer []byte
		ok     bool
	}{
		"truth":            {good, true},
		"no second needed": {concat(begin, frame(3, whole), item(t, map[int]any{4: true}), endFrame), true},
		"needed, and none": {concat(begin, frame(3, whole), middle, endFrame), false},
		"none, and one":    {concat(begin, frame(3, whole), item(t, map[int]any{4: true}), frame(3, emptyManifest(t, "m")), endFrame), false},
		"none, and no end": {concat(begin, frame(3, whole), item(t, map[int]any{4: true})), false},
		"other mailbox":    {concat(begin, frame(3, manifestOf(t, "other")), middle, frame(3, emptyManifest(t, "m")), endFrame), false},
		"ends as other":    {concat(begin, frame(3, whole), middle, frame(3, emptyManifest(t, "other")), endFrame), false},
		"cut manifest":     {concat(begin, frame(3, whole[:len(whole)-9]), middle, frame(3, emptyManifest(t, "m")), endFrame), false},
		"no second":        {concat(begin, frame(3, whole), middle, endFrame), false},
		"entries at end":   {concat(begin, frame(3, whole), middle, frame(3, whole), endFrame), false},
		"no end":           {good[:len(good)-len(endFrame)], false},
		"no begin":         {concat(frame(3, whole), endFrame), false},
		"nothing":          {endFrame, false},
		"more than wanted": {concat(good[:len(good)-len(endFrame)], middle, endFrame), false},
	} {
		v, err := liar(t, c.answer).Open(t.Context(), "m")
		n := 0
		if err == nil {
			for _, e := range v.Entries(t.Context()) {
				if e != nil {
					err = e
					break
				}
				n++
			}
		}
		if err == nil {
			for _, e := range v.Absences(t.Context()) {
				err = e
			}
		}
		if c.ok != (err == nil) || c.ok && n != 1 {
			t.Errorf("%s: %d entries, %v", name, n, err)
		}
		if errors.Is(err, compare.ErrNoMailbox) {
			t.Errorf("%s: taken for missing: %v", name, err)
		}
	}
}

func emptyManifest(t testing.TB, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := manifest.NewWriter(&b, &manifest.Mailbox{Name: name, Alg: manifest.BLAKE3})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Listings out of order, of other parts than asked for, or of nothing are
// refused.
func TestLiesAboutListings(t *testing.T) {
	head := func(name string) []any { return []any{[]byte(name), []byte{}, []byte{}, 1, 0, 0, 0} }
	list := func(names ...string) []byte {
		var heads []any
		for _, n := range names {
			heads = append(heads, head(n))
		}
		return concat(item(t, map[int]any{1: heads}), endFrame)
	}
	a, b := "a", "b"
	if manifest.CompareMailboxes(a, b) > 0 {
		a, b = b, a
	}
	for name, c := range map[string]struct {
		answer []byte
		ok     bool
	}{
		"truth": {list(a, b), true}, "turned": {list(b, a), false}, "twice": {list(a, a), false},
		"no name": {list(""), false}, "data": {concat(frame(3, []byte("x")), endFrame), false},
		"no end": {list(a)[:5], false},
	} {
		var err error
		for _, e := range liar(t, c.answer).Mailboxes(t.Context()) {
			err = e
		}
		if c.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A part that was not asked for.
	var err error
	no := manifest.ShardOf(a)
	for _, e := range liar(t, list(a)).Parts(t.Context(), []compare.Run{{From: (no + 1) % manifest.Shards, To: (no+1)%manifest.Shards + 1}}) {
		err = e
	}
	if !errors.Is(err, remote.ErrProtocol) {
		t.Errorf("another part: %v", err)
	}
	if _, err := liar(t, concat(item(t, []any{}), endFrame)).Sums(t.Context(), []compare.Run{{From: 0, To: 1}}); !errors.Is(err, remote.ErrProtocol) {
		t.Errorf("too few sums: %v", err)
	}
}

// FuzzAnswers: whatever a serving end answers, the asking end comes to an end,
// with an error or with what it can prove.
func FuzzAnswers(f *testing.F) {
	begin, middle := item(f, map[int]any{}), item(f, map[int]any{})
	f.Add(concat(begin, frame(3, manifestOf(f, "m")), middle, frame(3, emptyManifest(f, "m")), endFrame))
	f.Add(concat(frame(3, []byte("body")), item(f, map[int]any{1: 4, 2: []byte{1}}), endFrame))
	f.Add(item(f, map[int]any{1: []any{[]any{[]byte("a"), []byte{}, []byte{}, 1, 0, 0, 0}}}))
	f.Add(concat(frame(6, nil), frame(6, []byte("x")), item(f, map[int]any{1: []any{}}), endFrame))
	f.Add(concat(item(f, map[int]any{1: []byte("a"), 2: 4, 6: true}), frame(3, []byte("body")), item(f, map[int]any{1: 4}), endFrame))
	f.Add(frame(5, []byte{0xa1, 1, 0xa2, 1, 0x41, 'x', 2, 0x81, 0x47, 'u', 'n', 'k', 'n', 'o', 'w', 'n'}))
	f.Fuzz(func(t *testing.T, answer []byte) {
		s := liar(t, answer)
		ctx := t.Context()
		if v, err := s.Open(ctx, "m"); err == nil {
			for range v.Entries(ctx) {
			}
			for range v.Absences(ctx) {
			}
			_ = v.Close()
		}
		for range s.Mailboxes(ctx) {
		}
		for range s.Record().Heads(ctx) {
		}
		_, _ = s.Sums(ctx, []compare.Run{{From: 0, To: 1}})
		_, _ = s.Lookup(ctx, "m", "INBOX", []string{"a"})
		_, _ = s.Evidence(ctx, "b", "m", &manifest.Entry{}, compare.OwnProofs)
		if x, err := liarAfter(t, concat(item(t, map[int]any{}), endFrame), answer).OpenArchive(ctx, "/a"); err == nil {
			for file, err := range x.Walk(ctx) {
				if err == nil && file.File != nil {
					_, _ = io.Copy(io.Discard, file.File)
				}
			}
			if file, err := x.Open(ctx, "a", 10); err == nil {
				_, _ = io.Copy(io.Discard, file)
				_ = file.Close()
			}
		}
		if r, err := s.Messages().Open(ctx, &restore.Action{}); err == nil {
			_, _ = io.Copy(io.Discard, r)
			_ = r.Close()
		}
	})
}

// FuzzRequests: whatever a caller sends on a stream, the serving end answers or
// hangs up, and serves the next.
func FuzzRequests(f *testing.F) {
	request := func(method string, store int, body any) []byte {
		p, err := remote.Encode(body)
		if err != nil {
			f.Fatal(err)
		}
		q, err := remote.Encode(map[int]any{1: []byte(method), 2: store, 3: p})
		if err != nil {
			f.Fatal(err)
		}
		return frame(1, q)
	}
	spec := map[int]any{1: []byte("b"), 2: []byte("/b")}
	f.Add(request("open", 0, spec), request("view", 1, map[int]any{1: []byte("m")}))
	f.Add(request("open", 0, spec), request("sums", 1, map[int]any{1: [][2]int{{0, 4096}}}))
	f.Add(request("open", 0, spec), request("heads", 1, map[int]any{1: [][2]int{{-1, 1 << 40}}}))
	f.Add(request("open", 0, spec), request("lookup", 1, map[int]any{1: []byte("m"), 2: []byte("INBOX"), 3: [][]byte{[]byte("1.a")}}))
	f.Add(request("open", 0, spec), request("evidence", 1, map[int]any{1: []byte("m"), 9: 1}))
	f.Add(request("open", 0, spec), request("message", 1, map[int]any{1: []byte("m"), 4: []byte("../../etc/passwd")}))
	f.Add(request("archive", 0, map[int]any{1: []byte("/a")}), request("walk", 0, map[int]any{1: []byte("/a")}))
	f.Add(request("file", 0, map[int]any{1: []byte("/a"), 2: []byte("../b"), 4: -1}), request("file", 0, map[int]any{1: []byte("/a"), 2: []byte("b"), 3: []byte("..")}))
	f.Add(request("task", 0, map[int]any{1: []byte("scan")}), request("close", 1, nil))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		b := comparetest.New("b")
		b.Add("m", comparetest.Message{Name: "1.a", Body: "x"}).Mailbox.Alg = manifest.BLAKE3
		h := &archives{dir: t.TempDir(), host: host{stores: map[string]*comparetest.Store{"/b": b}, run: func(context.Context, *remote.Task) ([]byte, error) { return nil, errOdd }}}
		here, there := sockets(t)
		done := make(chan error, 1)
		go func() {
			done <- remote.Serve(context.Background(), there, remote.Options{Program: "test", Host: h, Spill: spillIn(t)})
		}()
		session := greeted(t, here)
		for _, p := range [][]byte{first, second} {
			stream, err := session.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = stream.Write(p)
			_ = stream.Close() // says that no more comes
			_ = stream.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, stream); errors.Is(err, yamux.ErrTimeout) {
				t.Fatal("neither answered nor hung up")
			}
		}
		_ = session.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

// greeted greets a serving end as its caller.
func greeted(t testing.TB, conn net.Conn) *yamux.Session {
	t.Helper()
	if _, err := io.WriteString(conn, "mailsync 1-1 test call\n"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("mailsync 1-1 test serve\n"))
	if _, err := io.ReadFull(conn, line); err != nil {
		t.Fatal(err)
	}
	s, err := yamux.Client(conn, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
