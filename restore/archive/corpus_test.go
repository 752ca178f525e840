package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/manifest"
	"mailsync/scan/corpustest"
)

// fixtures unpacks the folders of the corpus that this package is measured
// against.
func fixtures(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	corpustest.Each(t, func(h *tar.Header, b []byte) {
		i := strings.Index(h.Name, "fixtures/")
		if i < 0 {
			return
		}
		rel := h.Name[i+len("fixtures/"):]
		top, _, _ := strings.Cut(rel, "/")
		switch top {
		case "synthetic-archives", "postfix-3.7-queue", "postfix-queue", "exim-4.96-spool", "exim-spool":
		default:
			return
		}
		path := filepath.Join(dir, filepath.FromSlash(rel))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, os.FileMode(h.Mode)&0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, h.ModTime, h.ModTime); err != nil {
			t.Fatal(err)
		}
	})
	return dir
}

// got is a message of a stream, kept.
type got struct {
	Pos     Position
	Sender  string
	To      []string
	How     How
	Arrival time.Time
	Body    string
	Format  string
}

func collect(t testing.TB, path string, o Options) ([]got, []manifest.Finding) {
	t.Helper()
	a, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	var out []got
	var findings []manifest.Finding
	for it, err := range a.Messages(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if it.Finding != nil {
			findings = append(findings, *it.Finding)
			continue
		}
		out = append(out, keep(t, it.Message))
	}
	// What the stream yields, a cursor finds again: in order, and backwards.
	c := a.Cursor()
	defer c.Close()
	order := make([]int, 0, 2*len(out))
	for i := range out {
		order = append(order, i)
	}
	for i := range out {
		order = append(order, len(out)-1-i)
	}
	for _, i := range order {
		pos, err := ParsePosition(out[i].Pos.String())
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Get(context.Background(), pos)
		if err != nil {
			t.Fatalf("Get(%s): %v", pos, err)
		}
		if again := keep(t, m); again.Body != out[i].Body || !slices.Equal(again.To, out[i].To) {
			t.Fatalf("Get(%s) gives another message", pos)
		}
	}
	return out, findings
}

func keep(t testing.TB, m *Message) got {
	t.Helper()
	b, err := io.ReadAll(m.Open())
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != m.Size() {
		t.Fatalf("%s: Size %d, %d bytes read", m.Pos, m.Size(), len(b))
	}
	g := got{Pos: m.Pos, Sender: m.Sender, Arrival: m.Arrival, Body: string(b), Format: m.Format}
	for _, r := range m.Recipients {
		g.To, g.How = append(g.To, r.Addr), r.How
	}
	return g
}

type envelope struct {
	File   string
	Sender string
	Rcpts  []string
	body   string
}

func expected(t testing.TB, dir string) []envelope {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "envelopes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out []envelope
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	for i := range out {
		body, err := os.ReadFile(filepath.Join(dir, out[i].File))
		if err != nil {
			t.Fatal(err)
		}
		out[i].body = string(body)
	}
	return out
}

// final adds the line end that line-based formats cannot leave out.
func final(s string) string {
	if !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return s
}

