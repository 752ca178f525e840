package userdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"mailsync/restore/replay"
)

// Doveadm is a replay.Userdb that asks Dovecot for its users, whatever userdb
// it has, by "doveadm user". It knows no aliases: those are the MTA's.
type Doveadm struct {
	// Command starts doveadm: {"doveadm"}, or with -c and a configuration.
	Command []string
	// Maildir is where the Maildir lies below the home directory that Dovecot
	// names, "" = not used: the mailbox is found by its address.
	Maildir string
}

var _ replay.Userdb = (*Doveadm)(nil)

// Aliases implements replay.Userdb.
func (d *Doveadm) Aliases(context.Context, []string) (map[string][]string, error) { return nil, nil }

// argumentsAtOnce is how many users one process is asked for.
const argumentsAtOnce = 400

// noUser is doveadm's exit code where one of the users is not there.
const noUser = 67

// Mailboxes implements replay.Userdb.
func (d *Doveadm) Mailboxes(ctx context.Context, addrs []string) (map[string]string, error) {
	// A "*" or "?" would make a mask of it, a line end two lines.
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a string) bool {
		return strings.ContainsAny(a, "*?") || strings.ContainsFunc(a, func(r rune) bool { return r < ' ' || r == 0x7f })
	})
	out := map[string]string{}
	for part := range slices.Chunk(addrs, argumentsAtOnce) {
		if err := d.part(ctx, part, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d *Doveadm) part(ctx context.Context, addrs []string, out map[string]string) error {
	argv := append(slices.Clone(d.Command), "user", "-e", "%{user}\t%{home}", "--")
	argv = append(argv, addrs...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second // what it has started may hold its output open
	stdout, stderr := capped{limit: maxAnswer}, capped{limit: 1000}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != noUser) {
		return fmt.Errorf("%w: %s user: %w: %s", replay.ErrResolver, argv[0], err, bytes.TrimSpace(stderr.b))
	}
	if stdout.over {
		return fmt.Errorf("%w: %s user: more than %d bytes for %d users", replay.ErrResolver, argv[0], maxAnswer, len(addrs))
	}
	d.answer(string(stdout.b), out)
	return nil
}

// answer reads what doveadm printed: a user and his home directory a line.
func (d *Doveadm) answer(text string, out map[string]string) {
	for line := range strings.Lines(text) {
		user, home, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		if !ok || user == "" {
			continue // of a user who is not there, an empty line
		}
		path := ""
		if strings.HasPrefix(home, "/") && d.Maildir != "" {
			path = strings.TrimSuffix(home, "/") + "/" + d.Maildir
		}
		out[user] = path
	}
}

// maxAnswer bounds what one process may print, in bytes: for each user a name
// and a path of the longest kind.
const maxAnswer = argumentsAtOnce * 8 << 10

// capped keeps the first bytes of a stream and notes that there were more.
type capped struct {
	b     []byte
	limit int
	over  bool
}

// Write implements io.Writer; it takes all.
func (c *capped) Write(p []byte) (int, error) {
	room := min(c.limit-len(c.b), len(p))
	c.b = append(c.b, p[:room]...)
	c.over = c.over || room < len(p)
	return len(p), nil
}
