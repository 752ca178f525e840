package archive

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

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
			for n := 1; n < len(whole); n += 7 {
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
// However many recipients a message had, and however they are written down, all
// are read, and nothing of the block that names them stays in the message.
func TestManyRecipients(t *testing.T) {
	const many = 20_000
	message := "Received: from x by gw.example.com; Mon, 5 Jan 2026 10:00:00 +0000\nX-Envelope-To: not@example.com\nSubject: x\n\nbody\n"
	var fields, folded strings.Builder
	folded.WriteString("X-Envelope-To: u0@example.com")
	for i := range many {
		fmt.Fprintf(&fields, "X-Envelope-To: <u%d@example.com>\n", i)
		if i > 0 {
			fmt.Fprintf(&folded, ",\n\t<u%d@example.com>", i)
		}
	}
	folded.WriteString("\n")
	for name, block := range map[string]string{
		"a field each":   fields.String(),
		"one field":      folded.String(),
		"crlf":           strings.ReplaceAll(fields.String(), "\n", "\r\n"),
		"behind another": "X-Envelope-From: <s@example.net>\n" + folded.String() + "X-Quarantine-ID: <1>\n",
	} {
		for _, memory := range []int64{4 << 20, 4 << 10} { // in memory, and spooled
			t.Run(fmt.Sprint(name, memory), func(t *testing.T) {
				out, found := collect(t, write(t, "m.eml", block+message), Options{Memory: memory})
				if len(out) != 1 || len(found) != 0 {
					t.Fatalf("%d messages, %v", len(out), found)
				}
				if len(out[0].To) != many || out[0].To[0] != "u0@example.com" || out[0].To[many-1] != fmt.Sprintf("u%d@example.com", many-1) {
					t.Errorf("%d recipients", len(out[0].To))
				}
				if out[0].Body != message {
					t.Errorf("the message begins %.200q", out[0].Body)
				}
			})
		}
	}
	// A field that does not end is refused, not read for ever.
	out, found := collect(t, write(t, "m.eml", "X-Envelope-To: "+strings.Repeat("<u@example.com>,\n ", maxPrefixField/17)+"\n"+message), Options{})
	if len(out) != 0 || len(found) != 1 {
		t.Errorf("%d messages, %v", len(out), found)
	}
}

// A batch whose message has more recipients than memory is spent on is refused,
// and what follows it is read.
func TestBatchedRecipientsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.bsmtp")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	n := 0
	fmt.Fprint(w, "MAIL FROM:<s@example.net>\n")
	for i := 0; n <= maxNames; i++ {
		addr := fmt.Sprintf("%0200d@example.com", i)
		n += len(addr)
		fmt.Fprintf(w, "RCPT TO:<%s>\n", addr)
	}
	fmt.Fprintf(w, "DATA\n%s.\nMAIL FROM:<s@example.net>\nRCPT TO:<r@example.com>\nDATA\n%s.\n", plain(1), plain(2))
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	all, findings := collect(t, path, Options{})
	if len(all) != 1 || len(all[0].To) != 1 || len(findings) != 1 || findings[0].Kind != manifest.ArchiveRefused {
		t.Errorf("%d messages, %v", len(all), findings)
	}
}

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