func TestCorpusSynthetic(t *testing.T) {
	dir := filepath.Join(fixtures(t), "synthetic-archives")
	want := expected(t, dir)
	lf := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
	same := func(s string) string { return s }
	quoted := func(s string) string {
		// What mboxo makes of a message; it cannot be undone.
		lines := strings.SplitAfter(s, "\n")
		for i, l := range lines {
			if strings.HasPrefix(l, "From ") {
				lines[i] = ">" + l
			}
		}
		return strings.Join(lines, "")
	}
	noLength := func(s string) string {
		head, body, _ := strings.Cut(s, "\n\n")
		var keep []string
		for _, l := range strings.Split(head, "\n") {
			if !strings.HasPrefix(l, "Content-Length:") {
				keep = append(keep, l)
			}
		}
		return strings.Join(keep, "\n") + "\n\n" + body
	}
	noAmavis := func(s string) string { // the field that amavis itself adds is part of the message
		i := strings.Index(s, "Received: from mx.")
		return s[max(i, 0):]
	}
	cases := []struct {
		path      string
		opts      Options
		want, got func(string) string
		envelope  bool
		sorted    bool // the stream's order is not the list's
		first     time.Time
	}{
		{path: "archive.mboxrd.mbox", want: final, got: same},
		{path: "archive.mboxrd.mbox.gz", want: final, got: same},
		{path: "archive.mboxrd.mbox.zst", want: final, got: same},
		{path: "archive.mboxo.mbox", want: func(s string) string { return final(quoted(s)) }, got: same},
		{path: "archive.mboxcl.mbox", want: func(s string) string { return final(quoted(s)) }, got: noLength},
		{path: "archive.mboxcl2.mbox", want: final, got: noLength},
		{path: "archive.tar", want: same, got: lf, envelope: true, first: time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)},
		{path: "archive.tar.gz", want: same, got: lf, envelope: true},
		{path: "archive.tar.zst", want: same, got: lf, envelope: true},
		{path: "archive.zip", want: same, got: lf, envelope: true},
		{path: "eml-tree", want: same, got: lf, envelope: true},
		{path: "rfc2442-crlf.bsmtp", want: final, got: same, envelope: true},
		{path: "exim-style.bsmtp", want: final, got: same, envelope: true},
		{path: "amavis-quarantine", want: same, got: noAmavis, envelope: true, sorted: true},
		{
			path: "exchange-journal", want: final, got: lf, envelope: true, sorted: true,
			first: time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC),
		},
		{
			path: "always-bcc-Maildir", opts: Options{Own: []string{"archive@example.com"}}, want: final, got: same,
			first: time.Unix(1767607200, 0).UTC(),
		},
	}
	for _, c := range cases {
		t.Run(c.path, func(t *testing.T) {
			out, findings := collect(t, filepath.Join(dir, c.path), c.opts)
			if len(findings) > 0 {
				t.Errorf("findings: %+v", findings)
			}
			if !c.sorted && len(out) != len(want) {
				t.Fatalf("%d messages, want %d", len(out), len(want))
			}
			if len(out) == 0 {
				t.Fatal("no messages")
			}
			for i, g := range out {
				w := envelope{}
				if c.sorted {
					for _, x := range want {
						if c.want(x.body) == c.got(g.Body) {
							w = x
						}
					}
					if w.File == "" {
						t.Errorf("%s: body is none of the expected", g.Pos)
						continue
					}
				} else {
					w = want[i]
				}
				if c.got(g.Body) != c.want(w.body) {
					t.Errorf("%s: body is not %s:\n%q\n%q", g.Pos, w.File, c.got(g.Body), c.want(w.body))
				}
				if g.Sender != w.Sender && !strings.Contains(w.Sender, " ") {
					t.Errorf("%s: sender %q, want %q", g.Pos, g.Sender, w.Sender)
				}
				if c.envelope && !slices.Equal(g.To, w.Rcpts) {
					t.Errorf("%s: recipients %q, want %q", g.Pos, g.To, w.Rcpts)
				}
				if !c.envelope && len(g.To) > 0 {
					t.Errorf("%s: recipients %q out of nothing", g.Pos, g.To)
				}
			}
			if !c.first.IsZero() && !out[0].Arrival.Equal(c.first) {
				t.Errorf("first arrival %v, want %v", out[0].Arrival, c.first)
			}
		})
	}
	t.Run("truncated.bsmtp", func(t *testing.T) {
		out, findings := collect(t, filepath.Join(dir, "truncated.bsmtp"), Options{})
		if len(out) != 7 {
			t.Errorf("%d complete messages, want 7", len(out))
		}
		for i, g := range out {
			if g.Body != final(want[i].body) || !slices.Equal(g.To, want[i].Rcpts) {
				t.Errorf("message %d differs", i)
			}
		}
		if len(findings) != 1 || findings[0].Kind != manifest.ArchiveTruncated {
			t.Errorf("findings %+v, want one archive_truncated", findings)
		}
	})
	t.Run("received_by", func(t *testing.T) {
		out, _ := collect(t, filepath.Join(dir, "always-bcc-Maildir"), Options{Own: []string{"archive@example.com"}, ReceivedBy: []string{"gw.example.com"}})
		if !slices.Equal(out[0].To, []string{"user1@example.com"}) || out[0].How != ReceivedFor {
			t.Errorf("recipients %q (%v)", out[0].To, out[0].How)
		}
	})
}

