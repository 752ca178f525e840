package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// atTerminal runs a command as if a person sat there and typed answers.
func (l *lab) atTerminal(answers string, args ...string) (code int, stdout, stderr string) {
	l.t.Helper()
	var out, err bytes.Buffer
	code = run(append(args, "--progress", "never"), std{
		stdin: strings.NewReader(answers), stdout: &out, stderr: &err, uid: 1,
		stdinTTY: true, stdoutTTY: true, stderrTTY: true,
		getenv: func(k string) string {
			return map[string]string{"MAILSYNC_CONFIG": os.DevNull, "MAILSYNC_STATE": filepath.Join(l.dir, "state"), "NO_COLOR": "1"}[k]
		},
	})
	return code, out.String(), err.String()
}

// On a terminal the plan is shown, and only a yes applies it.
func TestAsked(t *testing.T) {
	l := &lab{t: t, dir: t.TempDir(), docs: documented(t), seen: map[string]bool{}}
	t.Chdir(l.dir)
	name := "alice@example.org/cur/1700000000.M1P1.host,S=155:2,S"
	l.store("a", map[string]string{name: hello})
	l.store("b", map[string]string{name: hello})
	l.run(0, "scan", "./a", "./b")
	l.store("a", map[string]string{name: hello[:99]})
	damaged := func() bool {
		data, err := os.ReadFile("a/" + name)
		return err == nil && len(data) == 99
	}
	for _, no := range []string{"n\n", "\n", "yep\n", "", "nonsense\ny\n"} {
		code, stdout, stderr := l.atTerminal(no, "restore", "./a", "--from", "./b")
		if code != exitNoPerm || !damaged() || !strings.Contains(stdout, "Plan: 1 action") || !strings.Contains(stderr, "Apply this plan to ./a? [y/N]") {
			t.Errorf("answer %q: exit %d, damaged %v\n%s%s", no, code, damaged(), stdout, stderr)
		}
	}
	if _, err := os.Stat("state/runs"); err == nil {
		t.Error("a run was begun that nobody agreed to")
	}
	code, stdout, stderr := l.atTerminal("y\n", "restore", "./a", "--from", "./b")
	if code != 0 || damaged() {
		t.Errorf("answer y: exit %d, damaged %v\n%s%s", code, damaged(), stdout, stderr)
	}
	if code, stdout, stderr = l.atTerminal("n\n", "undo", "last"); code != exitNoPerm || damaged() {
		t.Errorf("undo, n: exit %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr = l.atTerminal("yes\n", "undo", "last"); code != 0 || !damaged() {
		t.Errorf("undo, yes: exit %d\n%s%s", code, stdout, stderr)
	}
	// --json is for programs: nobody is asked, also on a terminal.
	if code, _, stderr = l.atTerminal("y\n", "restore", "./a", "--from", "./b", "--json"); code != exitNoPerm || strings.Contains(stderr, "[y/N]") {
		t.Errorf("--json: exit %d, %s", code, stderr)
	}
}

// Where nothing shows whether messages were lost or deleted, a person is asked
// what to do, and nothing is done without an answer.
func TestAskedUndecided(t *testing.T) {
	l := &lab{t: t, dir: t.TempDir(), docs: documented(t), seen: map[string]bool{}}
	t.Chdir(l.dir)
	one := "alice@example.org/cur/1700000000.M1P1.host,S=155:2,S"
	two := "alice@example.org/cur/1700000001.M2P1.host,S=155:2,S"
	l.store("b", map[string]string{one: hello, two: strings.ReplaceAll(hello, "hello", "again")})
	there := func() bool {
		_, err := os.Stat("a/" + two)
		return err == nil
	}
	for _, c := range []struct {
		answers string
		code    int
		there   bool
	}{
		{"", exitNoPerm, false},
		{"l\n", exitFindings, false},
		{"\n", exitFindings, false},
		{"r\nn\n", exitNoPerm, false},
		{"r\ny\n", exitClean, true},
	} {
		l.store("a", map[string]string{one: hello}) // never scanned: it may never have had the second
		code, stdout, stderr := l.atTerminal(c.answers, "restore", "./a", "--from", "./b")
		if code != c.code || there() != c.there || !strings.Contains(stderr, "nothing shows whether they were lost or deleted") {
			t.Errorf("answers %q: exit %d, there %v\n%s%s", c.answers, code, there(), stdout, stderr)
		}
	}
	if err := os.RemoveAll("a"); err != nil {
		t.Fatal(err)
	}
	l.store("a", map[string]string{one: hello})
	code, stdout, stderr := l.atTerminal("Recovered\ny\n", "restore", "./a", "--from", "./b")
	if list, err := filepath.Glob("a/alice@example.org/.Recovered/cur/*"); code != 0 || err != nil || len(list) != 1 {
		t.Errorf("folder: exit %d, %q\n%s%s", code, list, stdout, stderr)
	}
}
