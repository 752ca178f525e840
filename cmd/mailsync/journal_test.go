package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// Standard error is the journal's where $JOURNAL_STREAM names this very file.
func TestUnderJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	here := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for stream, want := range map[string]bool{here: true, "": false, fmt.Sprintf("%d:%d", st.Dev, st.Ino+1): false, here + "1": false, "nonsense": false} {
		if got := underJournal(f, func(string) string { return stream }); got != want {
			t.Errorf("JOURNAL_STREAM=%q: %t", stream, got)
		}
	}
}

// In a journal every line of standard error has a priority, SIGUSR1 is answered
// by one, and the last one says how the run ended. No name of a mailbox or file
// and nothing of a message is in them.
func TestJournal(t *testing.T) {
	cmd := program(t, slowStore(t), "verify", "./store", "--json", "--limit-rate", "1k/s", "--progress", "always", "--journal", "always")
	results, told := start(t, cmd)
	if !results.Scan() || !strings.Contains(results.Text(), `"stage":1`) {
		t.Fatalf("first line %q", results.Text())
	}
	if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if want := regexp.MustCompile(`^<6>level=INFO msg=progress stage=\S.* done=\d+ (total=64 )?unit=message bytes=\d+ seconds=\d+`); !told.Scan() || !want.MatchString(told.Text()) {
		t.Errorf("SIGUSR1 is answered with %q", told.Text())
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for results.Scan() {
		// read to the end, so that nobody waits
	}
	var lines []string
	for told.Scan() {
		lines = append(lines, told.Text())
	}
	if err := cmd.Wait(); err == nil {
		t.Error("ended by a signal, and a success")
	}
	for _, l := range lines {
		if !regexp.MustCompile(`^<[3467]>level=(ERROR|WARN|INFO|DEBUG) msg=`).MatchString(l) || strings.Contains(l, "alice") || strings.ContainsAny(l, "\x1b\r") {
			t.Errorf("%q", l)
		}
	}
	all := strings.Join(lines, "\n")
	if !strings.Contains(all, `<3>level=ERROR msg="ended by SIGTERM" command=verify hint="run the same command again: `) {
		t.Errorf("no error and hint in\n%s", all)
	}
	if n := len(lines); n == 0 || !strings.HasPrefix(lines[n-1], "<3>level=ERROR msg=ended command=verify exit=143 complete=false seconds=") {
		t.Errorf("the last of %q", lines)
	}
}