func TestCorpusPostfix(t *testing.T) {
	dir := fixtures(t)
	t.Run("3.7", func(t *testing.T) {
		out, findings := collect(t, filepath.Join(dir, "postfix-3.7-queue", "spool"), Options{Own: []string{"archive@example.org"}})
		if len(findings) > 0 {
			t.Errorf("findings: %+v", findings)
		}
		files, err := filepath.Glob(filepath.Join(dir, "postfix-3.7-queue", "postcat", "*.env"))
		if err != nil || len(files) == 0 {
			t.Fatal("no reference", err)
		}
		if len(out) != len(files) {
			t.Errorf("%d messages, want %d", len(out), len(files))
		}
		for _, g := range out {
			id := filepath.Base(g.Pos.File)
			ref := filepath.Join(dir, "postfix-3.7-queue", "postcat", id)
			env, err := os.ReadFile(ref + ".env")
			if err != nil {
				t.Fatal(err)
			}
			var to []string
			for _, l := range strings.Split(string(env), "\n") {
				if a, ok := strings.CutPrefix(l, "recipient: "); ok && a != "archive@example.org" {
					to = append(to, a)
				}
				if s, ok := strings.CutPrefix(l, "sender: "); ok && s != g.Sender {
					t.Errorf("%s: sender %q, want %q", id, g.Sender, s)
				}
				if s, ok := strings.CutPrefix(l, "message_arrival_time: "); ok {
					when, err := time.Parse(time.ANSIC, s)
					if err != nil || g.Arrival.Truncate(time.Second) != when {
						t.Errorf("%s: arrival %v, want %v (%v)", id, g.Arrival, when, err)
					}
				}
			}
			// With pointers the two segments come in the order of the records.
			slices.Sort(to)
			slices.Sort(g.To)
			if !slices.Equal(g.To, to) {
				t.Errorf("%s: recipients %q, want %q", id, g.To, to)
			}
			msg, err := os.ReadFile(ref + ".msg")
			if err != nil {
				t.Fatal(err)
			}
			if g.Body != string(msg) {
				t.Errorf("%s: content differs from postcat:\n%q\n%q", id, g.Body, msg)
			}
		}
	})
	t.Run("2007", func(t *testing.T) {
		name := filepath.Join(dir, "postfix-queue", "test-queue-file")
		if err := os.Chmod(name, 0o700); err != nil {
			t.Fatal(err)
		}
		out, _ := collect(t, name, Options{})
		if len(out) != 1 || out[0].Sender != "me@porcupine.org" || !slices.Equal(out[0].To, []string{"you@porcupine.org"}) || !strings.HasSuffix(out[0].Body, "\n\ntext\n") {
			t.Errorf("%+v", out)
		}
	})
	t.Run("unfinished", func(t *testing.T) {
		name := filepath.Join(dir, "postfix-3.7-queue", "spool", "hold", "4D9449860D6")
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cut := filepath.Join(t.TempDir(), "CUT")
		for n := 120; n < len(whole); n += 7 {
			if err := os.WriteFile(cut, whole[:n], 0o700); err != nil {
				t.Fatal(err)
			}
			out, findings := collect(t, cut, Options{})
			if len(out) != 0 || len(findings) != 1 || findings[0].Kind != manifest.ArchiveTruncated {
				t.Fatalf("cut at %d: %d messages, %+v", n, len(out), findings)
			}
		}
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, findings := collect(t, name, Options{}); len(out) != 0 || len(findings) != 1 {
			t.Errorf("a file without the execute bit: %d messages, %+v", len(out), findings)
		}
	})
}

