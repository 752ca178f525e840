package drill

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Every command of a runbook is one that its drill runs, in the same order; and
// the drill runs none that the runbook lacks. So runbooks are run by the test
// of the drills.
func TestRunbooks(t *testing.T) {
	for _, s := range Scenarios() {
		text, err := os.ReadFile("../../../docs/runbooks/" + s.Name + ".md")
		if err != nil {
			t.Error(err)
			continue
		}
		var written, run []string
		block := ""
		for line := range strings.Lines(string(text)) {
			if lang, ok := strings.CutPrefix(strings.TrimSpace(line), "```"); ok {
				block = lang
			}
			line = strings.NewReplacer("'", "", `"$CRASH"`, "CRASH").Replace(strings.TrimSpace(line))
			if block == "sh" && strings.HasPrefix(line, "mailsync ") && !slices.Contains(written, line) {
				written = append(written, line)
			}
		}
		for i := range s.steps {
			if c := commandText(s.steps[i].args); !slices.Contains(run, c) {
				run = append(run, c)
			}
		}
		if !slices.Equal(written, run) {
			t.Errorf("%s: the runbook has\n  %s\nand the drill\n  %s", s.Name, strings.Join(written, "\n  "), strings.Join(run, "\n  "))
		}
	}
}
