package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"mailsync/cmd/internal/sample"
)

// site is the host that the pages speak of, below a directory that stands for
// its root: a primary, a spare on another host, a backup and a snapshot that
// are hours old, the archive of a gateway, and a configuration of all of them.
type site struct {
	root   string
	now    time.Time
	config map[string]any
}

const siteConfig = `
state = "/var/lib/mailsync"
ssh_command = "/usr/local/bin/ssh"
[stores]
primary  = { path = "/srv/mail", layout = "%d/%n/Maildir", role = "primary", failure_domain = "rack-a" }
spare    = { path = "/srv/spare", layout = "%d/%n/Maildir", role = "spare", failure_domain = "rack-a" }
backup   = { path = "/mnt/backup/mail", layout = "%d/%n/Maildir", role = "backup" }
[archives]
gateway = { path = "/srv/gateway" }
`

// programs stand in the place of those that a test cannot have.
var programs = map[string]string{
	"ssh":      "#!/bin/sh\nshift\nexec sh -c \"$*\"\n",
	"doveconf": "#!/bin/sh\necho 'mail_location = maildir:/srv/mail/%d/%n/Maildir'\n",
}

func newSite(t *testing.T) *site {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	s := &site{root: t.TempDir(), now: now}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	gap, old := now.Add(-5*time.Hour), now.Add(-9*time.Hour)
	all := sample.New(sample.Options{
		Seed: 7, Mailboxes: 4, PerMailbox: 40, Folders: []string{"INBOX", "Sent", "Archive/2026"},
		From: now.Add(-72 * time.Hour), Until: now.Add(-15 * time.Minute),
	})
	for dir, until := range map[string]time.Time{
		"srv/mail": gap, "srv/spare": gap, "spare1/srv/mail": gap, "mnt/backup/mail": old, "tank/mail/.zfs/snapshot/nightly": old,
	} {
		check(all.Before(until).Write(s.path(dir)))
	}
	for _, dir := range []string{"srv/gateway", "var/spool/postfix/hold", "var/lib/prometheus/node-exporter", "usr/local/bin", "etc/mailsync", "tmp"} {
		check(os.MkdirAll(s.path(dir), 0o700))
	}
	for _, file := range []string{"srv/gateway/2026.mbox", "var/spool/postfix/hold/held"} {
		f, err := os.Create(s.path(file))
		check(err)
		check(errors.Join(sample.WriteMbox(f, all.Gateway(nil)), f.Close()))
	}
	for name, text := range programs {
		check(os.WriteFile(s.path("usr/local/bin/"+name), []byte(s.here(text)), 0o700))
	}
	s.configure(t, siteConfig)
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.root, name) }

var rooted = regexp.MustCompile(`(\bspare1:|^|[\s:='"])(/(?:srv|mnt|var|tank|etc|usr/local)/)`)

// here puts the paths of a page below the site's root, those of the other host
// below a directory of its own; there takes it away.
func (s *site) here(text string) string {
	return rooted.ReplaceAllStringFunc(text, func(found string) string {
		before, path, _ := strings.Cut(found, "/")
		if before == "spare1:" {
			path = "spare1/" + path
		}
		return before + s.root + "/" + path
	})
}

func (s *site) there(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, s.root+"/spare1", ""), s.root, "")
}