func TestCorpusExim(t *testing.T) {
	out, findings := collect(t, filepath.Join(fixtures(t), "exim-4.96-spool", "bsmtp-appendfile-output"), Options{})
	if len(findings) > 0 {
		t.Errorf("findings: %+v", findings)
	}
	if len(out) < 4 {
		t.Fatalf("%d messages", len(out))
	}
	for i, want := range [][]string{{"bob@example.com"}, {"carol@example.com"}, {"r1@example.com", `"odd one"@example.com`}, {"bob@example.com", "hid@example.com"}} {
		if !slices.Equal(out[i].To, want) {
			t.Errorf("message %d: recipients %q, want %q", i, out[i].To, want)
		}
	}
	if out[1].Sender != "" || out[0].Sender != "ann@example.net" {
		t.Errorf("senders %q %q", out[0].Sender, out[1].Sender)
	}
	if !strings.HasSuffix(out[0].Body, "\n\nhello\n.dot\nFrom here\n") {
		t.Errorf("body %q", out[0].Body)
	}
	if !bytes.Contains([]byte(out[2].Body), []byte("last line\n")) {
		t.Errorf("body %q", out[2].Body)
	}
}

func TestCorpusEximSpool(t *testing.T) {
	dir := fixtures(t)
	type want struct {
		sender string
		to     []string
		head   string // how the message starts
		end    string
		at     time.Time
	}
	for _, c := range []struct {
		dir  string
		want []want
	}{
		{"exim-4.96-spool/input", []want{
			{
				"ann@example.net",
				[]string{"bob@example.com", "sales@example.com"},
				"Received: from root (helo=client.example.net)\n", "\n\nhello\n.dot\nFrom here\n", time.Unix(1795337816, 802653000),
			},
			{"", []string{"carol@example.com"}, "Received: from root (helo=client.example.net)\n", "", time.Unix(1795337816, 807925000)},
		}},
		{"exim-spool/0699", []want{{"nobody@test.ex", []string{"nulldeliver@test.ex"}, "Received: from nnn by lap-p1.dom.ain", "", time.Unix(1687693404, 878082000)}}},
		{"exim-spool/0910", []want{{"", []string{"root@example.com"}, "Received: from Debian-exim by muli", "", time.Unix(1567066204, 0)}}},
		{"exim-spool/1100", []want{{"", []string{"root@schlittermann.de"}, "Received: from Debian-exim by muli", "", time.Unix(1566979804, 0)}}},
	} {
		t.Run(c.dir, func(t *testing.T) {
			out, findings := collect(t, filepath.Join(dir, filepath.FromSlash(c.dir)), Options{})
			if len(findings) > 0 || len(out) != len(c.want) {
				t.Fatalf("%d messages, want %d; findings %+v", len(out), len(c.want), findings)
			}
			for i, w := range c.want {
				g := out[i]
				if g.Sender != w.sender || !slices.Equal(g.To, w.to) || g.How != Container || !g.Arrival.Equal(w.at) || g.Format != "exim" {
					t.Errorf("%s: %+v, want %+v", g.Pos, g, w)
				}
				if !strings.HasPrefix(g.Body, w.head) || !strings.HasSuffix(g.Body, w.end) || strings.Contains(g.Body, "\nTo: x\n") {
					t.Errorf("%s: body %q", g.Pos, g.Body)
				}
			}
		})
	}
}
