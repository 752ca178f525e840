package drive

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Bin is the built program and the surroundings in which it runs.
type Bin struct {
	Path   string
	State  string        // --state; "" = none is given
	Config string        // --config; "" = none is given, and none of the machine's is read
	Wrap   []string      // a command that runs it: strace, nice …
	Dir    string        // working directory
	Env    []string      // added to the environment
	Limit  time.Duration // a run that takes longer hangs; 0 = 2 minutes
	Stdin  io.Reader     // nil = /dev/null
	Trace  func(string)  // told of every command line; nil = nobody
}

// Built is where the program lies that make build has built, or that is named,
// seen from a suite's own directory.
func Built(named string) (string, error) {
	path, err := filepath.Abs(cmp.Or(named, "../../../bin/mailsync"))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the program is not built (make build): %w", err)
	}
	return path, nil
}

// Result is how a run ended.
type Result struct {
	Code    int // exit code; -1 when ended by a signal
	Signal  syscall.Signal
	Hung    bool // it had to be killed after Limit
	Lines   []Line
	Summary *Line  // the last line, where it is the summary
	Stdout  string // only where output was not JSON
	Stderr  string
	Wall    time.Duration
	User    time.Duration
	System  time.Duration
	MaxRSS  int64    // bytes
	Faults  []string // what no run may do: a panic, output that is no JSON, a summary in the wrong place …
}

// Find returns the lines of a type.
func (r *Result) Find(typ string) []Line {
	var out []Line
	for _, l := range r.Lines {
		if l.Type == typ {
			out = append(out, l)
		}
	}
	return out
}

// Count returns a number of the summary, 0 where there is none.
func (r *Result) Count(name string) int64 {
	if r.Summary == nil {
		return 0
	}
	return r.Summary.Counts[name]
}

// String tells how the run ended, for a test's message.
func (r *Result) String() string {
	s := fmt.Sprintf("exit %d", r.Code)
	if r.Signal != 0 {
		s += fmt.Sprintf(" (signal %v)", r.Signal)
	}
	if r.Hung {
		s += " HUNG"
	}
	if r.Summary != nil {
		s += fmt.Sprintf(" counts %v error %q hint %q", r.Summary.Counts, r.Summary.Error, r.Summary.Hint)
	}
	for _, f := range r.Faults {
		s += "\nFAULT: " + f
	}
	if r.Stderr != "" {
		s += "\nstderr: " + tail(r.Stderr, 2000)
	}
	return s
}

// JSON runs a command with --json. An error means that it could not be run at
// all; everything else is in the Result.
func (b Bin) JSON(ctx context.Context, args ...string) (*Result, error) {
	return b.Stream(ctx, nil, args...)
}

// Stream is JSON that hands out every line as it comes.
func (b Bin) Stream(ctx context.Context, on func(Line), args ...string) (*Result, error) {
	r := &Result{}
	err := b.run(ctx, r, append(args, "--json"), func(out io.Reader) { r.lines(out, on) })
	if err != nil {
		return r, err
	}
	r.conclude()
	return r, nil
}

// Read makes a Result of what a command that ran in this process has written.
func Read(code int, stdout io.Reader, stderr string) *Result {
	r := &Result{Code: code, Stderr: stderr}
	r.lines(stdout, nil)
	r.conclude()
	return r
}

// lines reads the output of --json.
func (r *Result) lines(out io.Reader, on func(Line)) {
	in := bufio.NewReaderSize(out, 1<<16)
	for {
		p, err := in.ReadBytes('\n')
		if len(p) > 0 {
			l, bad := ParseLine(bytes.TrimSuffix(p, []byte("\n")))
			switch {
			case bad != nil:
				r.fault("%v", bad)
			case !bytes.HasSuffix(p, []byte("\n")):
				r.fault("the last line of output is cut")
			}
			r.Lines = append(r.Lines, l)
			if on != nil {
				on(l)
			}
		}
		if err != nil {
			return
		}
	}
}

