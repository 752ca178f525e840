package archive

import (
	"archive/zip"
	"context"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// held is an archive in memory: a file system would take most of a fuzzer's time.
type held struct {
	single bool
	files  map[string]heldFile
}

type heldFile struct {
	text string
	mode os.FileMode
}

// Single implements Files.
func (h held) Single() bool { return h.single }

// Close implements Files.
func (h held) Close() error { return nil }

// Walk implements Files.
func (h held) Walk(ctx context.Context) iter.Seq2[Found, error] {
	return func(yield func(Found, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(h.files)) {
			f, err := h.Open(ctx, name, 0)
			if !yield(Found{Name: name, File: f}, err) {
				return
			}
		}
	}
}

// Open implements Files.
func (h held) Open(_ context.Context, name string, offset int64) (*File, error) {
	f, ok := h.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	r := strings.NewReader(f.text)
	if _, err := r.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	return &File{Content: heldContent{r}, Size: r.Size(), MTime: time.Unix(1_700_000_000, 0), Mode: f.mode}, nil
}

// Beside implements Files.
func (h held) Beside(ctx context.Context, name, other string) (*File, error) {
	if dir, _, ok := cutLast(name); ok {
		other = dir + "/" + other
	}
	return h.Open(ctx, other, 0)
}

type heldContent struct{ *strings.Reader }

// Close implements Content.
func (heldContent) Close() error { return nil }

// fuzzRead feeds bytes to one archive under a name and checks what holds for any
// input: no panic, no error but findings, no message larger than the input can
// make, and each position is found again.
func fuzzRead(t *testing.T, name string, mode os.FileMode, data []byte) {
	files := held{single: true, files: map[string]heldFile{name: {string(data), mode}}}
	a, err := New(name, files, Options{Memory: 4 << 10, MaxMessage: 1 << 20, MaxNesting: 3, ReceivedBy: []string{"gw.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	type seen struct {
		pos  Position
		body string
	}
	var all []seen
	n := 0
	for it, err := range a.Messages(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > 10_000 {
			return
		}
		if it.Message == nil {
			continue
		}
		b, err := io.ReadAll(it.Message.Open())
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(b)) != it.Message.Size() {
			t.Fatalf("size %d, %d bytes", it.Message.Size(), len(b))
		}
		if len(all) < 20 {
			all = append(all, seen{it.Message.Pos, string(b)})
		}
	}
	c := a.Cursor()
	defer c.Close()
	for i := len(all) - 1; i >= 0; i-- {
		m, err := c.Get(context.Background(), all[i].pos)
		if err != nil {
			t.Fatalf("%s: %v", all[i].pos, err)
		}
		if b, err := io.ReadAll(m.Open()); err != nil || string(b) != all[i].body {
			// Members of one name are one position: the first is found.
			if len(all[i].pos.Members) == 0 {
				t.Fatalf("%s: another message (%v)", all[i].pos, err)
			}
		}
	}
}

func FuzzMbox(f *testing.F) {
	f.Add([]byte(mboxOf(3, msg)))
	f.Add([]byte("From a@b Mon Jan  5 10:00:00 2026\r\nContent-Length: 3\r\n\r\nab\r\n\r\nFrom c@d Mon Jan  5 10:00:00 2026\n"))
	f.Add([]byte("\n\nFrom - Mon Jan  5 10:00:00 2026\n\n"))
	f.Add([]byte("From a@b Mon Jan  5 10:00:00 2026\nContent-Type: multipart/\x80\x80\x80\x80\x80\x80; boundary=\n\nx\n"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRead(t, "a.mboxrd", 0o600, b) })
}

func FuzzBSMTP(f *testing.F) {
	f.Add([]byte("MAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\nSubject: x\n\n..x\n.\n"))
	f.Add([]byte("EHLO x\r\nMAIL FROM:<> SIZE=1\r\nRCPT TO:<\"a b\"@d> NOTIFY=NEVER\r\nDATA\r\n\r\n.\r\nQUIT\r\n"))
	f.Add([]byte("220 hi\nmail from:a\nrcpt to:b\ndata\n.\nRSET\nBDAT 3\n"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRead(t, "a.bsmtp", 0o600, b) })
}

func FuzzPostfix(f *testing.F) {
	f.Add([]byte("CO            332            182              1               0            332T\x111169404379 306437S\x03a@bM\x00N\x05hello" + "X\x00R\x03c@dE\x00"))
	f.Add([]byte("CO            332            182              1               0            332p\x0f             81"))
	f.Add([]byte(queue("Sa@b", "Adsn_orig_rcpt=rfc822;o@d", "Oo@d", "Rc@d", "p            138", "Rskipped@d", "M", "Nx", "X", "E")))
	f.Add([]byte(queue("Sa@b") + record('O', strings.Repeat("o", 300)) + record('R', "c@d") + record('p', "             97")))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRead(t, "HOLD", 0o700, b) })
}

func FuzzTar(f *testing.F) {
	f.Add([]byte(tarOf(f, tarEntry{name: "a.eml", body: msg(1)}, tarEntry{name: "b/c.mbox", body: mboxOf(2, msg)})))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRead(t, "a.tar", 0o600, b) })
}

