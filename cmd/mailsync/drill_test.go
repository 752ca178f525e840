package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mailsync/cmd/mailsync/drill"
)

// at runs the program in this process, with a terminal that says these lines.
func at(t *testing.T, lines string, args ...string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	env := map[string]string{"MAILSYNC_CONFIG": os.DevNull, "MAILSYNC_STATE": filepath.Join(t.TempDir(), "state"), "NO_COLOR": "1"}
	code = run(args, std{
		stdin: strings.NewReader(lines), stdout: &b, stderr: &b, stdinTTY: lines != "", stderrTTY: lines != "",
		getenv: func(k string) string { return env[k] },
	})
	return code, b.String()
}

// Every scenario works as it is told, and ends with all that can be had; its
// runbook shows what its commands print.
func TestDrills(t *testing.T) {
	for _, s := range drill.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			code, out := at(t, "", "drill", s.Name, "--auto")
			if code != exitClean || !strings.Contains(out, "still missing  0") {
				t.Errorf("exit %d\n%s", code, out)
			}
			printed := commandsOf(out)
			for _, b := range blocks(t, "../../docs/runbooks/"+s.Name+".md") {
				if b.says != "" {
					compareOutput(t, b.says, printed[anyTime(b.text)])
				}
			}
		})
	}
}

// commandsOf is what each command of a drill printed, by the command.
func commandsOf(out string) map[string]string {
	printed := map[string]string{}
	command := ""
	for line := range strings.Lines(out) {
		if c, ok := strings.CutPrefix(line, "   $ "); ok {
			command = anyTime(strings.TrimSuffix(strings.TrimSpace(c), " --yes"))
			printed[command] = ""
		} else if text, ok := strings.CutPrefix(line, "   |"); ok {
			printed[command] += strings.TrimPrefix(text, " ")
		}
	}
	return printed
}

// anyTime is a command without its quotes, and CRASH in the place of a time.
func anyTime(command string) string {
	command = strings.NewReplacer("'", "", `"`, "", "$CRASH", "CRASH").Replace(strings.TrimSpace(command))
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:]+Z`).ReplaceAllString(command, "CRASH")
}

// On a terminal the operator sees the command, tries another, goes on, leaves.
func TestDrillAsks(t *testing.T) {
	code, out := at(t, "\nmailsync manifest ls\n\nq\n", "drill", "power-loss", "--progress", "never")
	if code != exitPartial {
		t.Errorf("exit %d, want %d: it was ended early\n%s", code, exitPartial, out)
	}
	for _, want := range []string{
		`(?m)^1 of 10  The evening before$`, `(?m)^   mailsync scan primary spare backup$`, `(?m)^   \$ mailsync manifest ls$`,
		`(?m)^2 of 10  Is the primary's mail whole\?$`, `(?m)^   \(exit 1: complete, with findings\)$`, `(?m)^3 of 10`, `Ended after 2 steps`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("nothing matches %q in\n%s", want, out)
		}
	}
}
