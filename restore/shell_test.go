package restore

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"
)

// What a shell reads of a word is the word, and no name prints what a terminal
// would act upon.
func TestShellQuote(t *testing.T) {
	words := []string{"", "plain@x.org", "a b", "it's", "$HOME", "`id`", "x\n'; echo run #", "\x1b]0;t\x07", "\xff'\xfe", "a\\'b\n", "ü \u202e", "\ufffd", "-A", `"`}
	for _, w := range words {
		q := shellQuote(w)
		if strings.ContainsFunc(q, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q is quoted as %q", w, q)
		}
		for _, shell := range []string{"bash", "sh"} {
			cmd := exec.Command(shell, "-c", "printf %s "+q)
			cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8")
			out, err := cmd.Output()
			if err != nil || shell == "bash" && string(out) != w || strings.Contains(w, "echo") && !strings.Contains(string(out), "echo") {
				t.Errorf("%s reads %q, quoted as %s, as %q (%v)", shell, w, q, out, err)
			}
		}
	}
}
