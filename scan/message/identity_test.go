package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mailsync/manifest"
)

func identify(t testing.TB, p []byte) Identity {
	t.Helper()
	x := NewIdentifier(Limits{})
	defer x.Close()
	id, err := x.Identify(p)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Whatever transport, gateways and stores do on the way, tier A does not see.
func TestTransportChangesNothing(t *testing.T) {
	t.Parallel()
	prepended := []string{
		"Return-Path: <bounce@example.org>\n",
		"Received: from a by b\n\tfor <c@example.net>; Tue, 24 Nov 2026 10:00:00 +0100\n",
		"Delivered-To: b@example.net\n", "X-Original-To: alias@example.net\n", "Envelope-to: b@example.net\n",
		"Delivery-date: Tue, 24 Nov 2026 10:00:00 +0100\n", "X-Spam-Status: No, score=-1\n\ttests=NONE\n",
		"Authentication-Results: mx; dkim=pass\n", "ARC-Seal: i=1; a=rsa-sha256\n", "DKIM-Signature: v=1; a=rsa-sha256\n",
		"Status: RO\n", "X-UID: 17\n", "Content-Length: 99\n", "X-Amavis-Alert: none\n", "List-Id: <x.example.org>\n",
	}
	changes := []struct {
		name string
		do   func(t *rapid.T, p []byte) []byte
	}{
		{"CRLF", func(_ *rapid.T, p []byte) []byte {
			return bytes.ReplaceAll(bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		}},
		{"prepend", func(t *rapid.T, p []byte) []byte {
			if bytes.HasPrefix(p, []byte("From ")) {
				return p
			}
			return append([]byte(rapid.SampledFrom(prepended).Draw(t, "field")), p...)
		}},
		{"mbox", func(_ *rapid.T, p []byte) []byte {
			head := HeaderEnd(p)
			body := bytes.ReplaceAll(p[head:], []byte("\n>From "), []byte("\n>>From "))
			body = bytes.ReplaceAll(body, []byte("\nFrom "), []byte("\n>From "))
			if !bytes.HasPrefix(p, []byte("From ")) {
				p = append([]byte("From a@b Tue Nov 24 10:00:00 2026\n"), p[:head]...)
			} else {
				p = bytes.Clone(p[:head])
			}
			return append(p, body...)
		}},
		{"blank lines at the end", func(t *rapid.T, p []byte) []byte {
			return append(bytes.Clone(p), strings.Repeat("\n", rapid.IntRange(1, 3).Draw(t, "n"))...)
		}},
		{"no line end at the end", func(_ *rapid.T, p []byte) []byte {
			if q := bytes.TrimRight(p, "\r\n"); HeaderEnd(q) >= 0 {
				return q
			}
			return p
		}},
		{"white space at line ends", func(_ *rapid.T, p []byte) []byte {
			head := HeaderEnd(p)
			end := []byte("\n")
			if bytes.Contains(p, []byte("\r\n")) {
				end = []byte("\r\n")
			}
			return append(bytes.Clone(p[:head]), bytes.ReplaceAll(p[head:], end, append([]byte(" \t"), end...))...)
		}},
		{"folding", func(_ *rapid.T, p []byte) []byte {
			return bytes.Replace(p, []byte("Subject: one two"), []byte("Subject: one\n\ttwo"), 1)
		}},
		{"field names", func(_ *rapid.T, p []byte) []byte {
			return bytes.Replace(p, []byte("Message-ID:"), []byte("Message-Id :"), 1)
		}},
	}
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(rapid.SampledFrom([]string{"text", "From here", ">From there", "two  spaces", "tab\there", "", " led by a space", "> quoted", ">>From x", "é"}), 0, 12).Draw(t, "lines")
		p := []byte("Date: Tue, 24 Nov 2026 10:00:00 +0100\nFrom: A <a@example.org>\nTo: b@example.net\nMessage-ID: <1@example.org>\nSubject: one two\nX-Own: y\n\n" + strings.Join(lines, "\n"))
		if len(lines) > 0 && rapid.Bool().Draw(t, "final") {
			p = append(p, '\n')
		}
		x := NewIdentifier(Limits{})
		defer x.Close()
		want, err := x.Identify(p)
		if err != nil {
			t.Fatal(err)
		}
		q := p
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			c := changes[rapid.IntRange(0, len(changes)-1).Draw(t, "which")]
			q = c.do(t, q)
			got, err := x.Identify(q)
			if err != nil {
				t.Fatal(err)
			}
			for tier, pair := range map[string][2]manifest.Digest{
				"A": {want.Exact, got.Exact}, "B": {want.Delivery, got.Delivery}, "C": {want.Body, got.Body},
				"D": {want.ID, got.ID}, "E": {want.NoID, got.NoID},
			} {
				if pair[0] != pair[1] || pair[0].IsZero() {
					t.Fatalf("tier %s changed with %s:\n%q\n%q", tier, c.name, p, q)
				}
			}
			if got.HeaderID != want.HeaderID {
				t.Fatalf("HeaderID changed with %s:\n%q", c.name, q)
			}
		}
		// the message read in pieces is the same message
		read, err := x.Read(iotest.OneByteReader(bytes.NewReader(q)))
		if err != nil {
			t.Fatal(err)
		}
		whole, _ := x.Identify(q)
		if d := cmp.Diff(whole, read); d != "" {
			t.Fatal(d)
		}
	})
}

