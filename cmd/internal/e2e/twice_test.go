//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"mailsync/scan/maildir"
)

// A message is lost, the server notices, it is put back under a new UID, and is
// lost again after the server's log has turned over: of that loss the log has
// only the new UID, and the UID list has no line of it any more. It is not taken
// for a message that its owner deleted.
func TestLostTwice(t *testing.T) {
	d, _ := ready(t, 60)
	d.configure(shortLogs)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	clean(t, b, "scan", "backup")
	cur := filepath.Join(d.maildir(anna), "cur")
	inbox := messageFiles(t, cur)
	victim := inbox[len(inbox)/2]
	base := maildir.ParseName(filepath.Base(victim)).ServerBase
	uid := d.uidOf(t, base)

	restore := func(codes ...int) {
		run(t, b, codes, "restore", "primary", "--from", "backup", "--undecided", "restore", "--mailbox", anna, "--yes")
	}
	lose(t, []string{victim})
	d.look(anna)
	if gone := d.inLog(t, uid); gone != maildir.Noticed {
		t.Fatalf("the server's log says %d of a loss", gone)
	}
	restore(0)
	d.look(anna)
	if now := d.uidOf(t, base); now <= uid {
		t.Fatalf("put back under UID %d, was %d", now, uid)
	}
	d.turnLog(t, uid)

	// When another one comes back the server writes its UID list anew, without
	// what is gone by then.
	lose(t, d.filesNamed(t, maildir.ParseName(filepath.Base(inbox[1])).ServerBase))
	d.look(anna)
	restore(0)
	lose(t, d.filesNamed(t, base))
	d.look(anna)
	if left := d.uidOf(t, base); left != 0 {
		t.Fatalf("the UID list still has it, as %d: this tests nothing", left)
	}
	r := run(t, b, []int{1}, "restore", "primary", "--from", "backup", "--mailbox", anna, "--dry-run")
	for _, a := range r.Find("action") {
		if strings.Contains(a.File, base) && (a.State != "skipped" || !strings.Contains(a.Detail, "without evidence of loss or deletion")) {
			t.Errorf("a message that may be lost or deleted: %s", a.Raw)
		}
		if strings.Contains(a.Detail, "deleted:") {
			t.Errorf("nobody has deleted anything: %s", a.Raw)
		}
	}
	restore(0)
	if now := d.filesNamed(t, base); len(now) != 1 {
		t.Errorf("it is there %d times", len(now))
	}
}

// A user deletes a message, and the server's log of that turns over. Its UID
// list still has the line; its index shows that it knows. Nothing tells then who
// is to blame: the message is not put back unasked.
func TestDeletedAndForgotten(t *testing.T) {
	d, _ := ready(t, 60)
	d.configure(shortLogs)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	clean(t, b, "scan", "backup")
	inbox := messageFiles(t, filepath.Join(d.maildir(anna), "cur"))
	c := d.mustLogin(anna)
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := remove(c, imap.SeqSetNum(5)); err != nil {
		t.Fatal(err)
	}
	base := ""
	for _, f := range inbox {
		name := maildir.ParseName(filepath.Base(f)).ServerBase
		if len(d.filesNamed(t, name)) == 0 {
			base = name
		}
	}
	uid := d.uidOf(t, base)
	if uid == 0 || d.inLog(t, uid) != maildir.Requested {
		t.Fatalf("UID %d of %q is not deleted: this tests nothing", uid, base)
	}
	d.turnLog(t, uid)
	if d.uidOf(t, base) == 0 {
		t.Fatal("the UID list has it no more: this tests nothing")
	}
	r := run(t, b, []int{1}, "restore", "primary", "--from", "backup", "--mailbox", anna, "--dry-run")
	for _, a := range r.Find("action") {
		if a.State != "skipped" || !strings.Contains(a.File, base) {
			t.Errorf("one message is gone, and its owner deleted it: %s", a.Raw)
		}
	}
}

// shortLogs makes the server's logs turn over within some hundred changes.
const shortLogs = "mail_index_log_rotate_min_size = 4k\nmail_index_log_rotate_max_size = 8k\nmail_index_log_rotate_min_age = 1s\n"

// turnLog changes flags until the server's log of anna's INBOX says nothing of a
// UID any more.
func (d *dovecot) turnLog(t *testing.T, uid uint32) {
	t.Helper()
	c := d.mustLogin(anna)
	defer c.Close()
	sel, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	op := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{"$label2"}}
	d.wait("the log to turn over", func() bool {
		if op.Op == imap.StoreFlagsAdd {
			op.Op = imap.StoreFlagsDel
		} else {
			op.Op = imap.StoreFlagsAdd
		}
		for i := range sel.NumMessages {
			if err := c.Store(imap.SeqSetNum(i+1), op, nil).Close(); err != nil {
				t.Fatal(err)
			}
		}
		return d.inLog(t, uid) == maildir.NotInLog
	})
}

// filesNamed are the files of anna's INBOX with that base name.
func (d *dovecot) filesNamed(t *testing.T, base string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(d.maildir(anna), "cur", base+":*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// uidOf is the UID under which the server lists a message of anna's INBOX, 0
// where it does not.
func (d *dovecot) uidOf(t *testing.T, base string) uint32 {
	t.Helper()
	f, err := os.Open(filepath.Join(d.maildir(anna), "dovecot-uidlist"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := maildir.ReadUIDList(f)
	if err != nil {
		t.Fatal(err)
	}
	x, err := maildir.IndexUIDs(list)
	if err != nil {
		t.Fatal(err)
	}
	return x.UID(base)
}

// inLog is what the server's log of anna's INBOX knows of a UID.
func (d *dovecot) inLog(t *testing.T, uid uint32) maildir.Gone {
	t.Helper()
	var log maildir.IndexLog
	for _, name := range []string{"dovecot.index.log.2", "dovecot.index.log"} {
		f, err := os.Open(filepath.Join(d.maildir(anna), name))
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = log.Read(f)
			_ = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return log.UID(uid)
}
