package contract

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
)

// oneKind wants one finding of that kind, and no other.
func (l *lab) oneKind(r *drive.Result, kind string) {
	l.t.Helper()
	for _, f := range l.where(r, "finding", 1, nil) {
		if f.Kind != kind {
			l.t.Errorf("%s, want %s: %s", f.Kind, kind, f.Raw)
		}
	}
}

func firstOrdinary(l *lab) (*sample.Message, string) {
	l.t.Helper()
	for m := range l.e.Messages() {
		if ordinary(m) {
			return m, m.Path(l.path("a"))
		}
	}
	l.t.Fatal("no message")
	return nil, ""
}

func TestAWrongNameOfRecordedBytesIsTheNamesFault(t *testing.T) {
	l := with(t, sample.Options{Seed: 71, Mailboxes: 1, PerMailbox: 30, Size: 1500, Bare: true})
	l.run(0, "scan", "./a")
	m, path := firstOrdinary(l)
	before, _, _ := strings.Cut(filepath.Base(path), ",S=")
	l.must(os.Rename(path, filepath.Join(filepath.Dir(path), before+",S=77,W=99:2,S")))
	l.oneKind(l.run(0, "verify", "./a"), "wrong_size_name")
	l.oneKind(l.run(0, "scan", "./a"), "wrong_size_name")
	l.run(1, "verify", "./a", "--strict")
	_ = m
}

func TestConvertedLineEndsAreTheNamesFault(t *testing.T) {
	l := with(t, sample.Options{Seed: 71, Mailboxes: 1, PerMailbox: 30, Size: 1500, Bare: true})
	m, path := firstOrdinary(l)
	l.run(0, "scan", "./a")
	l.rewrite(path, bytes.ReplaceAll(m.Stored(), []byte("\n"), []byte("\r\n")))
	l.oneKind(l.run(0, "verify", "./a"), "wrong_size_name")
	l.oneKind(l.run(0, "scan", "./a", "--rehash"), "wrong_size_name")
}

func TestCompressedSinceIsTheSameContent(t *testing.T) {
	l := with(t, sample.Options{Seed: 71, Mailboxes: 1, PerMailbox: 30, Size: 1500, Bare: true})
	l.run(0, "scan", "./a")
	m, path := firstOrdinary(l)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(m.Bytes())
	l.must(err)
	l.must(w.Close())
	l.rewrite(path, b.Bytes())
	l.where(l.run(0, "verify", "./a"), "finding", 0, nil)
	l.where(l.run(0, "scan", "./a", "--rehash"), "finding", 0, nil)
}

func TestTheRecordedSizeSpeaksWhereTheNameHasNone(t *testing.T) {
	text := "From: a@example.org\nDate: Tue, 14 Nov 2023 22:13:20 +0000\nMessage-ID: <1@example.org>\n\n" + strings.Repeat("A line of it.\n", 30)
	for kind, now := range map[string]string{"truncated": text[:300], "grown": text + "more\n", "content_changed": strings.Replace(text, "line", "LINE", 3)} {
		t.Run(kind, func(t *testing.T) {
			l := bare(t)
			l.must(os.MkdirAll(l.path("a", "x", "new"), 0o755))
			l.put("a/x/cur/1700000001.M1P1.h:2,S", text)
			l.put("a/x/cur/1700000002.M1P1.h:2,S", strings.ReplaceAll(text, "<1@", "<2@"))
			l.run(0, "scan", "./a")
			l.put("a/x/cur/1700000001.M1P1.h:2,S", now)
			r := l.run(1, "verify", "./a")
			l.oneKind(r, kind)
			l.counts(r, map[string]int64{"damaged": 1})
		})
	}
}

// A flag is in the name: the message is the same.
func TestFlagsAndMovesToCurAreNoFinding(t *testing.T) {
	l := with(t, sample.Options{Seed: 71, Mailboxes: 1, PerMailbox: 30, Size: 1500, Bare: true})
	l.run(0, "scan", "./a")
	for m := range l.e.Messages() {
		p := m.Path(l.path("a"))
		name, _, _ := strings.Cut(filepath.Base(p), ":")
		l.must(os.Rename(p, filepath.Join(filepath.Dir(filepath.Dir(p)), "cur", name+":2,RS")))
	}
	r := l.run(0, "verify", "./a")
	l.where(r, "finding", 0, nil)
	l.counts(r, map[string]int64{"vanished": 0})
	l.where(l.run(0, "scan", "./a"), "finding", 0, nil)
}