func TestTiers(t *testing.T) {
	t.Parallel()
	base := "Date: Tue, 24 Nov 2026 10:00:00 +0100\nFrom: \"A\" <a@Example.org>\nTo: b@example.net\nMessage-ID: <1@example.org>\nSubject: hello\n\nbody\n"
	swap := func(from, to string) string {
		if !strings.Contains(base, from) {
			t.Fatalf("%q is not in the message", from)
		}
		return strings.Replace(base, from, to, 1)
	}
	want := identify(t, []byte(base))
	for _, tc := range []struct {
		name, in string
		same     string // tiers that stay
	}{
		{"nothing", base, "ABCDE"},
		{"display name", swap("\"A\" <a@Example.org>", "a@example.ORG (A)"), "BCDE"},
		{"a field more", swap("Subject:", "X-More: 1\nSubject:"), "BCDE"},
		{"To", swap("b@example.net", "c@example.net"), "BCD"},
		{"subject tag", swap("hello", "[list] hello"), "BCDE"},
		{"spam tag", swap("hello", "***SPAM*** hello"), "BCDE"},
		{"tag behind Re", swap("hello", "Re: [list] Re: hello"), "BCDE"},
		{"encoded subject", swap("hello", "=?utf-8?q?hell=6F?="), "BCDE"},
		{"subject", swap("hello", "goodbye"), "CD"},
		{"From", swap("a@Example.org", "x@example.org"), "C"},
		{"Date", swap("Nov 2026", "Oct 2026"), "C"},
		{"body", swap("body", "another"), "D"},
		{"footer", base + "-- \nfooter\n", "D"},
		{"Message-ID", swap("<1@", "<2@"), "E"},
		{"no Message-ID", swap("Message-ID: <1@example.org>\n", ""), "E"},
		{"empty Message-ID", swap("<1@example.org>", "<>"), "E"},
	} {
		got := identify(t, []byte(tc.in))
		same := ""
		for _, tier := range []struct {
			name string
			a, b manifest.Digest
		}{
			{"A", want.Exact, got.Exact},
			{"B", want.Delivery, got.Delivery},
			{"C", want.Body, got.Body},
			{"D", want.ID, got.ID},
			{"E", want.NoID, got.NoID},
		} {
			if tier.a == tier.b {
				same += tier.name
			}
		}
		if same != tc.same {
			t.Errorf("%s: tiers %q stay, want %q", tc.name, same, tc.same)
		}
	}
	want.Exact, want.Delivery, want.Body, want.ID, want.NoID = manifest.Digest{}, manifest.Digest{}, manifest.Digest{}, manifest.Digest{}, manifest.Digest{}
	if diff := cmp.Diff(Identity{
		HeaderID: headerID([]byte(base)), Size: int64(len(base)), MessageID: "<1@example.org>",
	}, want); diff != "" {
		t.Error(diff)
	}
	if id := identify(t, []byte("X-A: b\n\nbody")); id.Exact.IsZero() || !id.Delivery.IsZero() || !id.Body.IsZero() || !id.ID.IsZero() || !id.NoID.IsZero() {
		t.Error("tiers without what they are made of")
	}
	if id := identify(t, []byte("Message-ID: <a@b>\n\nbody")); !id.ID.IsZero() {
		t.Error("tier D of a Message-ID alone")
	}
	if id := identify(t, []byte(magicCrypt+"\x02rest")); !id.Opaque || !id.Exact.IsZero() || id.Encoding != MailCrypt {
		t.Error("an encrypted message has tiers")
	}
}

