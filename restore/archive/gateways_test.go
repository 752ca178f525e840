package archive

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"mailsync/manifest"
)

// treeOf writes files below a new directory.
func treeOf(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// report builds an Exchange journal report.
func report(encoding, text, inner string) string {
	enc := ""
	if encoding != "" {
		enc = "Content-Transfer-Encoding: " + encoding + "\n"
	}
	return "From: <x@example.com>\nTo: journal@example.com\nDate: Mon, 5 Jan 2026 10:00:00 +0000\nX-MS-Journal-Report:\n" +
		"MIME-Version: 1.0\nContent-Type: multipart/mixed;\n\tboundary=\"=_j\"\n\nFor old readers.\n--=_j\nContent-Type: text/plain\n" + enc +
		"\n" + text + "\n--=_j\nContent-Type: message/rfc822\n\n" + inner + "\n--=_j--\n"
}

func wide(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return base64.StdEncoding.EncodeToString(b)
}

func TestJournal(t *testing.T) {
	const envelope = "Sender: s@example.net\nSubject: x: y\nMessage-Id: <1@x>\nTo: a@example.com\nCc: b@example.com, Expanded: all@example.com\n" +
		"Bcc: \"o, d\"@example.com, Forwarded: old@example.com\nRecipient: c@example.com\nLabel: z\n"
	to := []string{"a@example.com", "b@example.com", `"o, d"@example.com`, "c@example.com"}
	inner := plain(1)
	large := plain(2) + strings.Repeat("A line that is not the boundary --=_j.\n", 400_000)
	cases := []struct {
		name, data string
		to         []string
		body       string
		format     string
		finding    manifest.Kind
	}{
		{name: "plain", data: report("", envelope, inner), to: to, body: inner, format: "journal"},
		{name: "crlf", data: strings.ReplaceAll(report("", envelope, inner), "\n", "\r\n"), to: to, body: strings.ReplaceAll(inner, "\n", "\r\n"), format: "journal"},
		{name: "quoted-printable", data: report("quoted-printable", strings.ReplaceAll(envelope, "=", "=3D")[:40]+"=\n"+envelope[40:], inner), to: to, body: inner, format: "journal"},
		{name: "base64", data: report("base64", base64.StdEncoding.EncodeToString([]byte(envelope)), inner), to: to, body: inner, format: "journal"},
		{name: "utf-16", data: report("base64", wide(envelope), inner), to: to, body: inner, format: "journal"},
		{name: "large", data: report("", envelope, large), to: to, body: large, format: "journal"},
		{name: "empty message", data: report("", envelope, "A: b\n\n"), to: to, body: "A: b\n\n", format: "journal"},
		{
			name: "encoded message",
			data: strings.Replace(report("", envelope, base64.StdEncoding.EncodeToString([]byte(inner))), "message/rfc822\n", "message/rfc822\nContent-Transfer-Encoding: base64\n", 1),
			to:   to, body: inner, format: "journal",
		},
		{name: "cut inside", data: strings.TrimSuffix(report("", envelope, inner), "\n--=_j--\n"), finding: manifest.ArchiveTruncated},
		{name: "cut before", data: report("", envelope, "")[:len(report("", envelope, ""))-20], finding: manifest.ArchiveTruncated},
		{
			// The archive says for whom it was: then a report is mail like any other.
			name: "a forged one", data: "X-Envelope-To: <victim@example.com>\n" + report("", envelope, inner),
			to: []string{"victim@example.com"}, body: report("", envelope, inner), format: "eml",
		},
		{
			name: "only called a report", data: "X-MS-Journal-Report:\nFrom: a@example.net\n\nSender: x\nTo: y@example.com\n",
			body: "X-MS-Journal-Report:\nFrom: a@example.net\n\nSender: x\nTo: y@example.com\n", format: "eml",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, findings := collect(t, write(t, "r.eml", c.data), Options{Memory: 1 << 20})
			if c.finding != 0 {
				if len(out) != 0 || len(findings) != 1 || findings[0].Kind != c.finding {
					t.Fatalf("%d messages, findings %+v", len(out), findings)
				}
				return
			}
			if len(out) != 1 || len(findings) > 0 {
				t.Fatalf("%d messages, findings %+v", len(out), findings)
			}
			g := out[0]
			if g.Format != c.format || !slices.Equal(g.To, c.to) || g.Body != c.body {
				t.Errorf("%s, to %q, %d bytes; want %s, %q, %d bytes", g.Format, g.To, len(g.Body), c.format, c.to, len(c.body))
			}
			if c.format == "journal" && (g.Sender != "s@example.net" || g.How != Container || !g.Arrival.Equal(time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC))) {
				t.Errorf("sender %q, %v, arrival %v", g.Sender, g.How, g.Arrival)
			}
		})
	}
	t.Run("in a Maildir and an mbox", func(t *testing.T) {
		one := "Return-Path: <>\nDelivered-To: journal@example.com\n" + report("", envelope, inner)
		dir := treeOf(t, map[string]string{"M/cur/1767607200.M1P1.gw": one, "M/new/1767607201.M1P1.gw": one, "box": "From x@y  Mon Jan  5 10:00:00 2026\n" + report("", envelope, inner) + "\n"})
		out, findings := collect(t, dir, Options{Own: []string{"journal@example.com"}})
		if len(out) != 3 || len(findings) > 0 {
			t.Fatalf("%d messages, findings %+v", len(out), findings)
		}
		for _, g := range out {
			if g.Format != "journal" || !slices.Equal(g.To, to) || g.Body != inner {
				t.Errorf("%s: %+v", g.Pos, g)
			}
		}
	})
}

