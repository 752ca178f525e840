package lmtp

import (
	"bufio"
	"bytes"
	"net/textproto"
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// wire is a message as it stands on the wire, up to its final dot.
func wire(t *testing.T, pieces ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := textproto.NewWriter(bufio.NewWriter(&b)).DotWriter()
	l := &lines{w: w}
	for _, p := range pieces {
		if _, err := l.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// No message has an end inside that any known server takes for one, and
// undoing the transport gives the message.
func TestLines(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		piece := rapid.SliceOfN(rapid.SampledFrom([]byte("\r\n..ab\x00\xff ")), 0, 12)
		a, b := piece.Draw(r, "a"), piece.Draw(r, "b")
		got := wire(t, a, b)
		body, ok := bytes.CutSuffix(got, []byte("\r\n.\r\n"))
		if !ok && !bytes.Equal(got, []byte(".\r\n")) && !bytes.HasPrefix(got, []byte("\r\n.\r\n")) {
			t.Fatalf("%q has no end", got)
		}
		for _, end := range [][]byte{[]byte("\n.\n"), []byte("\r\n.\n"), []byte("\n.\r\n"), []byte("\r\n.\r\n")} {
			if bytes.Contains(body, end) {
				t.Fatalf("%q%q on the wire is %q", a, b, got)
			}
		}
		for i, c := range got {
			if c == '\n' && (i == 0 || got[i-1] != '\r') {
				t.Fatalf("%q%q on the wire is %q: a bare LF", a, b, got)
			}
		}
		want := bytes.ReplaceAll(bytes.ReplaceAll(append(append([]byte{}, a...), b...), []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		if len(want) > 0 && !bytes.HasSuffix(want, []byte("\n")) {
			// A CR at the very end becomes part of the last line's end.
			want = append(bytes.TrimSuffix(want, []byte("\r")), "\r\n"...)
		}
		var back []byte
		for _, l := range bytes.SplitAfter(bytes.TrimSuffix(got, []byte(".\r\n")), []byte("\r\n")) {
			back = append(back, bytes.TrimPrefix(l, []byte("."))...)
		}
		if len(want) == 0 {
			want = back // an empty message is an empty line
		}
		// The writer below takes CR.CR.LF for a bare LF behind a CR: one CR more.
		if crs := regexp.MustCompile(`\r+\n`); !bytes.Equal(crs.ReplaceAll(back, []byte("\n")), crs.ReplaceAll(want, []byte("\n"))) {
			t.Fatalf("%q%q comes back as %q, want %q", a, b, back, want)
		}
	})
}
