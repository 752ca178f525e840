package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slowStore is a store whose messages take minutes to read at 1 kB/s.
func slowStore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cur := filepath.Join(dir, "store", "alice", "cur")
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "store", "alice", sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 64 {
		name := fmt.Sprintf("%d.M%dP1.host:2,S", 1700000000+i, i)
		text := madeUp(fmt.Sprint("message", i), time.Unix(int64(1700000000+i), 0))
		if err := os.WriteFile(filepath.Join(cur, name), bytes.Repeat(text, 8), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// program runs this test binary as mailsync.
func program(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = append([]string{"mailsync"}, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "MAILSYNC_CONFIG="+os.DevNull, "MAILSYNC_STATE="+filepath.Join(dir, "state"))
	return cmd
}

// start starts a command, whose lines of standard output and standard error are
// read as they come.
func start(t *testing.T, cmd *exec.Cmd) (lines, told *bufio.Scanner) {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return bufio.NewScanner(stdout), bufio.NewScanner(stderr)
}

// A signal ends a run in order: the summary is there, nothing is a success, the
// way to go on is told. SIGUSR1 tells where the run is and ends nothing.
func TestSignals(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			if signal.Ignored(sig) {
				t.Skip("skipped: this process was started to ignore the signal (nohup), and so is its child")
			}
			cmd := program(t, slowStore(t), "verify", "./store", "--json", "--limit-rate", "1k/s")
			lines, told := start(t, cmd)
			// The first stage reads no mail: its line says that the run is under way.
			if !lines.Scan() || !strings.Contains(lines.Text(), `"stage":1`) {
				t.Fatalf("first line %q", lines.Text())
			}
			if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			if !told.Scan() || !strings.Contains(told.Text(), "message") {
				t.Errorf("SIGUSR1 is answered with %q", told.Text())
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			last := ""
			for lines.Scan() {
				last = lines.Text()
			}
			var text []string
			for told.Scan() {
				text = append(text, told.Text())
			}
			err := cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != want {
				t.Errorf("ended with %v, want exit code %d", err, want)
			}
			var s struct {
				Type, Error, Hint string
				Complete          bool
				Exit              int
			}
			if err := json.Unmarshal([]byte(last), &s); err != nil {
				t.Fatal(err)
			}
			if s.Type != "summary" || s.Complete || s.Exit != want || s.Error == "" || !strings.Contains(s.Hint, "mailsync verify ./store") {
				t.Errorf("summary %s", last)
			}
			if !strings.Contains(strings.Join(text, "\n"), "hint: run the same command again: mailsync verify ./store --json --limit-rate 1k/s") {
				t.Errorf("stderr %q does not say how to go on", text)
			}
		})
	}
}

// unread runs a command whose standard output nobody reads.
func unread(t *testing.T, dir string, args ...string) (code int, stderr string) {
	t.Helper()
	cmd := program(t, dir, args...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &told
	err = cmd.Run()
	_ = w.Close()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("%q ended with %v and %q", args, err, &told)
	}
	return exit.ExitCode(), told.String()
}

// A reader that goes away ends the run as SIGPIPE does, and the run is no
// success. Where a run stays undone by that, it says so.
func TestReaderGoesAway(t *testing.T) {
	const want = 128 + int(syscall.SIGPIPE)
	code, stderr := unread(t, slowStore(t), "verify", "./store", "--json", "--limit-rate", "1k/s", "--progress", "never")
	if code != want {
		t.Errorf("verify ended with %d, want %d", code, want)
	}
	if !strings.Contains(stderr, "nobody reads standard output any more") || !strings.Contains(stderr, "run the same command again: mailsync verify ./store") {
		t.Errorf("stderr %q", stderr)
	}
}

// A command whose output is all that it does ends without a word when its
// reader has seen enough, whatever it is.
func TestReaderHasSeenEnough(t *testing.T) {
	dir := slowStore(t)
	if err := os.CopyFS(filepath.Join(dir, "replica"), os.DirFS(filepath.Join(dir, "store"))); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "replica", "alice", "cur", "*M7P1*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"scan", "./store"}, {"verify", "./replica"}} {
		if out, err := program(t, dir, args...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	for _, line := range []string{
		"diff ./store ./replica", "diff ./store ./replica --json",
		"manifest ls", "manifest ls --json", "manifest ls ./store", "manifest show ./store", "manifest check ./store --json",
		"manifest export ./store", "manifest export ./store --sums", "runs", "runs --json", "report", "report last",
		"config show", "version", "version --json", "monitor", "doctor", "man scan",
		"restore ./replica --from ./store --dry-run", "restore ./replica --from ./store --dry-run --json",
	} {
		code, stderr := unread(t, dir, strings.Fields(line)...)
		if want := 128 + int(syscall.SIGPIPE); code != want || stderr != "" {
			t.Errorf("%s: ended with %d, want %d, and %q", line, code, want, stderr)
		}
	}
}

// A run that Ctrl-C ended was interrupted, not failed, and runs says that the
// same command goes on with it.
func TestInterruptedRun(t *testing.T) {
	dir := slowStore(t)
	target := filepath.Join(dir, "target", "alice")
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(target, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	// A server that is alive holds the folder: the run waits for it.
	for name, text := range map[string]string{
		"dovecot-uidlist":      "3 V1700000000 N1 G0895920c9cae026bc154000083ecc375\n",
		"dovecot-uidlist.lock": fmt.Sprintf("%d:%s", os.Getpid(), host),
	} {
		if err := os.WriteFile(filepath.Join(target, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := program(t, dir, "restore", "./target", "--from", "./store", "--undecided", "restore", "--yes", "--json")
	lines, told := start(t, cmd)
	if !lines.Scan() { // the forecast: signals are taken
		t.Fatal("no line")
	}
	for at := ""; !strings.Contains(at, "applying"); at = told.Text() {
		if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		if !told.Scan() {
			t.Fatal("it ended before it applied anything")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	for told.Scan() {
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v, want exit code 130", err)
	}
	out, err := program(t, dir, "runs", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), `"how":"interrupted"`) || !strings.Contains(string(out), `"resumable":true`) {
		t.Errorf("runs: %s", out)
	}
}
