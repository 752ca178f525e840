package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

// stage runs mailsync in the demo's directory and shows what happens.
type stage struct {
	ctx    context.Context
	bin    string
	dir    string
	out    io.Writer
	colour bool
	act    int
}

func (s *stage) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *stage) line(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// title opens an act: what happens, in a line, and a few words around it.
func (s *stage) title(title, text string) {
	s.act++
	s.line("")
	s.line("%s", s.paint("1;36", fmt.Sprintf("%d. %s", s.act, title)))
	s.say(text)
}

// say tells something in running text.
func (s *stage) say(text string) {
	for l := range strings.Lines(strings.TrimSpace(text)) {
		s.line("   %s", strings.TrimSpace(l))
	}
}

// want is what a step must come to.
type want struct {
	exit int
	has  []string // regular expressions that the output must match
	not  []string // and must not
}

// mailsync shows a command, runs it, shows what it says, and checks it.
func (s *stage) mailsync(w want, args ...string) (string, error) {
	s.line("")
	s.line("   %s", s.paint("1", "$ mailsync "+strings.Join(args, " ")))
	cmd := exec.CommandContext(s.ctx, s.bin, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "MAILSYNC_CONFIG="+os.DevNull, "MAILSYNC_STATE="+s.dir+"/state", "TZ=UTC")
	if s.colour {
		cmd.Args = append(cmd.Args, "--color", "always")
	}
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	for l := range strings.Lines(text.String()) {
		s.line("   %s %s", s.paint("2", "|"), strings.TrimRight(l, "\n"))
	}
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		return "", fmt.Errorf("run %s: %w", s.bin, err)
	}
	s.line("   %s", s.paint("2", fmt.Sprintf("(exit %d: %s)", code, meaning(code))))
	plain := escapes.ReplaceAllString(text.String(), "")
	return plain, w.check(args, code, plain)
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*m")

func (w *want) check(args []string, code int, text string) error {
	command := "mailsync " + strings.Join(args, " ")
	if code != w.exit {
		return fmt.Errorf("%s: exit %d, want %d", command, code, w.exit)
	}
	for _, re := range w.has {
		if !regexp.MustCompile(re).MatchString(text) {
			return fmt.Errorf("%s: the output does not say %q", command, re)
		}
	}
	for _, re := range w.not {
		if regexp.MustCompile(re).MatchString(text) {
			return fmt.Errorf("%s: the output says %q", command, re)
		}
	}
	return nil
}

func meaning(code int) string {
	switch code {
	case 0:
		return "complete, nothing to report"
	case 1:
		return "complete, with findings"
	case 3:
		return "partial"
	}
	return "it failed"
}
