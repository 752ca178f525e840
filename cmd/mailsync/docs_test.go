package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every command in a block of the documentation (```sh, and any in the README)
// is one that this program takes.
// (Those of the runbooks are run, by the drills.)
func TestCommandsInDocs(t *testing.T) {
	commands := 0
	check := func(path string, readme bool) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		block := false
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if fence, ok := strings.CutPrefix(line, "```"); ok {
				block = !block && (fence == "sh" || readme)
				continue
			}
			rest, ok := strings.CutPrefix(line, "mailsync ")
			if !block || !ok {
				continue
			}
			rest, _, _ = strings.Cut(rest, " # ")
			words := strings.Fields(strings.NewReplacer("'", "", `"`, "", "$CRASH", "2026-11-22T01:30:00Z").Replace(rest))
			a := newApp(nil, std{getenv: func(string) string { return "" }}, nil)
			c, left, err := a.root().Find(words)
			if err == nil {
				err = c.ParseFlags(left)
			}
			if err == nil {
				err = c.ValidateArgs(c.Flags().Args())
			}
			if err == nil && !c.HasParent() {
				err = usage("no such command")
			}
			if err != nil {
				t.Errorf("%s: %q: %v", path, line, err)
			}
			commands++
		}
	}
	check("../../README.md", true)
	if err := filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			check(path, false)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if commands < 30 {
		t.Errorf("only %d commands were found", commands)
	}
}
