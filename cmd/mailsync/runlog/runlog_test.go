package runlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func read(t *testing.T, state, id string) (string, error) {
	t.Helper()
	r, err := Open(state, id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

func line(kind string, n int) []byte {
	return fmt.Appendf(nil, `{"v":1,"type":"%s","n":%d}`+"\n", kind, n)
}

func TestRoundTrip(t *testing.T) {
	state := t.TempDir()
	w := New(state, time.Now(), false)
	for i := range 5000 {
		w.Line(line("finding", i))
	}
	if err := w.Close("20261122-013000.000-0a0b0c0d"); err != nil {
		t.Fatal(err)
	}
	text, err := read(t, state, "last")
	if err != nil || strings.Count(text, "\n") != 5000 || !strings.HasSuffix(text, "\"n\":4999}\n") {
		t.Errorf("%d lines, %v", strings.Count(text, "\n"), err)
	}
	if ids, err := List(state); err != nil || len(ids) != 1 || ids[0] != "20261122-013000.000-0a0b0c0d" {
		t.Errorf("list %q, %v", ids, err)
	}
	if st, err := os.Stat(filepath.Join(state, dirName, w.ID()+suffix)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", st, err)
	}
}

// A run that is killed leaves what was written until then.
func TestKilled(t *testing.T) {
	state := t.TempDir()
	w := New(state, time.Now(), false)
	for i := range 20_000 {
		w.Line(line("finding", i))
	}
	text, err := read(t, state, w.ID())
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a log without an end gives %v", err)
	}
	if n := strings.Count(text, "\n"); n < 15_000 || n >= 20_000 {
		t.Errorf("%d of 20000 lines", n)
	}
}

func TestTooManyLines(t *testing.T) {
	state := t.TempDir()
	w := New(state, time.Now(), false)
	for i := range maxLines + 7 {
		w.Line(line("action", i))
	}
	w.Line(line("summary", 0))
	if err := w.Close(""); err != nil {
		t.Fatal(err)
	}
	text, err := read(t, state, "last")
	if err != nil || !strings.HasSuffix(text, `{"v":1,"type":"summary","n":0}`+"\n"+`{"v":1,"type":"left_out","lines":7}`+"\n") {
		t.Errorf("%v, ends with %q", err, text[max(0, len(text)-100):])
	}
}

// Without a state directory there is no log, and none is made.
func TestNoState(t *testing.T) {
	state := filepath.Join(t.TempDir(), "none")
	w := New(state, time.Now(), false)
	w.Line(line("finding", 1))
	if err := w.Close(""); err == nil {
		t.Error("closed without an error")
	}
	if _, err := os.Stat(state); err == nil {
		t.Error("the state directory was made")
	}
	if _, err := Open(state, "last"); !errors.Is(err, ErrNoLog) {
		t.Errorf("open: %v", err)
	}
}

func TestPrune(t *testing.T) {
	state := t.TempDir()
	now := time.Now()
	for _, age := range []time.Duration{Keep + time.Hour, Keep - time.Hour} {
		w := New(state, now.Add(-age), false)
		w.Line(line("finding", 1))
		if err := w.Close(""); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(state, dirName, "somebody's"+suffix)
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := New(state, now, false)
	w.Line(line("finding", 1))
	if err := w.Close(""); err != nil {
		t.Fatal(err)
	}
	if ids, err := List(state); err != nil || len(ids) != 2 {
		t.Errorf("%q, %v", ids, err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error("a file that is no log was removed")
	}
}

func TestNames(t *testing.T) {
	state := t.TempDir()
	for _, id := range []string{"", "..", "../../etc/passwd", "20261122-013000.000-../x", "last", "20261122-013000.000-ffffffff"} {
		if _, err := Open(state, id); !errors.Is(err, ErrNoLog) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// A held log is no log until it is released; then it has everything.
func TestHeld(t *testing.T) {
	state := t.TempDir()
	w := New(state, time.Now(), true)
	for i := range 5000 {
		w.Line(line("hour", i))
	}
	if ids, err := List(state); err != nil || len(ids) != 0 {
		t.Fatalf("%q, %v", ids, err)
	}
	w.Release()
	w.Line(line("summary", 0))
	if err := w.Close(""); err != nil {
		t.Fatal(err)
	}
	if text, err := read(t, state, "last"); err != nil || strings.Count(text, "\n") != 5001 {
		t.Errorf("%d lines, %v", strings.Count(text, "\n"), err)
	}
	w = New(state, time.Now(), true)
	w.Line(line("hour", 1))
	if err := w.Close(""); err != nil {
		t.Fatal(err)
	}
	if ids, err := List(state); err != nil || len(ids) != 1 {
		t.Errorf("%q, %v", ids, err)
	}
}