// The digests are kept for years: they must never change by accident.
func TestIdentitiesAreFixed(t *testing.T) {
	t.Parallel()
	id := identify(t, []byte("Received: x\nDate: Tue, 24 Nov 2026 10:00:00 +0100\nFrom: A <a@example.org>\nTo: b@example.net\nMessage-ID: <1@example.org>\nSubject: Re: [x] hello\n\n  two  words \n>From me\n\n"))
	got := fmt.Sprintf("A %x\nB %x\nC %x\nD %x\nE %x\nH %x\n", id.Exact.Sum[:8], id.Delivery.Sum[:8], id.Body.Sum[:8], id.ID.Sum[:8], id.NoID.Sum[:8], id.HeaderID)
	want := "A 64d3f04a441df272\nB 2dcc23e3aaf37f6d\nC 4615729d5ca09623\nD 33fb268efd3f8049\nE 59cd168d44887e7d\nH ff49c27ba6fabefaffc0bf01de59e587\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCompressedMessagesHaveTheSameIdentity(t *testing.T) {
	t.Parallel()
	p := sample(200_000)
	want := identify(t, p)
	for _, enc := range squeezable {
		z := squeeze(t, enc, p)
		whole := identify(t, z)
		read, err := Identify(iotest.HalfReader(bytes.NewReader(z)), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		want.Encoding = enc
		if d := cmp.Diff(want, whole); d != "" {
			t.Errorf("%v: %s", enc, d)
		}
		if d := cmp.Diff(want, read); d != "" {
			t.Errorf("%v, read: %s", enc, d)
		}
		if id, err := Identify(bytes.NewReader(z[:len(z)-9]), Limits{}); !errors.Is(err, ErrTruncated) || !id.Exact.IsZero() {
			t.Errorf("%v, cut: %v, tier A %v", enc, err, id.Exact)
		}
	}
}

// endless yields one line for ever.
type endless struct {
	line string
	left int64
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && e.left > 0 {
		k := copy(p[n:], e.line[e.at:])
		k = int(min(int64(k), e.left))
		e.at = (e.at + k) % len(e.line)
		n += k
		e.left -= int64(k)
	}
	return n, nil
}

func TestHostileHeadersAreBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		r    io.Reader
		want error
	}{
		"100 MB of fields":        {&endless{line: "X-A: b\n", left: 100 << 20}, ErrLimit},
		"100 MB in one field":     {io.MultiReader(strings.NewReader("X-A: "), &endless{line: "x", left: 100 << 20}), ErrLimit},
		"100 MB of continuations": {io.MultiReader(strings.NewReader("X-A: b\n"), &endless{line: " x\n", left: 100 << 20}), ErrLimit},
		"20,000 fields":           {io.MultiReader(strings.NewReader(strings.Repeat("A:b\n", 20_000)), strings.NewReader("\nbody")), ErrLimit},
		"a body of one line":      {io.MultiReader(strings.NewReader("Subject: x\n\n"), &endless{line: ">", left: 20 << 20}), nil},
		"no header, 20 MB":        {&endless{line: "text ", left: 20 << 20}, nil},
		"failing reader":          {io.MultiReader(strings.NewReader("Subject: x\n\n"), iotest.ErrReader(io.ErrNoProgress)), io.ErrNoProgress},
	} {
		id, err := Identify(tc.r, Limits{})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if (err == nil) == id.Exact.IsZero() {
			t.Errorf("%s: error %v beside tier A %v", name, err, id.Exact)
		}
	}
}

