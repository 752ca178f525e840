package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mailsync/manifest"
)

func crc(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// Every cut of an archive gives the messages that are complete before it, and
// one report, unless the cut falls between two messages.
func TestCutAnywhere(t *testing.T) {
	var bsmtp strings.Builder
	for i := range 4 {
		bsmtp.WriteString("MAIL FROM:<s@example.net>\nRCPT TO:<r@example.com>\nDATA\n" + plain(i) + ".\n")
	}
	var tars []tarEntry
	for i := range 4 {
		tars = append(tars, tarEntry{name: string(rune('a'+i)) + ".eml", body: msg(i)})
	}
	for name, whole := range map[string]string{
		"a.mbox":    mboxOf(4, msg),
		"a.bsmtp":   bsmtp.String(),
		"a.tar":     tarOf(t, tars...),
		"a.zip":     zipOf(t, zip.Deflate, true, "a.eml", "b.eml", "c.eml", "d.eml"),
		"b.zip":     zipOf(t, zip.Store, false, "a.eml", "b.eml", "c.eml", "d.eml"),
		"a.mbox.gz": gz(t, mboxOf(2, msg), mboxOf(2, msg)),
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, name, whole)
			all, findings := collect(t, path, Options{})
			if len(all) != 4 || len(findings) != 0 {
				t.Fatalf("whole: %d messages, %v", len(all), findings)
			}
			for n := 1; n < len(whole); n += 3 {
				if err := os.WriteFile(path, []byte(whole[:n]), 0o644); err != nil {
					t.Fatal(err)
				}
				out, findings := collect(t, path, Options{})
				if len(findings) > 1 {
					t.Fatalf("cut at %d of %d: %d reports: %v", n, len(whole), len(findings), findings)
				}
				if len(out) > 4 {
					t.Fatalf("cut at %d: %d messages", n, len(out))
				}
				for i := range out {
					got := out[i].Body
					if got != all[i].Body && !(name == "a.mbox" && i == len(out)-1 && strings.HasPrefix(all[i].Body, got) && strings.HasSuffix(got, "\n")) {
						t.Fatalf("cut at %d: message %d is not what was archived: %q", n, i, got)
					}
				}
			}
		})
	}
}

func TestTarHostile(t *testing.T) {
	path := write(t, "a.tar", tarOf(t,
		tarEntry{name: "ok.eml", body: msg(0)},
		tarEntry{name: "/etc/passwd.eml", body: msg(1)},
		tarEntry{name: "a/../../b.eml", body: msg(2)},
		tarEntry{name: "link", typ: tar.TypeSymlink, link: "/etc/passwd"},
		tarEntry{name: "hard", typ: tar.TypeLink, link: "ok.eml"},
		tarEntry{name: "fifo", typ: tar.TypeFifo},
		tarEntry{name: "dev", typ: tar.TypeChar},
		tarEntry{name: "x/tmp/half.eml", body: "From: half"},
		tarEntry{name: "last.eml", body: msg(3)},
	))
	out, findings := collect(t, path, Options{})
	if len(out) != 2 {
		t.Errorf("%d messages, want the 2 regular ones", len(out))
	}
	if n := count(findings, manifest.ArchiveRefused); n != 6 || len(findings) != 6 {
		t.Errorf("%d refused of %d findings, want 6", n, len(findings))
	}
}

func TestZipHostile(t *testing.T) {
	out, findings := collect(t, write(t, "a.zip", zipOf(t, zip.Deflate, true, "ok.eml", "../up.eml", "/abs.eml", `c:\x.eml`, `a\..\b.eml`)), Options{})
	if len(out) != 1 || count(findings, manifest.ArchiveRefused) == 0 {
		t.Errorf("%d messages, findings %v", len(out), findings)
	}
	// A flipped byte of the content must not become mail.
	whole := []byte(zipOf(t, zip.Store, false, "a.eml", "b.eml"))
	i := bytes.Index(whole, []byte("body of 0"))
	whole[i] ^= 1
	out, findings = collect(t, write(t, "b.zip", string(whole)), Options{})
	if len(out) != 1 || !strings.Contains(out[0].Body, "body of 1") || len(findings) != 1 {
		t.Errorf("flipped byte: %d messages, findings %v", len(out), findings)
	}
}

func TestBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 1<<20)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte("From a@b Mon Jan  5 10:00:00 2026\nSubject: x\n\n")); err != nil {
		t.Fatal(err)
	}
	for range 400 {
		if _, err := z.Write([]byte(zeros)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	n, findings := stream(t, write(t, "bomb.mbox.gz", b.String()), Options{MaxMessage: 1 << 40})
	if n != 0 || count(findings, manifest.ArchiveRefused) == 0 || !strings.Contains(findings[len(findings)-1].Detail, "far more") {
		t.Errorf("bomb: %d messages, %v", n, findings)
	}
	deep := msg(0)
	for range 20 {
		deep = gz(t, deep)
	}
	n, findings = stream(t, write(t, "deep.gz", deep), Options{})
	if n != 0 || count(findings, manifest.ArchiveRefused) != 1 {
		t.Errorf("nested: %d messages, %v", n, findings)
	}
	quine := tarOf(t, tarEntry{name: "in.tar", body: tarOf(t, tarEntry{name: "in.tar", body: tarOf(t, tarEntry{name: "a.eml", body: msg(0)})})})
	if n, findings = stream(t, write(t, "q.tar", quine), Options{MaxNesting: 2}); n != 0 || count(findings, manifest.ArchiveRefused) != 1 {
		t.Errorf("tar in tar in tar: %d messages, %v", n, findings)
	}
	if n, _ = stream(t, write(t, "q.tar", quine), Options{}); n != 1 {
		t.Errorf("tar in tar in tar: %d messages, want 1", n)
	}
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	put := func(name, body string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), mode); err != nil {
			t.Fatal(err)
		}
	}
	put("box/cur/1767607200.a.host,S=10:2,S", msg(1), 0o600)
	put("box/cur/1767607201.b.host,S=99999:2,S", msg(2), 0o600)
	put("box/new/1767607202.c.host", gz(t, msg(3)), 0o600)
	put("box/tmp/1767607203.d.host", msg(4), 0o600)
	put("box/dovecot-uidlist", "3 V1 N2\n", 0o600)
	put("daily/2026.mbox.gz", gz(t, mboxOf(2, msg), mboxOf(3, msg)), 0o600)
	put("empty.mbox", "", 0o600)
	put("what.bin", "\x7fELF....", 0o600)
	put("note.msg", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0o600)
	for name, err := range map[string]error{
		"loop":  os.Symlink(dir, filepath.Join(dir, "loop")),
		"out":   os.Symlink("/etc/passwd", filepath.Join(dir, "out")),
		"queue": syscall.Mkfifo(filepath.Join(dir, "queue"), 0o600),
	} {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	out, findings := collect(t, dir, Options{})
	if len(out) != 2+5 {
		t.Errorf("%d messages, want 7", len(out))
	}
	if a, b := count(findings, manifest.ArchiveRefused), count(findings, manifest.ArchiveTruncated); a != 5 || b != 1 {
		t.Errorf("%d refused, %d truncated, want 5 and 1: %v", a, b, findings)
	}
	for _, g := range out {
		if g.Format == "maildir" && g.Arrival.Unix()/10 != 176760720 {
			t.Errorf("%s: arrival %v is not that of the name", g.Pos, g.Arrival)
		}
	}
}

