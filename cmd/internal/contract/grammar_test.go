package contract

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"mailsync/cmd/internal/drive"
)

var everywhere = strings.Fields("--config --state --json --quiet --verbose --progress --color --readers --limit-rate")

func TestEveryCommandHasItsFlags(t *testing.T) {
	l := bare(t)
	for command, flags := range map[string]string{
		"scan":            "--mailbox --rehash --rehash-fraction --max-duration --adopt --accept --reason --strict",
		"verify":          "--mailbox --rehash --rehash-fraction --max-duration --quick --crash-at --strict",
		"diff":            "--recorded",
		"restore":         "--from --mailbox --dry-run --plan --yes --crash-at --undelete --undecided --fix-uidnext --recorded",
		"replay":          "--from --to --mailbox --dry-run --plan --yes --since --until --crash-at --undelete --undecided --fix-uidnext --via --ambiguous --delivery-log --multiset --html --recorded",
		"audit":           "--from --to --since --until --html --recorded",
		"apply":           "--yes",
		"undo":            "--yes",
		"runs":            "",
		"manifest ls":     "",
		"manifest show":   "",
		"manifest check":  "",
		"manifest export": "",
		"config check":    "",
		"config show":     "",
		"version":         "",
	} {
		r, err := l.bin.Text(t.Context(), append(strings.Fields(command), "--help")...)
		l.must(err)
		if r.Code != 0 {
			t.Errorf("%s --help: exit %d", command, r.Code)
		}
		for _, f := range append(strings.Fields(flags), everywhere...) {
			if strings.Contains(r.Stdout, f+" ") || strings.Contains(r.Stdout, f+"\n") {
				continue
			}
			// A flag that says nothing new for a command may be hidden.
			r, err := l.bin.Text(t.Context(), append(strings.Fields(command), f+"=?")...)
			l.must(err)
			if strings.Contains(r.Stderr, "unknown flag") {
				t.Errorf("%s has no %s", command, f)
			}
		}
	}
}

func TestUsageErrorsExit64(t *testing.T) {
	l := with(t, sample2)
	for _, args := range [][]string{
		{},
		{"frobnicate"},
		{"scan"},
		{"scan", "./a", "--nosuch"},
		{"scan", "./a", "--rehash-fraction", "3"},
		{"scan", "./a", "--max-duration", "soon"},
		{"scan", "./a", "--accept"},
		{"scan", "./a", "--limit-rate", "fast"},
		{"scan", "./a", "--readers", "many"},
		{"scan", "./a", "--progress", "sometimes"},
		{"scan", "./a", "--color", "green"},
		{"diff", "./a"},
		{"restore", "./a"},
		{"restore", "--from", "./a"},
		{"restore", "./a", "--from", "./a"},
		{"restore", "./a", "--from", "./b", "--undecided", "perhaps"},
		{"replay", "--to", "./a"},
		{"replay", "--from", "./x", "--to", "./a", "--since", "lately"},
		{"replay", "--from", "./x", "--to", "./a", "--ambiguous", "perhaps"},
		{"audit"},
		{"apply"},
		{"undo"},
		{"verify", "./a", "--crash-at", "yesterday evening"},
		{"manifest"},
		{"config"},
	} {
		l.run(64, args...)
	}
}

func TestShortFlagsAndUnitsAreRead(t *testing.T) {
	l := with(t, sample2)
	l.run(0, "scan", "./a", "-q", "--readers", "2", "--limit-rate", "200M/s", "--progress", "never", "--color", "never")
	l.run(0, "scan", "./a", "-v", "--limit-rate", "200Mi/s", "--rehash-fraction", "1/30", "--max-duration", "2h")
	l.run(0, "verify", "./a", "--quick", "--mailbox", "*anna*", "--mailbox", "*bela*", "--max-duration", "2h")
	l.run(0, "verify", "./a", "--crash-at", "2026-11-22 01:30")
	l.run(0, "verify", "./a", "--crash-at", "2026-11-22T01:30:00+01:00")
	l.run(0, "verify", "./a", "--rehash")
	l.run(0, "verify", "./a", "--rehash-fraction", "1/30")
}

func TestVersionAndConfigAnswer(t *testing.T) {
	l := bare(t)
	l.run(0, "version")
	l.config("[stores.primary]\npath = \"$DIR/a\"\n")
	l.must(os.MkdirAll(l.path("a", "x", "cur"), 0o755))
	l.run(0, "config", "show")
	r := l.run(0, "config", "check")
	if len(r.Lines) < 2 {
		t.Errorf("config check says nothing of a record on the store's own host: %s", r)
	}
}

func TestConfigErrorsExit78WithFileLineAndColumn(t *testing.T) {
	l := bare(t)
	for _, c := range []struct{ text, at string }{
		{"stat = \"x\"\n", ":1:1"},
		{"state = \"x\"\n[stores.primary]\npath = \"/srv\"\n  lay_out = \"%d\"\n", ":4:3"},
		{"[archives.a]\npath = \"/srv\"\nformat = \"mbox\"\n", ":3:1"},
		{"[recipients]\nvirtuals = []\n", ":2:1"},
		{"state = 7\n", ":1:"},
		{"[stores.primary\n", ":1:"},
		{"[stores.Primary]\npath = \"/srv\"\n", ":1:"},
		{"[stores.primary]\npath = \"/srv\"\nrole = \"boss\"\n", ":"},
	} {
		l.config(c.text)
		for _, args := range [][]string{{"config", "check"}, {"verify"}, {"runs"}} {
			r := l.run(78, args...)
			if want := "mailsync.toml" + c.at; r.Summary == nil || !strings.Contains(r.Summary.Error, want) {
				t.Errorf("%q: the error does not say %s: %s", c.text, want, r)
			}
		}
	}
	l.bin.Config = l.path("nowhere.toml")
	l.run(78, "verify")
}

