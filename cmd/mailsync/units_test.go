package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The units are ones that systemd takes, and the commands in them are ones that
// this program takes.
func TestUnits(t *testing.T) {
	files, err := filepath.Glob("../../docs/systemd/*.*")
	if err != nil || len(files) < 5 {
		t.Fatalf("%q, %v", files, err)
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			line = strings.Replace(strings.TrimSpace(line), "ExecStop=", "ExecStart=", 1)
			command, ok := strings.CutPrefix(line, "ExecStart=/usr/bin/mailsync ")
			if !ok {
				continue
			}
			words := strings.Fields(strings.ReplaceAll(command, "$STORES", "primary"))
			a := newApp(nil, std{getenv: func(string) string { return "" }}, nil)
			c, rest, err := a.root().Find(words)
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err != nil {
				t.Errorf("%s: %q: %v", f, command, err)
			}
			if strings.Contains(command, "--textfile") && !strings.Contains(string(data), "\nUMask=0022\n") {
				t.Errorf("%s: the exporter cannot read what it writes", f)
			}
		}
		name := filepath.Join(dir, filepath.Base(f))
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(data), "/usr/bin/mailsync", "/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed (Debian: systemd)")
	}
	if out, err := exec.Command(analyze, args...).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
	// Exposure at most 3.0 of 10, as systemd counts ("OK" ends at 4.9).
	for _, f := range files {
		if filepath.Ext(f) != ".service" {
			continue
		}
		if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=30", "--no-pager", f).CombinedOutput(); err != nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			t.Errorf("%s: %v: %s", f, err, lines[len(lines)-1])
		}
	}
}