func TestRelaxedBodies(t *testing.T) {
	t.Parallel()
	sum := func(pieces ...string) [32]byte {
		var x relaxed
		x.reset()
		for _, p := range pieces {
			_, _ = x.Write([]byte(p))
		}
		return x.sum()
	}
	for _, tc := range [][2]string{
		{"", "\n\n\r\n"},
		{"", " \t\n"},
		{"a", "a\n"},
		{"a\n\nb", "a \r\n\r\nb\r\n\r\n"},
		{"a b", "a \t b"},
		{" a", "\t a"},
		{"From x", ">>>From x"},
		{"\nFrom x", "\n>From  x"},
		{"> From x", ">  From x"},
		{">Fromage", ">Fromage"},
		{"a\rb", "a\rb\r\r\n"},
		{"From", ">From \n"},
	} {
		if sum(tc[0]) != sum(tc[1]) {
			t.Errorf("%q and %q differ", tc[0], tc[1])
		}
	}
	for _, tc := range [][2]string{{"a", "b"}, {"a b", "ab"}, {"\na", "a"}, {">From", "From"}, {"> From x", "From x"}, {"a\rb", "ab"}, {">>Fromx", "Fromx"}} {
		if sum(tc[0]) == sum(tc[1]) {
			t.Errorf("%q and %q are the same", tc[0], tc[1])
		}
	}
	atom := rapid.SampledFrom([]string{">", "From ", "From", " ", "  ", "\t", "\r", "\n", "\r\n", "x", "some longer text here", "\n\n\n", ">From "})
	rapid.Check(t, func(t *rapid.T) {
		p := strings.Join(rapid.SliceOfN(atom, 0, 25).Draw(t, "text"), "")
		want := sum(p)
		var pieces []string
		for rest := p; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		if sum(pieces...) != want {
			t.Fatalf("%q differs when it comes in pieces", p)
		}
		if got := sum(strings.ReplaceAll(strings.ReplaceAll(p, "\r", ""), "\n", "\r\n")); !strings.Contains(strings.ReplaceAll(strings.TrimRight(p, "\r"), "\r\n", ""), "\r") && got != want {
			t.Fatalf("%q differs with CRLF", p)
		}
	})
}

func TestSubjects(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"hello": "hello", "Re: hello": "hello", "[list] Re: [x]  hello  there": "hello there", "***SPAM*** hello": "hello",
		"[SPAM] [EXT] Fwd: hello": "hello", "External: hello": "hello", "spam] hello": "hello", "**bold** move": "move",
		"Regarding: x": "Regarding: x", "[]": "[]", "[" + strings.Repeat("x", 41) + "] y": "[" + strings.Repeat("x", 41) + "] y", "** x": "** x", "": "", "AW: Antw: SV: x": "x",
	} {
		if got := bareSubject(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a@B.example": "a@b.example", "\"x <y@z>\" <A@b>": "a@b", "(c <d@e>) a@b (x)": "a@b", "A B <a@b>, C <c@d>": "a@b",
		"a@b, c@d": "a@b", "nobody": "nobody", "": "", "<>": "", "\"unfinished <a@b>": "", "A <a@b": "a@b", "=?utf-8?q?x?= <É@b>": "É@b",
	} {
		if got := address([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add(sample(500))
	f.Add([]byte("From x\n>From y\n\n>From z"))
	f.Add([]byte("Subject: =?utf-8?b?w6k=?=\nFrom: (a\\)b) <x@y>\nDate: 1 Jan 70 0:0\n\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		x := NewIdentifier(Limits{MaxPlain: 1 << 20, MaxWindow: 1 << 20})
		defer x.Close()
		whole, err := x.Identify(p)
		read, rerr := x.Read(iotest.OneByteReader(bytes.NewReader(p)))
		if (err == nil) != (rerr == nil) {
			t.Fatalf("whole %v, read %v", err, rerr)
		}
		if err != nil {
			return
		}
		if d := cmp.Diff(whole, read); d != "" {
			t.Fatal(d)
		}
		if whole.HeaderID != headerID(p) && whole.Encoding == Plain {
			t.Fatal("HeaderID differs")
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	for _, n := range []int{2 << 10, 10 << 10, 50 << 10} {
		b.Run(fmt.Sprintf("size=%dk", n>>10), func(b *testing.B) {
			x := NewIdentifier(Limits{})
			p := sample(n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Identify(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