func TestTheSummaryIsWrittenAlsoWhenTheGrammarIsWrong(t *testing.T) {
	l := bare(t)
	r := l.run(64, "frobnicate")
	if r.Summary == nil || r.Summary.Error == "" || r.Summary.Hint == "" || r.Summary.Complete {
		t.Errorf("%s", r)
	}
}

func TestWhatDoesNotExistExits66(t *testing.T) {
	l := with(t, sample2)
	for _, args := range [][]string{
		{"scan", "./nowhere"},
		{"scan", "nosuchname"},
		{"verify", "./nowhere"},
		{"diff", "./a", "./nowhere"},
		{"restore", "./a", "--from", "./nowhere", "--yes"},
		{"restore", "./nowhere", "--from", "./a", "--yes"},
		{"replay", "--from", "./nowhere", "--to", "./a", "--since", "all", "--yes"},
		{"audit", "--from", "nosuch", "--to", "./a", "--since", "all"},
		{"apply", "./nowhere", "--yes"},
		{"undo", "20260101-000000-0000", "--yes"},
		{"manifest", "ls", "./a"},
		{"manifest", "check", "./a"},
		{"diff", "./a", "./b", "--recorded", "./b"},
	} {
		l.run(66, args...)
	}
}

func TestAFileIsNoStoreAndADirectoryNoPlan(t *testing.T) {
	l := with(t, sample2)
	l.put("file", "hello")
	if r, err := l.bin.JSON(t.Context(), "scan", "./file"); err != nil || r.Code < 64 || r.Code == 70 || len(r.Faults) > 0 {
		t.Errorf("%v %s", err, r)
	}
	if r, err := l.bin.JSON(t.Context(), "apply", "./a", "--yes"); err != nil || r.Code < 64 || r.Code == 70 || len(r.Faults) > 0 {
		t.Errorf("%v %s", err, r)
	}
}

func TestRemoteStoresAreRecognisedByTheColonBeforeASlash(t *testing.T) {
	l := with(t, sample2)
	l.must(os.Rename(l.path("a"), l.path("a:b")))
	l.run(0, "scan", "./a:b")
	r, err := l.bin.JSON(t.Context(), "scan", "backup1:/srv/mail")
	l.must(err)
	if r.Code != 69 && r.Code != 64 {
		t.Errorf("a remote store: %s", r)
	}
}

func TestWritingWithoutATerminalIsRefusedWith77(t *testing.T) {
	l := twins(t, small)
	l.run(0, "scan", "./a")
	l.lose("a", 2, ordinary)
	archive := l.archive("gateway", nil)
	untouched := l.before("a", "b")
	l.run(77, "restore", "./a", "--from", "./b")
	l.run(77, "replay", "--from", archive, "--to", "./a", "--since", "all")
	l.run(1, "restore", "./a", "--from", "./b", "--plan", "./plan")
	l.run(77, "apply", "./plan")
	untouched("a refused command")
	r := l.run(0, "restore", "./a", "--from", "./b", "--yes")
	run := l.id(r)
	untouched = l.before("a", "b")
	l.run(77, "undo", run)
	untouched("a refused undo")
}

func (l *lab) id(r *drive.Result) string {
	l.t.Helper()
	if r.Summary == nil || r.Summary.Run == "" {
		l.t.Fatalf("no run in the summary: %s", r)
	}
	return r.Summary.Run
}

func TestStateIsFoundByFlagConfigEnvironmentAndXDG(t *testing.T) {
	l := with(t, sample2)
	bin := l.bin
	for i, c := range []struct{ flag, config, env, want string }{
		{flag: "by-flag", config: "by-config", env: "by-env", want: "by-flag"},
		{config: "by-config", env: "by-env", want: "by-config"},
		{env: "by-env", want: "by-env"},
	} {
		b := bin
		b.State, b.Config = "", l.put(fmt.Sprintf("c%d.toml", i), "")
		if c.flag != "" {
			b.State = l.path(c.flag)
		}
		if c.config != "" {
			b.Config = l.put(fmt.Sprintf("c%d.toml", i), fmt.Sprintf("state = %q\n", l.path(c.config)))
		}
		b.Env = append(append([]string{}, bin.Env...), "MAILSYNC_STATE="+l.path(c.env))
		l.runWith(b, 0, "scan", "./a")
		if len(l.files(c.want)) == 0 {
			t.Errorf("case %d: nothing was written to %s", i, c.want)
		}
		l.must(os.RemoveAll(l.path(c.want)))
	}
	if os.Getuid() != 0 {
		b := bin
		b.State = ""
		l.runWith(b, 0, "scan", "./a")
		if len(l.files("xdg/mailsync")) == 0 {
			t.Error("nothing was written to $XDG_STATE_HOME/mailsync")
		}
	}
}
