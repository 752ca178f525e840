package userdb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mailsync/restore/replay"
)

// Keys are never part of a query's text.
func TestFill(t *testing.T) {
	evil := []string{"a'; DROP TABLE alias; --@x", "b@x"}
	for _, c := range []struct {
		driver     Driver
		text, want string
		args       []any
	}{
		{PostgreSQL, "SELECT a, b FROM t WHERE a IN ({keys}) OR c IN ({keys})", "SELECT a, b FROM t WHERE a IN ($1, $2) OR c IN ($3, $4)", []any{evil[0], evil[1], evil[0], evil[1]}},
		{MySQL, "SELECT a, b FROM t WHERE a IN ({keys}) OR c IN ({keys})", "SELECT a, b FROM t WHERE a IN (?, ?) OR c IN (?, ?)", []any{evil[0], evil[1], evil[0], evil[1]}},
	} {
		got, args := c.driver.fill(c.text, evil)
		if got != c.want || !cmp.Equal(args, c.args) {
			t.Errorf("%s: %q %v", c.driver, got, args)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"driver":  {Driver: "oracle", DSN: "x"},
		"dsn":     {Driver: PostgreSQL, DSN: "postgres://user:geheim@host:port/x"},
		"mysql":   {Driver: MySQL, DSN: "user:geheim@/"},
		"no keys": {Driver: PostgreSQL, DSN: "host=/nowhere", Queries: Queries{Aliases: "SELECT 1, 2"}},
	} {
		_, err := Open(t.Context(), o)
		if err == nil || name != "mysql" && !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: the password is told: %v", name, err)
		}
	}
	if _, err := Open(t.Context(), Options{Driver: PostgreSQL, DSN: "host=/nowhere user=x password=geheim dbname=x"}); !errors.Is(err, replay.ErrResolver) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("unreachable: %v", err)
	}
}

// A stand-in for doveadm, with its output: an empty line for who is not there.
func TestDoveadm(t *testing.T) {
	script := filepath.Join(t.TempDir(), "doveadm")
	if err := os.WriteFile(script, []byte(`#!/bin/sh
[ "$1 $2 $3" = "-c x user" ] && [ "$6" = "--" ] || { echo "called as $*" >&2; exit 75; }
shift 6
code=0
for u; do
  case $u in
    ann@*|-x@*) printf '%s\t/home/%s\n' "$u" "$u" ;;
    *'*'*) printf 'everybody@example.org\t/\n' ;;
    *) echo; echo; echo "no $u" >&2; code=67 ;;
  esac
done
exit $code
`), 0o755); err != nil {
		t.Fatal(err)
	}
	d := &Doveadm{Command: []string{script, "-c", "x"}, Maildir: "Maildir"}
	got, err := d.Mailboxes(context.Background(), []string{"ann@example.org", "bela@example.org", "*@example.org", "-x@example.org", "a\nann@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"ann@example.org": "/home/ann@example.org/Maildir", "-x@example.org": "/home/-x@example.org/Maildir"}
	if !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	d.Command = []string{script}
	if _, err := d.Mailboxes(context.Background(), []string{"ann@example.org"}); !errors.Is(err, replay.ErrResolver) {
		t.Errorf("a failure is %v", err)
	}
}

// A doveadm that does not end costs what it may print, not all memory.
func TestDoveadmWithoutEnd(t *testing.T) {
	script := filepath.Join(t.TempDir(), "doveadm")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nhead -c 8000000 /dev/zero\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	d := &Doveadm{Command: []string{script}}
	if _, err := d.Mailboxes(t.Context(), []string{"ann@example.org"}); !errors.Is(err, replay.ErrResolver) || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%v", err)
	}
}

// What doveadm has started may hold its output open; a cancelled run does not
// wait for that.
func TestDoveadmCancelled(t *testing.T) {
	dir := t.TempDir()
	fifo, script := filepath.Join(dir, "fifo"), filepath.Join(dir, "doveadm")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\ncat "+fifo+" & wait\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan *os.File, 1)
	go func() {
		defer cancel()
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // opens when cat does
		if err != nil {
			t.Error(err)
		}
		held <- f
	}()
	_, err := (&Doveadm{Command: []string{script}}).Mailboxes(ctx, []string{"ann@example.org"})
	_ = (<-held).Close() // only now cat ends
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Whatever doveadm prints, each user that comes out stood at the start of a line,
// and each path is one below a home directory that is absolute.
func FuzzDoveadm(f *testing.F) {
	for _, s := range []string{
		"ann@example.org\t/home/ann\n\n\nbela@example.org\t/srv/b/\n",
		"ann@example.org\t\r\n", "ann@example.org", "\t/home\n", "a\t~/x\nb\trelative\nb\t/later\n", "a\t/x\ty\x00\n\r\n",
	} {
		f.Add(s, "Maildir")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, text, maildir string) {
		out := map[string]string{}
		(&Doveadm{Maildir: maildir}).answer(text, out)
		for user, path := range out {
			if user == "" || strings.Contains(user, "\t") || !strings.Contains("\n"+text, "\n"+user+"\t") {
				t.Errorf("user %q", user)
			}
			home, below := strings.CutSuffix(path, "/"+maildir)
			if path != "" && (maildir == "" || !below || path[0] != '/' || !strings.Contains(text, home)) {
				t.Errorf("path %q", path)
			}
		}
	})
}