// conclude finds the summary and checks it.
func (r *Result) conclude() {
	for i := range r.Lines {
		if r.Lines[i].Type != "summary" {
			continue
		}
		if i != len(r.Lines)-1 {
			r.fault("the summary is not the last line")
			continue
		}
		r.Summary = &r.Lines[i]
	}
	r.check()
}

// Text runs a command as a person would, without --json.
func (b Bin) Text(ctx context.Context, args ...string) (*Result, error) {
	r := &Result{}
	err := b.run(ctx, r, args, func(out io.Reader) {
		p, _ := io.ReadAll(out)
		r.Stdout = string(p)
	})
	if err == nil && strings.ContainsAny(r.Stdout+r.Stderr, "\x1b\x07\x00") {
		r.fault("a control character was printed although no terminal is there")
	}
	return r, err
}

func (r *Result) fault(format string, a ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, a...))
}

// check compares what the summary says with how the process ended.
func (r *Result) check() {
	if r.Signal == syscall.SIGKILL || r.Hung {
		return
	}
	if r.Summary == nil {
		r.fault("there is no summary")
		return
	}
	if r.Summary.Exit != r.Code {
		r.fault("the summary says exit %d, the process said %d", r.Summary.Exit, r.Code)
	}
	if r.Summary.Complete != (r.Code == 0 || r.Code == 1) {
		r.fault("complete is %v with exit %d", r.Summary.Complete, r.Code)
	}
	if r.Code != 0 && r.Code != 1 && r.Code != 3 && r.Summary.Error == "" {
		r.fault("exit %d without an error in the summary", r.Code)
	}
}

func (b Bin) run(ctx context.Context, r *Result, args []string, read func(io.Reader)) error {
	limit := b.Limit
	if limit == 0 {
		limit = 2 * time.Minute
	}
	line := append([]string{}, b.Wrap...)
	line = append(line, b.Path)
	if b.State != "" {
		args = append(args, "--state", b.State)
	}
	if b.Config != "" {
		args = append(args, "--config", b.Config)
	}
	line = append(line, args...)
	if b.Trace != nil {
		b.Trace(strings.Join(line, " "))
	}
	c := exec.Command(line[0], line[1:]...)
	c.Dir, c.Stdin = b.Dir, b.Stdin
	c.Env = append(os.Environ(), "MAILSYNC_CONFIG=", "MAILSYNC_STATE=", "NO_COLOR=1")
	c.Env = append(c.Env, b.Env...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.Start(); err != nil {
		return err
	}
	group := -c.Process.Pid
	var late atomic.Bool
	hung := time.AfterFunc(limit, func() {
		late.Store(true)
		_ = syscall.Kill(group, syscall.SIGQUIT) // where it hangs, for the report
		time.AfterFunc(2*time.Second, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	})
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	peak := watchMemory(c.Process.Pid)
	read(out)
	err = c.Wait()
	hung.Stop()
	stop()
	r.Hung = late.Load()
	r.Wall = time.Since(began)
	r.Stderr = errs.String()
	st := c.ProcessState
	r.Code, r.User, r.System = st.ExitCode(), st.UserTime(), st.SystemTime()
	r.MaxRSS = peak()
	if ws, ok := st.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		r.Signal = ws.Signal()
	}
	if strings.Contains(r.Stderr, "panic:") || strings.Contains(r.Stderr, "goroutine 1 [") || strings.Contains(r.Stderr, "fatal error:") {
		r.fault("it panicked")
	}
	if r.Hung {
		r.fault("no end after %v", limit)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	return ctx.Err()
}

// watchMemory follows the peak of a process' memory until the returned function
// is called. What wait(2) reports will not do: it begins with the memory of the
// process that forked.
func watchMemory(pid int) func() int64 {
	var peak int64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			if p, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err == nil {
				if _, after, ok := strings.Cut(string(p), "VmHWM:"); ok {
					var kib int64
					if _, err := fmt.Sscan(after, &kib); err == nil {
						peak = max(peak, kib<<10)
					}
				}
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(stop)
		<-done
		return peak
	}
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}