// What stands behind amavis' last field came with the message.
func TestAmavisPrefixEnds(t *testing.T) {
	data := "Return-Path: <s@example.net>\nDelivered-To: quarantine\nX-Envelope-From: <s@example.net>\nX-Envelope-To: <a@example.com>,\n <b@example.com>\n" +
		"X-Envelope-To-Blocked:\nX-Quarantine-ID: <q1>\nX-Envelope-To: <forged@example.com>\nFrom: s@example.net\n\nx\n"
	out, _ := collect(t, write(t, "clean-q1", data), Options{})
	if len(out) != 1 || !slices.Equal(out[0].To, []string{"a@example.com", "b@example.com"}) {
		t.Fatalf("%+v", out)
	}
	if !strings.HasPrefix(out[0].Body, "X-Envelope-To: <forged@example.com>\n") {
		t.Errorf("body %q", out[0].Body)
	}
}

// Whom amavis did not let a message through to is told apart, by its own field
// only.
func TestAmavisBlocked(t *testing.T) {
	const front = "X-Envelope-From: <s@example.net>\nX-Envelope-To: <a@example.com>,\n <\"b, c\"@example.com>, <d@example.com>\n"
	blocked := func(data string) (out []string) {
		t.Helper()
		a, err := Open(write(t, "m", data), Options{})
		if err != nil {
			t.Fatal(err)
		}
		for got, err := range a.Messages(t.Context()) {
			if err != nil || got.Message == nil || len(got.Message.Recipients) != 3 {
				t.Fatalf("%+v, %v", got, err)
			}
			for _, r := range got.Message.Recipients {
				if r.Blocked {
					out = append(out, r.Addr)
				}
			}
		}
		return out
	}
	if got := blocked(front + "X-Envelope-To-Blocked: <\"b, c\"@example.com>,\n <d@example.com>\nX-Quarantine-ID: <q>\nX-Envelope-To-Blocked: <a@example.com>\n" + plain(1)); !slices.Equal(got, []string{`"b, c"@example.com`, "d@example.com"}) {
		t.Errorf("blocked: %q", got)
	}
	if got := blocked(front + "X-Envelope-To-Blocked: <a@example.com>\n" + plain(1)); len(got) > 0 {
		t.Errorf("blocked by who is not amavis: %q", got)
	}
}

type eximFile struct {
	options, tree string
	to            []string
	header        []string // each with its type in front: "F From: x\n"
}

var eximSeed = eximFile{
	options: "-received_time_usec .250000\n--helo_name x\n-body_linecount 2\n--aclm 3 5\na\nb\nc\n--(pgsql)aclc _x 0\n\n",
	tree:    "YY m@example.com\nNN a@example.com\nYN z@example.com\nNN x@example.com\n",
	to: []string{
		"a@example.com", "b@example.com rfc822;B@Example.COM 20,3  0,-1#3", `"odd one"@example.com  0,0 err@example.com 15,0#3`,
		"early@example.com 2", "three@example.com 0,1,0", "j@example.com",
	},
	header: []string{"P Received: x\n\tby y\n", "* To: old\n", "T To: new\n", "  Subject: s\n"},
}

