package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command has a man page that mandoc finds nothing to say against.
func TestManPages(t *testing.T) {
	mandoc, lintErr := exec.LookPath("mandoc")
	a := newApp(nil, std{getenv: func(string) string { return "" }}, nil)
	var walk func(*cobra.Command)
	pages := 0
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.Hidden {
			return
		}
		var b bytes.Buffer
		if err := manPage(&b, c); err != nil {
			t.Fatal(err)
		}
		pages++
		for _, want := range []string{".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH EXIT STATUS\n"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: no %q", c.CommandPath(), want)
			}
		}
		if lintErr != nil {
			return
		}
		cmd := exec.Command(mandoc, "-man", "-T", "lint", "-W", "warning")
		cmd.Stdin = &b
		out, err := cmd.CombinedOutput()
		// A page without a date says nothing wrong: builds are reproducible.
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "missing date") {
				t.Errorf("%s: %s", c.CommandPath(), line)
			}
		}
		_ = err
	}
	walk(a.root())
	dir := t.TempDir()
	if err := manPages(dir, a.root()); err != nil {
		t.Fatal(err)
	}
	if written, err := os.ReadDir(dir); err != nil || len(written) != pages || pages < 20 {
		t.Errorf("%d pages, %d of them written, %v", pages, len(written), err)
	}
}

// What a command says of itself fits a terminal of 80 columns.
func TestHelpFits(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		for line := range strings.Lines(c.Long + "\n" + c.UsageString()) {
			// What is pasted is not broken.
			if len(line) > 81 && !strings.HasPrefix(line, "  command=") && !c.Hidden {
				t.Errorf("%s: %d columns: %s", c.CommandPath(), len(line)-1, line)
			}
		}
	}
	walk(newApp(nil, std{getenv: func(string) string { return "" }}, nil).root())
}
