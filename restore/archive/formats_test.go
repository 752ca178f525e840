package archive

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/manifest"
)

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

// queue builds a Postfix queue file of records: a type and its data.
func queue(recs ...string) string {
	var b strings.Builder
	size := fmt.Sprintf("%15d %15d %15d %15d %15d %15d", 1, 2, 3, 4, 5, 0)
	for _, r := range append([]string{"C" + size}, recs...) {
		b.WriteByte(r[0])
		b.WriteByte(byte(len(r) - 1))
		b.WriteString(r[1:])
	}
	return b.String()
}

func TestQueueFiles(t *testing.T) {
	put := func(content string) string {
		t.Helper()
		name := filepath.Join(t.TempDir(), "4A1B2C3D4E")
		if err := os.WriteFile(name, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		return name
	}
	// Cancelled by a milter, done, and to do; a line in pieces; an own pointer
	// that leads nowhere new.
	whole := queue("T1795337760 211520", "Sann@example.net", "Agone@x", "Ogone@example.com", "/gone@example.com", "Odone@example.com", "Ddone@example.com",
		"Adsn_orig_rcpt=rfc822;orig@example.com", "Rtodo@example.com", "p              0", "M", "NSubject: x", "N", "Lone ", "Nline", "wwwww", "X", "Rextra@example.com", "E")
	out, findings := collect(t, put(whole), Options{})
	if len(out) != 1 || len(findings) != 0 {
		t.Fatalf("%d messages, %v", len(out), findings)
	}
	g := out[0]
	if !slices.Equal(g.To, []string{"done@example.com", "todo@example.com", "extra@example.com"}) || g.Body != "Subject: x\n\none line\n" ||
		g.Sender != "ann@example.net" || !g.Arrival.Equal(time.Unix(1795337760, 211520000)) {
		t.Errorf("%+v", g)
	}
	a, err := Open(put(whole), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for it, err := range a.Messages(context.Background()) {
		if err != nil || it.Message == nil {
			t.Fatal(it, err)
		}
		r := it.Message.Recipients
		if r[0].Original != "done@example.com" || !r[0].Done || r[1].Original != "orig@example.com" || r[1].Done || r[2].Original != "" {
			t.Errorf("%+v", r)
		}
	}
	// Pointers that lead in a circle, and nowhere.
	for _, p := range []string{"p             97", "p           9999", "p              x"} {
		if out, findings := collect(t, put(queue(p, "E")), Options{}); len(out) != 0 || count(findings, manifest.ArchiveRefused) != 1 {
			t.Errorf("%q: %d messages, %v", p, len(out), findings)
		}
	}
}

func TestBSMTPForms(t *testing.T) {
	in := "220 gw ESMTP\r\nEHLO x\r\n250-gw\r\n250 SIZE\r\nmail from:<> SIZE=10\r\n250 ok\r\nRCPT TO: <@relay:\"a b\"@example.com> NOTIFY=NEVER\r\nrcpt to:c@example.com\r\n" +
		"DATA\r\n"
	in += "Subject: x\r\n\r\n..dot\r\n...\r\nbare\rcr\r\n.\r\nRSET\r\nMAIL FROM:<s@example.net>\r\nRCPT TO:<d@example.com>\r\nDATA\r\n.\r\nQUIT\r\n"
	out, findings := collect(t, write(t, "a.bsmtp", in), Options{})
	if len(out) != 2 || len(findings) != 0 {
		t.Fatalf("%d messages, %v", len(out), findings)
	}
	if g := out[0]; g.Body != "Subject: x\n\n.dot\n..\nbare\rcr\n" || g.Sender != "" || !slices.Equal(g.To, []string{`"a b"@example.com`, "c@example.com"}) {
		t.Errorf("%+v", g)
	}
	if g := out[1]; g.Body != "" || g.Sender != "s@example.net" || !slices.Equal(g.To, []string{"d@example.com"}) {
		t.Errorf("%+v", g)
	}
	// Line ends of a batch with LF are the message's own.
	out, _ = collect(t, write(t, "b.bsmtp", "MAIL FROM:<s@x>\nRCPT TO:<d@example.com>\nDATA\nSubject: x\r\n\r\nb\r\n.\n"), Options{})
	if len(out) != 1 || out[0].Body != "Subject: x\r\n\r\nb\r\n" {
		t.Errorf("%+v", out)
	}
	for name, in := range map[string]string{
		"data without mail": "HELO x\nMAIL FROM:<a>\nRSET\nDATA\n.\n",
		"bdat":              "MAIL FROM:<a>\nRCPT TO:<b>\nBDAT 3 LAST\nabc",
		"text":              "MAIL FROM:<a>\nwhatever this is\n",
	} {
		if out, findings := collect(t, write(t, "c.bsmtp", in), Options{}); len(out) != 0 || count(findings, manifest.ArchiveRefused) != 1 {
			t.Errorf("%s: %d messages, %v", name, len(out), findings)
		}
	}
}
