//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
)

// product returns the built program with a state directory of its own.
func product(t *testing.T, d *dovecot) drive.Bin {
	t.Helper()
	path, err := drive.Built(os.Getenv("MAILSYNC_BIN"))
	if err != nil {
		t.Fatal(err)
	}
	b := drive.Bin{Path: path, State: d.file("msstate"), Config: d.file("mailsync.toml"), Limit: 3 * time.Minute}
	writeConfig(t, d, "")
	return b
}

// writeConfig writes the operator's configuration: the server's store, a
// backup, and what else a test needs.
func writeConfig(t *testing.T, d *dovecot, more string) {
	t.Helper()
	text := fmt.Sprintf("[stores.primary]\npath = %q\nlayout = \"%%d/%%n/Maildir\"\nrole = \"primary\"\n\n[stores.backup]\npath = %q\nlayout = \"%%d/%%n/Maildir\"\nrole = \"backup\"\n\n%s",
		d.store(), d.backup(), more)
	if err := os.WriteFile(d.file("mailsync.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (d *dovecot) backup() string { return d.file("backup") }

// run runs the program and wants one of the exit codes.
func run(t *testing.T, b drive.Bin, codes []int, args ...string) *drive.Result {
	t.Helper()
	r, err := b.JSON(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Faults {
		t.Errorf("mailsync %s: %s", strings.Join(args, " "), f)
	}
	for _, c := range codes {
		if r.Code == c {
			return r
		}
	}
	t.Errorf("mailsync %s: want exit %v: %s\n%s", strings.Join(args, " "), codes, r, sampleLines(r))
	return r
}

func sampleLines(r *drive.Result) string {
	var b strings.Builder
	for i, l := range r.Lines {
		if i == 8 {
			fmt.Fprintf(&b, "… %d lines\n", len(r.Lines))
			break
		}
		b.WriteString(l.Raw + "\n")
	}
	return b.String()
}

// clean wants exit 0 and no findings.
func clean(t *testing.T, b drive.Bin, args ...string) *drive.Result {
	t.Helper()
	r := run(t, b, []int{0}, args...)
	for i, l := range r.Find("finding") {
		if i == 5 {
			t.Errorf("mailsync %s: … %d findings", strings.Join(args, " "), len(r.Find("finding")))
			break
		}
		t.Errorf("mailsync %s: a false finding: %s", strings.Join(args, " "), l.Raw)
	}
	return r
}

// fill delivers mail as the world does: by LMTP into the INBOX, by APPEND with
// flags, keywords and dates into folders. It returns how many messages there are.
func (d *dovecot) fill(user string, n int) int {
	d.t.Helper()
	l, err := d.lmtp()
	if err != nil {
		d.t.Fatal(err)
	}
	defer l.close()
	e := sample.New(sample.Options{Seed: 77, Mailboxes: 1, PerMailbox: n, Size: 1500, Odd: false})
	c := d.mustLogin(user)
	defer c.Close()
	for _, f := range []string{"Sent", "Archive", "Archive/2026", "Entwürfe & Pläne"} {
		if err := c.Create(f, nil).Wait(); err != nil {
			d.t.Fatal(err)
		}
		if err := c.Subscribe(f).Wait(); err != nil {
			d.t.Fatal(err)
		}
	}
	total := 0
	for m := range e.Messages() {
		switch m.Folder {
		case "INBOX", "Junk":
			if err := l.deliver("sender@example.net", m.Archived(), user); err != nil {
				d.t.Fatal(err)
			}
		default:
			flags := []imap.Flag{}
			if strings.Contains(m.Flags, "S") {
				flags = append(flags, imap.FlagSeen)
			}
			if strings.Contains(m.Flags, "F") {
				flags = append(flags, imap.FlagFlagged)
			}
			for _, k := range m.Keywords {
				flags = append(flags, imap.Flag(k))
			}
			if err := appendMail(c, m.Folder, m.Archived(), m.Date, flags...); err != nil {
				d.t.Fatal(err)
			}
		}
		total++
	}
	// A client that looks moves new mail to cur and gives it UIDs; some it reads.
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		d.t.Fatal(err)
	}
	var some imap.SeqSet
	some.AddRange(1, uint32(max(1, n/8)))
	if err := c.Store(some, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen, "$label1"}}, nil).Close(); err != nil {
		d.t.Fatal(err)
	}
	return total
}

// settle waits until the store's stamps are old enough to be trusted.
func settle() { time.Sleep(1100 * time.Millisecond) }