func eximH(e eximFile) string {
	var b strings.Builder
	fmt.Fprintf(&b, "1xV3NY-0004WI-2a-H\nroot 0 0\n<s@example.net>\n1795337816 0\n%s%s%d\n", e.options, e.tree, len(e.to))
	for _, a := range e.to {
		fmt.Fprintf(&b, "%s\n", a)
	}
	b.WriteString("\n")
	for _, h := range e.header {
		fmt.Fprintf(&b, "%03d%s %s", len(h)-2, h[:1], h[2:])
	}
	return b.String()
}

func TestExim(t *testing.T) {
	h := eximH(eximSeed)
	files := map[string]string{
		"input/a/1xV3NY-0004WI-2a-H": h,
		"input/a/1xV3NY-0004WI-2a-D": "1xV3NY-0004WI-2a-D\n.one\nlast",
		"input/a/1xV3NY-0004WI-2a-J": "J@example.com\n",
		"msglog/a/1xV3NY-0004WI-2a":  "log",
		"db/retry":                   "x",
	}
	files["input/a/1xV3NY-0004WI-2a-H"] = strings.Replace(h, "-body_linecount 2", "-body_linecount 1", 1)
	a, err := Open(treeOf(t, files), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var done, to []string
	var original string
	for it, err := range a.Messages(t.Context()) {
		if err != nil || it.Finding != nil {
			t.Fatal(err, it.Finding)
		}
		for _, r := range it.Message.Recipients {
			to = append(to, r.Addr)
			if r.Done {
				done = append(done, r.Addr)
			}
			original += r.Original
		}
		if g := keep(t, it.Message); g.Body != "Received: x\n\tby y\nTo: new\nSubject: s\n\n.one\nlast" || !g.Arrival.Equal(time.Unix(1795337816, 250000000)) {
			t.Errorf("%+v", g)
		}
	}
	want := []string{"a@example.com", "b@example.com", `"odd one"@example.com`, "early@example.com", "three@example.com", "j@example.com"}
	if !slices.Equal(to, want) || original != "B@Example.COM" {
		t.Errorf("recipients %q, want %q; original %q", to, want, original)
	}
	if !slices.Equal(done, []string{"a@example.com", "j@example.com"}) {
		t.Errorf("done: %q", done)
	}

	t.Run("on the wire", func(t *testing.T) {
		dir := treeOf(t, map[string]string{
			"1xV3NY-0004WI-2a-H": strings.Replace(h, "-body_linecount 2\n", "-spool_file_wireformat\n", 1),
			"1xV3NY-0004WI-2a-D": "1xV3NY-0004WI-2a-D\n..x\r\na\rb\r\r\n" + strings.Repeat("y", 64<<10-len("..x\r\na\rb\r\r\n")-1) + "\r\nend\r",
		})
		out, findings := collect(t, dir, Options{})
		if len(out) != 1 || len(findings) > 0 || !strings.HasSuffix(out[0].Body, "yy\nend\r") || !strings.Contains(out[0].Body, "\n\n..x\na\rb\r\nyy") {
			t.Errorf("%d messages, %+v", len(out), findings)
		}
	})
	t.Run("unfinished", func(t *testing.T) {
		for name, files := range map[string]map[string]string{
			"no header": {"1xV3NY-0004WI-2a-D": "1xV3NY-0004WI-2a-D\nx\n"},
			"no body":   {"1xV3NY-0004WI-2a-H": h},
			"short":     {"1xV3NY-0004WI-2a-H": h, "1xV3NY-0004WI-2a-D": "1xV3NY-0004WI-2a-D\nonly one line\n"},
		} {
			if out, findings := collect(t, treeOf(t, files), Options{}); len(out) != 0 || len(findings) != 1 || findings[0].Kind != manifest.ArchiveTruncated {
				t.Errorf("%s: %d messages, %+v", name, len(out), findings)
			}
		}
		if _, findings := collect(t, treeOf(t, map[string]string{"1xV3NY-0004WI-2a-H": h, "1xV3NY-0004WI-2a-D": "1xV3NY-0004WI-2b-D\nx\ny\n"}), Options{}); len(findings) != 1 || findings[0].Kind != manifest.ArchiveRefused {
			t.Errorf("another's body: %+v", findings)
		}
	})
	t.Run("cut anywhere", func(t *testing.T) {
		ends := map[int]bool{} // between two fields nothing tells
		for n, i := len(h), len(eximSeed.header)-1; i >= 0; i-- {
			ends[n] = true
			n -= len(fmt.Sprintf("%03d%s %s", 0, "x", eximSeed.header[i][2:]))
			ends[n] = true
		}
		for n := range len(h) {
			if _, err := parseExim([]byte(h[:n])); (err == nil) != ends[n] {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
	})
	t.Run("in a tar", func(t *testing.T) {
		path := write(t, "a.tar", tarOf(t, tarEntry{name: "1xV3NY-0004WI-2a-H", body: h}, tarEntry{name: "1xV3NY-0004WI-2a-D", body: "1xV3NY-0004WI-2a-D\nx\n"}))
		if out, findings := collect(t, path, Options{}); len(out) != 0 || len(findings) != 1 || findings[0].Kind != manifest.ArchiveRefused {
			t.Errorf("%d messages, %+v", len(out), findings)
		}
	})
}

func TestQuarantineDirectories(t *testing.T) {
	dir := treeOf(t, map[string]string{
		"2026-01-05/qdir-1/ENTIRE_MESSAGE": plain(1),
		"2026-01-05/qdir-1/RECIPIENTS":     "<a@example.com>\n<b@example.com>\n",
		"2026-01-05/qdir-1/SENDER":         "<s@example.net>\n",
		"2026-01-05/qdir-1/SENDMAIL-QID":   "x1\n",
		"2026-01-05/qdir-1/HEADERS":        "From: x\n",
		"2026-01-05/qdir-1/PART.1.BODY":    "part",
		"q/77/message":                     plain(2),
		"q/77/recipients":                  "c@example.com, \"d, e\"@example.com\r\n",
		"q/77/sender":                      "<>\n",
		"alone/message":                    plain(3),
	})
	out, findings := collect(t, dir, Options{})
	if len(findings) > 0 || len(out) != 3 {
		t.Fatalf("%d messages, findings %+v", len(out), findings)
	}
	for i, want := range []got{
		{Sender: "s@example.net", To: []string{"a@example.com", "b@example.com"}, Body: plain(1), Format: "quarantine"},
		{To: nil, Body: plain(3), Format: "eml"},
		{To: []string{"c@example.com", `"d, e"@example.com`}, Body: plain(2), Format: "quarantine"},
	} {
		if g := out[i]; g.Sender != want.Sender || !slices.Equal(g.To, want.To) || g.Body != want.Body || g.Format != want.Format {
			t.Errorf("%s: %+v, want %+v", g.Pos, g, want)
		}
	}
}

func TestPiler(t *testing.T) {
	var list strings.Builder
	list.WriteString("id\tto\n")
	for i := 1; i <= 20_000; i++ {
		for j := range i % 3 {
			fmt.Fprintf(&list, "%d\tr%d.%d@example.com\n", i*7, i, j)
		}
	}
	files := map[string]string{"recipients.tsv": list.String(), "export.log": "x"}
	delete(files, "export.log")
	ids := []int{1, 2, 3, 5, 4999, 5000, 10_001, 19_999, 20_000}
	for _, i := range ids {
		files[fmt.Sprintf("%d.eml", i*7)] = plain(i)
	}
	files["8.eml"] = plain(8) // not in the list
	out, findings := collect(t, treeOf(t, files), Options{})
	if len(findings) > 0 || len(out) != len(ids)+1 {
		t.Fatalf("%d messages, findings %+v", len(out), findings)
	}
	for _, g := range out {
		var n int
		if _, err := fmt.Sscanf(g.Pos.File, "%d.eml", &n); err != nil {
			t.Fatal(err)
		}
		var want []string
		if n%7 == 0 {
			for j := range n / 7 % 3 {
				want = append(want, fmt.Sprintf("r%d.%d@example.com", n/7, j))
			}
		}
		if !slices.Equal(g.To, want) || g.Format != "piler" {
			t.Errorf("%s: %s %q, want %q", g.Pos, g.Format, g.To, want)
		}
	}
	t.Run("forms", func(t *testing.T) {
		out, _ := collect(t, treeOf(t, map[string]string{"7.eml": plain(1), "recipients.csv": "\"6\",\"x@y\"\r\n\"7\",\"\"\"o d\"\"@example.com\"\r\n7;z@example.com"}), Options{})
		if len(out) != 1 || !slices.Equal(out[0].To, []string{`"o d"@example.com`, "z@example.com"}) {
			t.Errorf("%+v", out)
		}
	})
	t.Run("not sorted", func(t *testing.T) {
		out, findings := collect(t, treeOf(t, map[string]string{"7.eml": plain(1), "recipients.csv": "9,x@y\n7,z@example.com\n"}), Options{})
		if len(out) != 0 || len(findings) != 1 || findings[0].Kind != manifest.ArchiveRefused {
			t.Errorf("%d messages, %+v", len(out), findings)
		}
	})
}
