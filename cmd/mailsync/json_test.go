package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// field is one row of docs/json.md.
type field struct {
	optional, path bool
	kind           string // string, number, boolean, time, array, object, or string or null
}

// documented reads docs/json.md: type → field.
func documented(t *testing.T) map[string]map[string]field {
	t.Helper()
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]map[string]field{}
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([^|]*) \\|")
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		fields := map[string]field{}
		for _, m := range row.FindAllStringSubmatch(body, -1) {
			kind, _, _ := strings.Cut(strings.TrimSpace(m[2]), ",")
			fields[m[1]] = field{optional: strings.Contains(m[2], "optional"), path: strings.Contains(m[2], "file_b64"), kind: kind}
		}
		types[name] = fields
	}
	types["vanished"] = types["finding"]
	types["absence"] = types["entry"]
	return types
}

// lab runs commands in this process on a store of its own.
type lab struct {
	t    *testing.T
	dir  string
	seen map[string]bool
	docs map[string]map[string]field
}

func (l *lab) store(path string, files map[string]string) {
	l.t.Helper()
	for name, text := range files {
		file := filepath.Join(l.dir, path, name)
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(filepath.Dir(filepath.Dir(file)), sub), 0o755); err != nil {
				l.t.Fatal(err)
			}
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			l.t.Fatal(err)
		}
		if at := time.Unix(1700000000, 0); os.Chtimes(file, at, at) != nil {
			l.t.Fatal("cannot set times")
		}
	}
}

// run runs a command with --json, checks every line against the
// documentation, and returns them.
func (l *lab) run(want int, args ...string) []map[string]any {
	l.t.Helper()
	var stdout, stderr bytes.Buffer
	got := run(append(args, "--json"), std{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, uid: 1,
		getenv: func(k string) string {
			return map[string]string{"MAILSYNC_CONFIG": os.DevNull, "MAILSYNC_STATE": filepath.Join(l.dir, "state")}[k]
		},
	})
	command := "mailsync " + strings.Join(args, " ")
	if got != want {
		l.t.Errorf("%s: exit %d, want %d\n%s%s", command, got, want, &stdout, &stderr)
	}
	var lines []map[string]any
	for text := range strings.Lines(stdout.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			l.t.Fatalf("%s: %v in %s", command, err, text)
		}
		l.check(command, line, text)
		lines = append(lines, line)
	}
	if len(lines) == 0 || lines[len(lines)-1]["type"] != "summary" {
		l.t.Fatalf("%s: the last line is no summary:\n%s", command, &stdout)
	}
	s := lines[len(lines)-1]
	if s["exit"] != float64(want) || s["complete"] != (want == 0 || want == 1) {
		l.t.Errorf("%s: summary %v", command, s)
	}
	if want >= 64 && (s["error"] == nil || s["error"] == "") {
		l.t.Errorf("%s: failed without saying why: %v", command, s)
	}
	return lines
}

func (l *lab) check(command string, line map[string]any, text string) {
	l.t.Helper()
	if line["v"] != 1.0 {
		l.t.Errorf("%s: v is %v", command, line["v"])
	}
	name, _ := line["type"].(string)
	fields := l.docs[name]
	if fields == nil {
		l.t.Errorf("%s: type %q is not documented: %s", command, name, text)
		return
	}
	l.seen[name] = true
	for k := range line {
		if k == "v" || k == "type" {
			continue
		}
		if _, ok := fields[strings.TrimSuffix(k, "_b64")]; !ok {
			l.t.Errorf("%s: field %q of %q is not documented", command, k, name)
		}
	}
	for k, f := range fields {
		value, there := line[k]
		if there && !f.holds(value) {
			l.t.Errorf("%s: field %q of %q is documented as %s: %s", command, k, name, f.kind, text)
		}
		if f.path && !there {
			_, there = line[k+"_b64"]
		}
		if !there && !f.optional {
			l.t.Errorf("%s: %q lacks field %q: %s", command, name, k, text)
		}
	}
}

const hello = "From: Sender <sender@example.org>\nTo: alice@example.org\nSubject: hello\nDate: Tue, 14 Nov 2023 22:13:20 +0000\nMessage-ID: <hello@example.org>\n\nhello, world\n"