// The trusted prefix ends at the first field that is no envelope field: what
// the sender put further down names nobody.
func TestTrustedPrefix(t *testing.T) {
	forged := "Received: from evil by gw.example.com; Mon, 5 Jan 2026 10:00:00 +0000\nX-Envelope-To: <victim@example.com>\nDelivered-To: victim@example.com\nSubject: x\n\nbody\n"
	for name, c := range map[string]struct {
		in   string
		opts Options
		to   []string
		how  How
		body string
	}{
		"forged":    {in: forged, body: forged},
		"prefix":    {in: "X-Envelope-To: <a@example.com>,\n <b@example.com>\n" + forged, to: []string{"a@example.com", "b@example.com"}, how: EnvelopeTo, body: forged},
		"priority":  {in: "Delivered-To: c@example.com\nX-Original-To: b@example.com\nX-Envelope-To: a@example.com\n" + forged, to: []string{"a@example.com"}, how: EnvelopeTo, body: forged},
		"forwarded": {in: "Delivered-To: last@example.com\nDelivered-To: first@example.com\n" + forged, to: []string{"last@example.com"}, how: DeliveredTo, body: forged},
		"own":       {in: "X-Original-To: archive@example.com\nDelivered-To: real@example.com\n" + forged, opts: Options{Own: []string{"Archive@Example.com"}}, to: []string{"real@example.com"}, how: DeliveredTo, body: forged},
		"header":    {in: "X-RCPT: z@example.com\nX-Envelope-To: a@example.com\n" + forged, opts: Options{Header: []string{"x-rcpt"}}, to: []string{"z@example.com"}, how: HeaderField, body: forged},
		"comma":     {in: "Envelope-To: \"a,b\"@example.com, <c@example.com>\n" + forged, to: []string{`"a,b"@example.com`, "c@example.com"}, how: EnvelopeTo, body: forged},
		"received": {
			in:   "Received: from x (y [1.2.3.4])\n\tby gw.example.com (Postfix) with ESMTPS id 1 (for <no@example.com>)\n\tfor <a@example.com>; Mon, 5 Jan 2026 10:00:00 +0000\nReceived: from z by other.example for <no@example.com>; Mon, 5 Jan 2026 10:00:00 +0000\nSubject: x\n\nb\n",
			opts: Options{ReceivedBy: []string{"GW.example.com"}}, to: []string{"a@example.com"}, how: ReceivedFor,
		},
		"received of another": {
			in:   "Received: from x by other.example for <no@example.com>; Mon, 5 Jan 2026 10:00:00 +0000\nReceived: from x by gw.example.com for <no@example.com>; Mon, 5 Jan 2026 10:00:00 +0000\nSubject: x\n\nb\n",
			opts: Options{ReceivedBy: []string{"gw.example.com"}},
		},
		"nobody": {in: "To: a@example.com\nCc: b@example.com\nSubject: x\n\nb\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _ := collect(t, write(t, "m.eml", c.in), c.opts)
			if len(out) != 1 {
				t.Fatalf("%d messages", len(out))
			}
			if !slices.Equal(out[0].To, c.to) || out[0].How != c.how {
				t.Errorf("recipients %q (%v), want %q (%v)", out[0].To, out[0].How, c.to, c.how)
			}
			if c.body != "" && out[0].Body != c.body {
				t.Errorf("body %q", out[0].Body)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	a, err := Open(write(t, "a.mbox", mboxOf(100, msg)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("asked to stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	n := 0
	var last error
	for it, err := range a.Messages(ctx) {
		if last = err; err == nil && it.Message != nil {
			if n++; n == 10 {
				cancel(why)
			}
		}
	}
	if n != 10 || !errors.Is(last, why) {
		t.Errorf("%d messages, then %v", n, last)
	}
}

// A message larger than memory goes through the spool, byte for byte; one
// larger than the limit is refused, and the next is read.
func TestLarge(t *testing.T) {
	long := strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef\n>From inside\n", 40_000)
	big := func(i int) string {
		if i == 1 {
			return msg(1) + long
		}
		return msg(i)
	}
	var bs strings.Builder
	for i := range 3 {
		bs.WriteString("MAIL FROM:<s@example.net>\r\nRCPT TO:<r@example.com>\r\nDATA\r\n" + strings.ReplaceAll(strings.TrimPrefix(big(i), ""), "\n", "\r\n") + ".\r\n")
	}
	for name, c := range map[string]struct{ file, body string }{
		"a.mbox":       {mboxOf(3, big), plain(1) + long},
		"a.mboxrd":     {mboxOf(3, big), plain(1) + strings.ReplaceAll(long, ">From inside", "From inside")},
		"a.bsmtp":      {bs.String(), big(1)},
		"a.mbox.gz":    {gz(t, mboxOf(3, big)), plain(1) + long},
		"a.tar":        {tarOf(t, tarEntry{name: "0.eml", body: big(0)}, tarEntry{name: "1.eml", body: big(1)}, tarEntry{name: "2.eml", body: big(2)}), plain(1) + long},
		"nested.tar":   {tarOf(t, tarEntry{name: "in.mbox", body: mboxOf(3, big)}), plain(1) + long},
		"crlf/x.mbox":  {strings.ReplaceAll(mboxOf(3, big), "\n", "\r\n"), strings.ReplaceAll(plain(1)+long, "\n", "\r\n")},
		"length.mbox":  {strings.Replace(mboxOf(3, big), "Subject: 1\n", "Subject: 1\nContent-Length: 7\n", 1), strings.Replace(plain(1)+long, "Subject: 1\n", "Subject: 1\nContent-Length: 7\n", 1)},
		"postfix/HOLD": {},
	} {
		if c.file == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			path := write(t, name, c.file)
			out, findings := collect(t, path, Options{Memory: 64 << 10})
			if len(out) != 3 || len(findings) != 0 {
				t.Fatalf("%d messages, %v", len(out), findings)
			}
			if out[1].Body != c.body {
				t.Errorf("large message differs: %d bytes, want %d", len(out[1].Body), len(c.body))
			}
			n, findings := stream(t, path, Options{Memory: 64 << 10, MaxMessage: 1 << 20})
			if n != 2 || count(findings, manifest.ArchiveRefused) != 1 {
				t.Errorf("above the limit: %d messages, %v", n, findings)
			}
		})
	}
}

// Memory does not grow with the archive.
func TestMemoryBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.mbox")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("A line of a body that is not very long.\n", 250)
	part := strings.Repeat("From s@example.net Mon Jan  5 10:00:00 2026\n"+msg(1)+body+"\n", 100)
	for range 60 {
		if _, err := f.WriteString(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var top uint64
	n := 0
	for _, err := range a.Messages(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n%1000 == 0 {
			var s runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&s)
			top = max(top, s.HeapAlloc)
		}
	}
	if n != 6000 || top > 32<<20 {
		t.Errorf("%d messages, heap %d MiB for an archive of %d MiB", n, top>>20, 60*len(part)>>20)
	}
}

func TestFromLines(t *testing.T) {
	at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	for line, want := range map[string]struct {
		sender string
		at     time.Time
	}{
		"From a@b Mon Jan  5 10:00:00 2026":                       {"a@b", at},
		"From a@b  Mon Jan  5 10:00:00 2026":                      {"a@b", at},
		"From MAILER-DAEMON Mon Jan  5 10:00:00 2026":             {"", at},
		"From - Mon Jan 05 10:00:00 2026":                         {"-", at},
		"From a b@c Mon Jan 5 10:00 2026":                         {"a b@c", at},
		"From \"x y\"@c Mon Jan  5 10:00:00 26":                   {`"x y"@c`, at},
		"From a@b Mon Jan  5 11:00:00 MET 2026":                   {"a@b", at},
		"From a@b Mon Jan  5 11:00:00 +0100 2026":                 {"a@b", at},
		"From a@b Mon Jan  5 11:00:00 2026 +0100":                 {"a@b", at},
		"From a@b Mon, 5 Jan 2026 05:00:00 EST":                   {"a@b", at},
		"From a@b 2026-01-05 10:00:00":                            {"a@b", at},
		"From a@b 2026-01-05T11:00:00+01:00":                      {"a@b", at},
		"From a!b Mon Jan  5 10:00:00 2026 remote from uucp.host": {"a!b", at},
	} {
		f, ok := parseFrom([]byte(line), time.UTC)
		if !ok || f.sender != want.sender || !f.date.Equal(want.at) {
			t.Errorf("%q: %+v %v", line, f, ok)
		}
	}
	for _, line := range []string{"From here on", "From a@b", "From: a@b Mon Jan  5 10:00:00 2026", "From the start at 10:00 in the morning of 2026", "From Mon to Fri 9:30", "From a@b Mon Foo  5 10:00:00 2026"} {
		if f, ok := parseFrom([]byte(line), time.UTC); ok {
			t.Errorf("%q is taken for a separator: %+v", line, f)
		}
	}
}

func TestDates(t *testing.T) {
	want := time.Date(2026, 11, 22, 8, 56, 0, 0, time.UTC)
	for _, s := range []string{
		"Sun, 22 Nov 2026 08:56:00 +0000", "22 Nov 2026 08:56:00 GMT", "Sun, 22 Nov 26 08:56 UT", "Sun, 22 Nov 2026 09:56:00 +0100 (CET)",
		"Sun, 22 Nov 126 03:56:00 EST", "Sunday, 22 November 2026 08:56:00", "2026-11-22T08:56:00Z", "2026-11-22 08:56:00",
	} {
		if got, ok := ParseDate(s); !ok || !got.Equal(want) {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "yesterday", "32 Nov 2026", "Sun, 22 Nov 2026", "99:99:99"} {
		if got, ok := ParseDate(s); ok {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestPattern(t *testing.T) {
	p, err := ParsePattern("{recipient}/{year}/{month}/{day}/**/{hour}{minute}*.eml", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	f, ok := p.match("ann@example.com/2026/11/22/x/0856-1.eml")
	if !ok || f.recipient != "ann@example.com" || !f.date.Equal(time.Date(2026, 11, 22, 8, 56, 0, 0, time.UTC)) {
		t.Errorf("%+v %v", f, ok)
	}
	if _, ok := p.match("x/ann@example.com/2026/11/22/0856.eml"); ok {
		t.Error("matches below another directory")
	}
	if _, err := ParsePattern("{who}/x", nil); !errors.Is(err, ErrOptions) {
		t.Errorf("unknown placeholder: %v", err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "ann@example.com", "2026", "11", "22", "0856.eml")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(plain(1)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := collect(t, dir, Options{Pattern: "{recipient}/{year}/{month}/{day}/{hour}{minute}.eml", Zone: time.UTC})
	if len(out) != 1 || !slices.Equal(out[0].To, []string{"ann@example.com"}) || out[0].How != PathPattern || out[0].Arrival.Hour() != 8 {
		t.Errorf("%+v", out)
	}
}

func TestPositionText(t *testing.T) {
	for _, p := range []Position{
		{File: ".", Offset: -1}, {File: "a@b!c%21", Members: []string{"x@1", "y!z"}, Offset: 17}, {File: "\xff\xfe", Offset: 0},
	} {
		got, err := ParsePosition(p.String())
		if err != nil || !got.Equal(p) {
			t.Errorf("%q: %+v %v", p.String(), got, err)
		}
	}
}

func TestMboxTraps(t *testing.T) {
	uw := "From MAILER-DAEMON Mon Jan  5 09:00:00 2026\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nThis text is part of the internal format.\n\n"
	out, findings := collect(t, write(t, "uw.mbox", uw+mboxOf(2, msg)), Options{})
	if len(out) != 2 || len(findings) != 0 {
		t.Errorf("pseudo message: %d messages, %v", len(out), findings)
	}
	// Wrong lengths: too short, too long, into the middle of the next message.
	for _, n := range []string{"3", "99999", "120", "-1", "x"} {
		file := strings.Replace(mboxOf(3, msg), "Subject: 1\n", "Subject: 1\nContent-Length: "+n+"\n", 1)
		out, findings := collect(t, write(t, "cl.mbox", file), Options{})
		if len(out) != 3 || len(findings) != 0 || !strings.HasSuffix(out[1].Body, "body of 1\nsecond line\n") {
			t.Errorf("Content-Length %s: %d messages, %v", n, len(out), findings)
		}
	}
	// A right length hides what looks like a separator.
	inner := "From x@y Mon Jan  5 10:00:00 2026\nnot a message\n"
	file := "From a@b Mon Jan  5 10:00:00 2026\nSubject: x\nContent-Length: " + "50" + "\n\n\n\n" + inner[:48] + "\n" + mboxOf(1, msg)
	if out, _ := collect(t, write(t, "cl2.mbox", file), Options{}); len(out) != 2 {
		t.Errorf("right length: %d messages, want 2", len(out))
	}
	// Text that starts with From behind an empty line, without a date.
	text := "From a@b Mon Jan  5 10:00:00 2026\nSubject: x\n\nhello\n\nFrom here on it is 10:30 or so\n\n"
	if out, _ := collect(t, write(t, "t.mbox", text+mboxOf(1, msg)), Options{}); len(out) != 2 || !strings.Contains(out[0].Body, "or so") {
		t.Errorf("text that starts with From: %d messages", len(out))
	}
	// A zone-less date follows the zone of the topmost Received.
	out, _ = collect(t, write(t, "z.mbox", mboxOf(1, plain)), Options{})
	if out[0].Arrival.Hour() != 9 {
		t.Errorf("arrival %v, want 09:00 UTC", out[0].Arrival)
	}
	out, _ = collect(t, write(t, "z.mbox", mboxOf(1, plain)), Options{Zone: time.FixedZone("", -3600)})
	if out[0].Arrival.Hour() != 11 {
		t.Errorf("arrival %v, want 11:00 UTC", out[0].Arrival)
	}
	// A part that was not closed shows that the last message was cut at a line's end.
	cut := "From a@b Mon Jan  5 10:00:00 2026\nContent-Type: multipart/mixed; boundary=\"bb\"\n\n--bb\n\nhello\n"
	if out, findings := collect(t, write(t, "c.mbox", mboxOf(1, msg)+cut), Options{}); len(out) != 1 || count(findings, manifest.ArchiveTruncated) != 1 {
		t.Errorf("open part: %d messages, %v", len(out), findings)
	}
}

// A body hash that holds only without the quotes proves that they are the
// archive's.
func TestSignedQuotes(t *testing.T) {
	body := "Hello\r\nFrom here on\r\n"
	sum := sha256.Sum256([]byte(body))
	signed := func(b string) string {
		return "From a@b Mon Jan  5 10:00:00 2026\nDKIM-Signature: v=1; a=rsa-sha256; d=example.net; s=x; c=simple/simple; h=from; bh=" +
			base64.StdEncoding.EncodeToString(sum[:]) + "; b=AAAA\nFrom: a@example.net\n\n" + b + "\n"
	}
	out, _ := collect(t, write(t, "a.mbox", signed("Hello\n>From here on\n")+signed("Hello\n>From here, changed\n")), Options{})
	if len(out) != 2 || !strings.HasSuffix(out[0].Body, "\nHello\nFrom here on\n") || !strings.HasSuffix(out[1].Body, "\n>From here, changed\n") {
		t.Errorf("%+v", out)
	}
}
