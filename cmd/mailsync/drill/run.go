package drill

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

// Talk is how a drill speaks with the operator; the terminal belongs to whoever
// implements it.
type Talk interface {
	Open(title, story string)
	Step(n, of int, title, see string)
	// Ask shows the command and waits. It returns nil when the operator wants it
	// run, another command that they want to see first, or ErrQuit.
	Ask(args []string) ([]string, error)
	Running(args []string)
	Ran(code int)
	Means(text string)
	Missed(why string)
	// Streams are where a command reads and writes.
	Streams() (stdin io.Reader, stdout, stderr io.Writer)
	Colour() bool
}

// outcome is what a command came to.
type outcome struct {
	code int
	text string
}

// command is what the step types at this moment.
func (e *estate) command(st *step, auto bool) []string {
	var args []string
	for _, a := range st.args {
		args = append(args, strings.ReplaceAll(a, "CRASH", e.crash))
	}
	if st.yes && auto {
		args = append(args, "--yes")
	}
	return args
}

func commandText(args []string) string { return "mailsync " + strings.Join(args, " ") }

// run runs the program in the drill's directory, with the drill's configuration,
// whatever the operator's own environment says.
func (e *estate) run(ctx context.Context, o *Options, args []string) (*outcome, error) {
	o.Talk.Running(args)
	cmd := exec.CommandContext(ctx, o.Bin, args...)
	cmd.Args[0] = "mailsync" // whatever the file is called
	cmd.Dir = e.dir
	cmd.Env = append(os.Environ(), "MAILSYNC_CONFIG="+e.path("mailsync.toml"), "MAILSYNC_STATE="+e.path("state"), "TZ=UTC")
	if o.Talk.Colour() {
		cmd.Args = append(cmd.Args, "--color", "always")
	}
	in, out, errs := o.Talk.Streams()
	var text bytes.Buffer
	if o.Auto {
		cmd.Stdout = io.MultiWriter(out, &text)
		cmd.Stderr = cmd.Stdout
	} else {
		// The terminal itself, so that the program asks as it does on a real day;
		// what it wrote is judged by its exit code alone then.
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
	}
	err := cmd.Run()
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && ctx.Err() == nil:
		code = exit.ExitCode()
	case err != nil:
		return nil, fmt.Errorf("%s: %w", commandText(args), err)
	}
	o.Talk.Ran(code)
	return &outcome{code, colours.ReplaceAllString(text.String(), "")}, nil
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// judge says what is not as it should be, "" where all is.
func (st *step) judge(o *outcome) string {
	if o.code != st.exit {
		return fmt.Sprintf("exit %d, and %d is what it comes to here", o.code, st.exit)
	}
	if o.text == "" {
		return ""
	}
	for _, re := range st.has {
		if !regexp.MustCompile(re).MatchString(o.text) {
			return fmt.Sprintf("the output does not say %q", re)
		}
	}
	return ""
}