// Every line that the program writes is as docs/json.md says, and every type
// there is written by some command here.
func TestJSONDocumented(t *testing.T) {
	l := &lab{t: t, dir: t.TempDir(), seen: map[string]bool{}, docs: documented(t)}
	t.Chdir(l.dir)
	files := map[string]string{
		"alice@example.org/cur/1700000000.M1P1.host,S=155:2,S": hello,
		"alice@example.org/cur/1700000001.M2P1.host:2,":        strings.ReplaceAll(hello, "hello", "world"),
		"alice@example.org/new/1700000002.M3P1.\xffhost":       strings.ReplaceAll(hello, "hello", "there"),
	}
	l.store("a", files)
	l.store("b", files)
	if len(hello) != 155 {
		t.Fatalf("the sample has %d bytes", len(hello))
	}
	l.run(0, "version")
	l.run(0, "config", "show")
	l.run(0, "config", "show", "--origin")
	l.run(0, "config", "check")
	if err := os.WriteFile("doveconf", []byte("#!/bin/sh\necho mail_location = maildir:$PWD/b/%u\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.run(1, "doctor", "--doveconf", "./doveconf") // state and store share a file system
	l.run(73, "doctor", "--doveconf", "./doveconf", "--write", "./doveconf")
	l.run(64, "frobnicate")
	l.run(66, "scan", "./nowhere")
	l.run(0, "scan", "./a", "./b")
	l.run(0, "manifest", "ls")
	l.run(0, "manifest", "ls", "./a")
	l.run(0, "manifest", "show", "./a", "--mailbox", "*")
	l.run(0, "manifest", "export", "./a")
	l.run(0, "verify", "./a", "--save-evidence")
	l.run(0, "report")
	l.run(2, "monitor", "./nowhere-yet/a")
	l.run(0, "drill", "stuck-failover", "--auto")
	l.run(0, "diff", "./a", "./b")

	// One damaged, one lost, one with a name that is no UTF-8.
	if err := os.Remove("a/alice@example.org/cur/1700000001.M2P1.host:2,"); err != nil {
		t.Fatal(err)
	}
	l.store("a", map[string]string{"alice@example.org/cur/1700000000.M1P1.host,S=155:2,S": hello[:99]})
	lines := l.run(1, "verify", "./a", "--crash-at", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	if n := count(lines, "finding", "kind", "truncated"); n != 1 {
		t.Errorf("%d truncated findings, want 1", n)
	}
	l.run(1, "diff", "./a", "./b")
	l.run(77, "restore", "./a", "--from", "./b")
	l.run(1, "restore", "./a", "--from", "./b", "--dry-run")
	lines = l.run(0, "restore", "./a", "--from", "./b", "--yes", "--crash-at", time.Now().UTC().Format(time.RFC3339Nano))
	if n := count(lines, "action", "state", "done"); n != 2 {
		t.Errorf("%d actions done, want 2: %v", n, lines)
	}
	id, _ := lines[len(lines)-1]["run"].(string)
	l.run(0, "runs")
	l.run(0, "undo", id, "--yes")
	l.run(66, "undo", "no-such-run", "--yes")

	mbox := "From sender@example.org Tue Nov 14 22:13:20 2023\nX-Envelope-To: alice@example.org\n" + strings.ReplaceAll(hello, "hello", "gap") + "\n"
	if err := os.WriteFile("gateway.mbox", []byte(mbox+mbox[:len(mbox)-1]), 0o644); err != nil {
		t.Fatal(err)
	}
	l.run(1, "audit", "--from", "./gateway.mbox", "--to", "./b", "--since", "all")
	l.run(77, "replay", "--from", "./gateway.mbox", "--to", "./b", "--since", "all")
	l.run(0, "replay", "--from", "./gateway.mbox", "--to", "./b", "--since", "all", "--yes")
	l.run(0, "audit", "--from", "./gateway.mbox", "--to", "./b", "--since", "all")

	log := "2023-11-14T22:13:21Z gw postfix/cleanup[1]: AAAAA11111: message-id=<gap@example.org>\n"
	if err := os.WriteFile("mail.log", []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	l.run(1, "audit", "--outbound", "--from", "./gateway.mbox", "--delivery-log", "mail.log")
	l.run(64, "audit", "--outbound", "--from", "./gateway.mbox")
	l.run(64, "audit", "--queue", "x", "--from", "./gateway.mbox")
	l.run(66, "audit", "--outbound", "--from", "./gateway.mbox", "--delivery-log", "absent.log")
	l.run(66, "audit", "--outbound", "--from", "./gateway.mbox", "--delivery-log", "mail.log", "--queue", "absent")

	// A mailbox that cannot be entered any more.
	if err := os.Rename("b/alice@example.org/cur", "b/alice@example.org/elsewhere"); err != nil {
		t.Fatal(err)
	}
	l.run(3, "verify", "./b")

	for name := range l.docs {
		if !l.seen[name] && !slices.Contains([]string{"device", "vanished", "absence", "broken"}, name) {
			t.Errorf("no command here wrote a %q line", name)
		}
	}
}

func count(lines []map[string]any, typ, key, value string) int {
	n := 0
	for _, l := range lines {
		if l["type"] == typ && l[key] == value {
			n++
		}
	}
	return n
}
