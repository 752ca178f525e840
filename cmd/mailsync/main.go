// Command mailsync proves what a mail store holds, says exactly what differs
// between its replicas, and puts back what is missing, without ever losing,
// doubling or altering a message.
//
// This package is the operator's face: one short file a command, flags in,
// findings out, exit codes. It owns the terminal and chooses whether a store
// is looked at on disk or taken from its record; nobody else does. Whatever
// loops over data lives in the library packages.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest/durable"
	"mailsync/restore/place"
)

// slack is how much may be allocated between two collections of garbage beyond
// what the collector would allow by itself: as much as is alive. That is some
// MiB mostly, and collecting so often took an eighth of a restore's processor
// time. It is added to the peak once, whatever the store's size.
const slack = 32 << 20

func main() {
	defer runtime.KeepAlive(make([]byte, slack)) // counted as alive, and never touched: it takes no memory itself
	os.Exit(run(os.Args[1:], std{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		stdinTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		stdoutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		stderrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		journal:   underJournal(os.Stderr, os.Getenv),
		width:     func() int { w, _, _ := term.GetSize(int(os.Stderr.Fd())); return w },
		getenv:    os.Getenv,
		uid:       os.Geteuid(),
	}))
}

// std is what a process is born with.
type std struct {
	stdin                          io.Reader
	stdout, stderr                 io.Writer
	stdinTTY, stdoutTTY, stderrTTY bool
	journal                        bool       // standard error goes to the system's journal
	width                          func() int // of standard error's terminal; nil = not known
	getenv                         func(string) string
	uid                            int

	// The ways to the disk: nil = the real ones; tests let calls fail.
	calls *place.Calls // on stores
	files durable.FS   // of the state directory
}

// run is the whole program; it returns the exit code.
func run(args []string, s std) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	a := newApp(args, s, cancel)
	stop := a.signals(cancel)
	defer stop()

	root := a.root()
	root.SetArgs(args)
	if c, _, err := root.Find(args); err == nil && c.HasParent() {
		a.command = commandName(c) // of an error of grammar
	}
	err := guarded(func() error { return root.ExecuteContext(ctx) })
	a.closeHosts()
	return a.finish(ctx, err)
}

// guarded turns a panic into an error: the summary is still written and the
// exit code says that this is a bug. A panic says nothing of mail; its stack
// holds addresses in the program only.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &ui.Problem{
				What: fmt.Sprintf("bug: %v", p), Code: exitSoftware,
				Hint: "please report it with these lines; no store is harmed by it\n" + frames(debug.Stack()),
			}
		}
	}()
	return f()
}

// frames leaves the lines of a stack that name this program's functions.
func frames(stack []byte) string {
	var lines []string
	for line := range strings.Lines(string(stack)) {
		if strings.HasPrefix(line, "mailsync/") || strings.HasPrefix(line, "main.") {
			name, _, _ := strings.Cut(strings.TrimSpace(line), "(0x")
			lines = append(lines, name)
		}
	}
	return strings.Join(lines[:min(len(lines), 8)], "\n")
}

// repeated is how soon after the first a signal is taken for the same one.
const repeated = 500 * time.Millisecond

// signalError is the cause of a run that a signal ended.
type signalError struct{ sig syscall.Signal }

func (e *signalError) Error() string {
	switch e.sig {
	case syscall.SIGINT:
		return "ended by SIGINT"
	case syscall.SIGTERM:
		return "ended by SIGTERM"
	case syscall.SIGHUP:
		return "ended by SIGHUP"
	case syscall.SIGPIPE:
		return "ended early: nobody reads standard output any more"
	}
	return "ended by signal " + e.sig.String()
}

// Is makes a signal what it is to every room: the run was cancelled.
func (e *signalError) Is(target error) bool { return target == context.Canceled }

// signals makes the first SIGINT, SIGTERM or SIGHUP end the run in order: what
// is under way is finished or given up, the journal is whole, the way to
// resume is printed. A second one ends the process at once, which costs no
// mail either; what comes within a moment of the first is no second one
// (timeout(1) signals the process, and then the group it is in). SIGUSR1 asks
// where the run is. SIGPIPE is taken so that a reader that goes away ends a
// restore in order instead of killing it: the write's own error tells of it.
func (a *app) signals(cancel context.CancelCauseFunc) (stop func()) {
	ch := make(chan os.Signal, 4)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		// nohup(1) and shells without job control ignore these on purpose.
		if !signal.Ignored(s) {
			signal.Notify(ch, s)
		}
	}
	signal.Notify(ch, syscall.SIGUSR1)
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		var ended time.Time
		for {
			select {
			case <-done:
				return
			case s := <-ch:
				sig, ok := s.(syscall.Signal)
				switch {
				case !ok:
				case sig == syscall.SIGUSR1:
					select {
					case a.poke <- struct{}{}:
					default: // one answer is under way
					}
				case ended.IsZero():
					ended = time.Now()
					cancel(&signalError{sig})
				case time.Since(ended) > repeated:
					os.Exit(128 + int(sig))
				}
			}
		}
	}()
	return func() {
		signal.Stop(ch)
		signal.Stop(pipe)
		close(done)
	}
}
