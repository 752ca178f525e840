package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"mailsync/cmd/mailsync/drill"
	"mailsync/cmd/mailsync/ui"
)

// drillTalk speaks for a drill on the terminal.
type drillTalk struct {
	a   *app
	ctx context.Context //nolint:containedctx // of the one drill that it speaks for
	buf bytes.Buffer    // of a command's output: the line that is not whole
}

// say writes paragraphs; the terminal's width breaks their lines, and not the
// source's.
func (t *drillTalk) say(indent, text string) {
	for i, p := range strings.Split(text, "\n\n") {
		if i > 0 {
			t.a.out.Say("")
		}
		lead := len(p) - len(strings.TrimLeft(p, "\n"))
		for range lead {
			t.a.out.Say("")
		}
		t.a.out.Say("%s", indent+strings.ReplaceAll(p[lead:], "\n", " "))
	}
}

// Open implements drill.Talk.
func (t *drillTalk) Open(title, story string) {
	t.say("", t.a.out.Style.Bold("Drill: "+title))
	t.say("", "\n"+story)
}

// Step implements drill.Talk.
func (t *drillTalk) Step(n, of int, title, see string) {
	t.say("", "\n"+t.a.out.Style.Bold(fmt.Sprintf("%d of %d  %s", n, of, title)))
	t.say("   ", see)
}

// Ask implements drill.Talk.
func (t *drillTalk) Ask(args []string) ([]string, error) {
	t.say("   ", "\nType this (Enter runs it as it stands; another mailsync command is run beside it; q ends):")
	t.a.out.Print("   " + t.a.out.Style.Cyan(ui.Command(append([]string{"mailsync"}, args...)...)))
	line, err := t.a.out.Ask(t.ctx, "   $")
	words := strings.Fields(line)
	if len(words) > 0 && words[0] == "mailsync" {
		words = words[1:]
	}
	switch {
	case err != nil:
		return nil, err
	case len(words) == 0 || strings.Join(words, " ") == strings.Join(args, " "):
		return nil, nil
	case words[0] == "q" || words[0] == "quit" || words[0] == "exit":
		return nil, drill.ErrQuit
	}
	return words, nil
}

// Running implements drill.Talk.
func (t *drillTalk) Running(args []string) {
	t.a.out.Say("")
	t.a.out.Print("   " + t.a.out.Style.Bold("$ "+ui.Command(append([]string{"mailsync"}, args...)...)))
}

// Ran implements drill.Talk.
func (t *drillTalk) Ran(code int) {
	if t.buf.Len() > 0 {
		_, _ = t.Write([]byte("\n"))
	}
	t.say("   ", t.a.out.Style.Dim(fmt.Sprintf("(exit %d: %s)", code, exitWord(code))))
}

// exitWord is an exit code in words.
func exitWord(code int) string {
	switch code {
	case exitClean:
		return "complete, nothing to report"
	case exitFindings:
		return "complete, with findings"
	case exitPartial:
		return "partial: not everything is known"
	}
	return "it did not succeed"
}

// Means implements drill.Talk.
func (t *drillTalk) Means(text string) { t.say("   ", "\n"+text) }

// Missed implements drill.Talk.
func (t *drillTalk) Missed(why string) {
	t.say("   ", "\n"+t.a.out.Style.Yellow("Not as it should be: ")+why)
}

// Streams implements drill.Talk.
func (t *drillTalk) Streams() (io.Reader, io.Writer, io.Writer) {
	if t.a.out.Interactive() {
		return t.a.std.stdin, t.a.std.stdout, t.a.std.stderr
	}
	return nil, t, t
}

// Colour implements drill.Talk.
func (t *drillTalk) Colour() bool { return t.a.out.Style.Bold("x") != "x" }

// Write takes what a command says, line by line; it has escaped it already.
func (t *drillTalk) Write(p []byte) (int, error) {
	t.buf.Write(p)
	for {
		i := bytes.IndexByte(t.buf.Bytes(), '\n')
		if i < 0 {
			return len(p), nil
		}
		t.a.out.Say("   %s %s", t.a.out.Style.Dim("|"), strings.TrimRight(string(t.buf.Next(i+1)), "\n"))
	}
}