func FuzzZip(f *testing.F) {
	f.Add([]byte(zipOf(f, zip.Deflate, true, "a.eml", "b.eml")))
	f.Add([]byte(zipOf(f, zip.Store, false, "a.eml", "b.eml")))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRead(t, "a.zip", 0o600, b) })
}

func FuzzEml(f *testing.F) {
	f.Add([]byte(msg(1)))
	f.Add([]byte(gz(f, msg(1))))
	f.Add([]byte("X-Envelope-To: <a@b>, \"c,d\"@e,,<>\n\nReceived: by x for <>"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRead(t, "a.eml", 0o600, b) })
}

func FuzzEmlx(f *testing.F) {
	f.Add([]byte("12\nSubject: x\n\nrest"))
	f.Add([]byte("3\r\nA: b\n\n<plist/>"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRead(t, "a.emlx", 0o600, b) })
}

func FuzzAmavis(f *testing.F) {
	f.Add([]byte("Return-Path: <a@b>\nDelivered-To: q\nX-Envelope-From: <a@b>\nX-Envelope-To: <c@d>,\n <e@f>\nX-Envelope-To-Blocked: \nX-Quarantine-ID: <x>\nReceived: x\n\nb"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRead(t, "clean-x", 0o600, b) })
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(report("", "Sender: a@b\nTo: c@d, Expanded: l@d\n", plain(1))))
	f.Add([]byte(report("base64", "U2VuZGVyOiA8Pg==\n", "")))
	f.Add([]byte(report("quoted-printable", "To: \xe2\x84\xaa=40d, EXPANDED: l@d\n", plain(1))))
	f.Add([]byte("X-MS-Journal-Report:\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nTo: a@b\n--b\nContent-Type: message/rfc822\n\n--b--"))
	f.Fuzz(func(t *testing.T, b []byte) { fuzzRead(t, "a.eml", 0o600, b) })
}

// fuzzTree is fuzzRead for what lies in several files; the first is the one
// that the fuzzer makes.
func fuzzTree(t *testing.T, files map[string]string) {
	tree := held{files: map[string]heldFile{}}
	for name, text := range files {
		tree.files[name] = heldFile{text, 0o600}
	}
	a, err := New("tree", tree, Options{Memory: 4 << 10, MaxMessage: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	c := a.Cursor()
	defer c.Close()
	for it, err := range a.Messages(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if it.Message == nil {
			continue
		}
		b, err := io.ReadAll(it.Message.Open())
		if err != nil || int64(len(b)) != it.Message.Size() {
			t.Fatalf("size %d, %d bytes, %v", it.Message.Size(), len(b), err)
		}
		if _, err := c.Get(context.Background(), it.Message.Pos); err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzExim(f *testing.F) {
	f.Add([]byte(eximH(eximSeed)), []byte("hello\r\n.x\n"))
	f.Add([]byte("1xV3NY-0004WI-2a-H\nu 0 0\n<>\n1 0\n-aclc x 3\na\nb\nYY a\nNN b\nNN c\n0\n\n"), []byte("x"))
	f.Add([]byte("1xV3NY-0004WI-2a-H\nu 0 0\n<>\n1 0\n-acl 1 9223372036854775807\nv\nXX\n1\na@b\n\n"), []byte("x"))
	f.Fuzz(func(t *testing.T, h, d []byte) {
		fuzzTree(t, map[string]string{"input/1xV3NY-0004WI-2a-H": string(h), "input/1xV3NY-0004WI-2a-D": "1xV3NY-0004WI-2a-D\n" + string(d)})
	})
}

func FuzzQuarantine(f *testing.F) {
	f.Add("<a@b>\n\"c, d\"@e, f@g\n", "<>\n")
	f.Add("a@b\r\n,,\n<\n\"\\", "")
	f.Fuzz(func(t *testing.T, to, from string) {
		fuzzTree(t, map[string]string{"q/1/message": plain(1), "q/1/recipients": to, "q/1/sender": from})
	})
}

func FuzzPiler(f *testing.F) {
	f.Add("7\ta@b\n12,c@d\n")
	f.Add("id;to\n\"12\";\"x@y\"")
	f.Fuzz(func(t *testing.T, list string) {
		fuzzTree(t, map[string]string{"12.eml": plain(1), "7.eml": plain(2), "recipients.tsv": list})
	})
}

func FuzzDate(f *testing.F) {
	f.Add("Sun, 22 Nov 2026 08:56:00 +0000 (UTC)")
	f.Add("From a@b Mon Jan  5 10:00:00 MET 2026 remote from x")
	f.Add("2026-11-22 08:56:00")
	f.Fuzz(func(t *testing.T, s string) {
		ParseDate(s)
		parseFrom([]byte(s), time.UTC)
	})
}

func FuzzPosition(f *testing.F) {
	f.Add("a/b!c@12")
	f.Add("%40%21%25")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePosition(s)
		if err != nil {
			return
		}
		q, err := ParsePosition(p.String())
		if err != nil || !q.Equal(p) {
			t.Fatalf("%q: %+v, %+v %v", s, p, q, err)
		}
	})
}
