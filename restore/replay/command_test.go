package replay

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestResolveCommand(t *testing.T) {
	store := names("ann@example.com", "bob@example.com")
	r, err := NewResolver(Maps{Mailboxes: store, Command: []string{"sh", "-c", `while read a; do case $a in t@*) printf '%s\tann@example.com\n%s\tbob@example.com\n' "$a" "$a";; v@*) printf '%s\tvoid@example.com\n' "$a";; esac; done`}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Resolve(context.Background(), []string{"t@example.com", "v@example.com", "n@example.com", "ann@example.com", "x\ny@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"ann@example.com bob@example.com", "", "", "ann@example.com", ""} {
		if strings.Join(got[i].Mailboxes, " ") != want {
			t.Errorf("%d: %+v, want %q", i, got[i], want)
		}
	}
	r, err = NewResolver(Maps{Command: []string{"sh", "-c", "echo broken >&2; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resolve(context.Background(), []string{"a@b"}); !errors.Is(err, ErrResolver) || !strings.Contains(err.Error(), "broken") {
		t.Errorf("%v", err)
	}
}

// A command that has gone mad costs no memory, and ends.
func TestResolveCommandTalksTooMuch(t *testing.T) {
	for name, script := range map[string]string{
		"without end":             `yes unasked`,
		"one line without end":    `tr '\0' x </dev/zero`,
		"one address, many boxes": `yes "a@b	ann@example.com" | head -n 2000`,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := NewResolver(Maps{Command: []string{"sh", "-c", script}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Resolve(context.Background(), []string{"a@b"}); !errors.Is(err, ErrResolver) || !errors.Is(err, errTalksTooMuch) {
				t.Errorf("%v", err)
			}
		})
	}
}

// What a command leaves behind may hold its output open; nobody waits for that.
func TestResolveCommandCancelled(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := NewResolver(Maps{Command: []string{"sh", "-c", `cat "$0" & wait`, fifo}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	held := make(chan *os.File, 1)
	go func() {
		defer cancel()
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // opens when cat does
		if err != nil {
			t.Error(err)
		}
		held <- f
	}()
	_, err = r.Resolve(ctx, []string{"a@b"})
	_ = (<-held).Close() // only now cat ends
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func FuzzCommandAnswers(f *testing.F) {
	f.Add("a@b\tann\nc@d\t/srv/mail/bob\r\nx\ty\na@b\tbob", "a@b\nc@d")
	f.Add("a@b\t\n\t\na@b", "a@b")
	f.Add(strings.Repeat("a@b\tx\n", expansionLimit+1), "a@b")
	f.Fuzz(func(t *testing.T, text, asked string) {
		addrs := strings.Split(asked, "\n")
		slices.Sort(addrs)
		got := map[string][]string{}
		err := readAnswers(text, addrs, got)
		// the same, slowly: each address by itself
		over := false
		for _, addr := range slices.Compact(addrs) {
			var want []string
			for _, line := range strings.Split(text, "\n") {
				if a, box, _ := strings.Cut(strings.TrimRight(line, "\r"), "\t"); a == addr && box != "" {
					want = append(want, box)
				}
			}
			if over = over || len(want) > expansionLimit; err == nil && !slices.Equal(got[addr], want) {
				t.Errorf("%q leads to %q, want %q", addr, got[addr], want)
			}
			if len(got[addr]) > expansionLimit {
				t.Errorf("%d mailboxes of %q", len(got[addr]), addr)
			}
			delete(got, addr)
		}
		if (err != nil) != over || len(got) > 0 && !over {
			t.Errorf("%v, too much: %v, answers that nobody asked for: %q", err, over, got)
		}
	})
}