// configure adds what a page's own example says to the configuration.
func (s *site) configure(t *testing.T, text string) {
	t.Helper()
	var more map[string]any
	err := toml.Unmarshal([]byte(s.here(text)), &more)
	if err != nil {
		t.Fatal(err)
	}
	s.config = merge(s.config, more)
	data, err := toml.Marshal(s.config)
	if err == nil {
		err = os.WriteFile(s.path("etc/mailsync/mailsync.toml"), data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func merge(a, b map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range []map[string]any{a, b} {
		for k, v := range m {
			old, was := out[k].(map[string]any)
			if table, is := v.(map[string]any); was && is {
				v = merge(old, table)
			}
			out[k] = v
		}
	}
	return out
}

// asks are commands that ask before they write; there is no terminal here.
var asks = regexp.MustCompile(`^mailsync +(restore|replay|undo|apply) `)

// run runs one command of a page and gives what it printed and its exit code.
func (s *site) run(t *testing.T, line string) (string, string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " # ")
	if asks.MatchString(line) && !strings.Contains(line, "--dry-run") && !strings.Contains(line, "--plan") {
		line += " --yes"
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", s.here(line))
	cmd.Dir = s.root
	cmd.Env = append(os.Environ(), "MAILSYNC_CONFIG="+s.path("etc/mailsync/mailsync.toml"), "TMPDIR="+s.path("tmp"), "HOME="+s.root,
		"PATH="+s.path("usr/local/bin")+":"+os.Getenv("PATH"), "TZ=UTC", "NO_COLOR=1", "COLUMNS=80", "CRASH="+s.now.UTC().Format(time.RFC3339))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return s.there(string(out)), fmt.Sprint(cmd.ProcessState.ExitCode())
}

// Every command of every page does what the page says that it does, in the
// order of the page. What cannot be run here is listed with the reason.
// (The runbooks are run by the drills.)
func TestRunDocs(t *testing.T) {
	for _, page := range pages(t) {
		if strings.Contains(page, "/runbooks/") {
			continue
		}
		t.Run(strings.TrimPrefix(page, "../../"), func(t *testing.T) {
			t.Parallel()
			whole := t
			var s *site
			for _, b := range blocks(t, page) {
				if b.lang != "sh" && b.lang != "toml" {
					continue
				}
				t.Run(fmt.Sprint("line ", b.line), func(t *testing.T) {
					if why := b.notes["not run"]; why != "" {
						t.Skip("not run: " + why)
					}
					for _, program := range strings.Fields(b.notes["needs"]) {
						if _, err := exec.LookPath(program); err != nil {
							t.Skip("not run: " + program + " is not installed")
						}
					}
					if s == nil {
						s = newSite(whole) // of the page's first block that is run; the others go on from it
					}
					s.block(t, b)
				})
			}
		})
	}
}

func (s *site) block(t *testing.T, b *block) {
	if b.lang == "toml" {
		s.configure(t, b.text)
		return
	}
	if first := b.notes["first"]; first != "" {
		if out, exit := s.run(t, first); exit != "0" {
			t.Fatalf("%s: exit %s\n%s", first, exit, out)
		}
	}
	commands := strings.Split(strings.TrimSpace(strings.NewReplacer("\\\n", "", "|\n", "| ").Replace(b.text)), "\n")
	exits := strings.Fields(b.notes["exit"])
	var said strings.Builder
	for i, line := range commands {
		want := "0"
		if i < len(exits) {
			want = exits[i]
		}
		out, exit := s.run(t, line)
		if exit != want {
			t.Errorf("%s: exit %s, want %s\n%s", line, exit, want, out)
		}
		said.WriteString(out)
	}
	if b.says != "" {
		compareOutput(t, b.says, said.String())
	}
}

// compareOutput holds what a page shows against what was printed: any number
// stands for any other, … for anything in a line, a line of … alone for lines.
func compareOutput(t *testing.T, shown, printed string) {
	t.Helper()
	number := regexp.MustCompile(`\d[\d,.]*`)
	space := regexp.MustCompile(`[ \t]+`)
	pattern := "(?s)^"
	for _, line := range strings.Split(strings.TrimSpace(shown), "\n") {
		if strings.TrimSpace(line) == "…" {
			pattern += `.*?`
			continue
		}
		line = regexp.QuoteMeta(strings.TrimSpace(line))
		line = number.ReplaceAllString(strings.ReplaceAll(line, `\.`, "."), `\d[\d,.]*`)
		pattern += `[ \t]*` + strings.ReplaceAll(space.ReplaceAllString(line, `[ \t]+`), "…", `[^\n]*`) + `[ \t]*\n+`
	}
	if !regexp.MustCompile(pattern + `\s*$`).MatchString(strings.TrimLeft(printed, "\n")) {
		t.Errorf("the page shows\n%s\nand this was printed:\n%s", shown, printed)
	}
}
