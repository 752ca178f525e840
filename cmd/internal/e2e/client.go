//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"
)

// lmtp is a connection that delivers mail.
type lmtp struct{ c *smtp.Client }

func (d *dovecot) lmtp() (*lmtp, error) {
	conn, err := net.Dial("unix", d.lmtpSocket())
	if err != nil {
		return nil, err
	}
	c := smtp.NewClientLMTP(conn)
	if err := c.Hello("gateway.example.org"); err != nil {
		c.Close()
		return nil, err
	}
	return &lmtp{c}, nil
}

// deliver hands a message over; it has been acknowledged for all recipients
// when it returns nil.
func (l *lmtp) deliver(from string, message []byte, to ...string) error {
	if err := l.c.Mail(from, nil); err != nil {
		return err
	}
	for _, r := range to {
		if err := l.c.Rcpt(r, nil); err != nil {
			return err
		}
	}
	w, err := l.c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	_, err = w.CloseWithLMTPResponse()
	return err
}

func (l *lmtp) close() { _ = l.c.Quit() }

// mail is a message for tests.
func mail(id string, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Message-ID: <%s@test.example.net>\nDate: Tue, 24 Nov 2026 10:00:00 +0000\nFrom: sender@example.net\nTo: someone@example.org\nSubject: %s\n\n", id, id)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "line %d of %s\n", i, id)
	}
	return b.Bytes()
}

// login opens an IMAP connection.
func (d *dovecot) login(user string) (*imapclient.Client, error) {
	c, err := imapclient.DialInsecure(d.address(), nil)
	if err != nil {
		return nil, err
	}
	if err := c.Login(user, password).Wait(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (d *dovecot) mustLogin(user string) *imapclient.Client {
	d.t.Helper()
	c, err := d.login(user)
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

func appendMail(c *imapclient.Client, folder string, p []byte, at time.Time, flags ...imap.Flag) error {
	w := c.Append(folder, int64(len(p)), &imap.AppendOptions{Flags: flags, Time: at})
	if _, err := w.Write(p); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err := w.Wait()
	return err
}

// seen is a message as a client sees it.
type seen struct {
	UID   imap.UID
	ID    string // Message-ID
	Flags string // system flags and keywords, sorted; without \Recent
	Date  time.Time
	Sum   [32]byte
}

// view is a folder as a client sees it.
type view struct {
	Folder      string
	UIDValidity uint32
	UIDNext     imap.UID
	Messages    []seen
}

// look reads everything that a user's client would.
func (d *dovecot) look(user string) map[string]*view {
	d.t.Helper()
	v, err := d.tryLook(user)
	if err != nil {
		d.t.Fatalf("a client reading %s's mail: %v", user, err)
	}
	return v
}

func (d *dovecot) tryLook(user string) (map[string]*view, error) {
	c, err := d.login(user)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	list, err := c.List("", "*", nil).Collect()
	if err != nil {
		return nil, err
	}
	out := map[string]*view{}
	for _, l := range list {
		if slices.Contains(l.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(l.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		v, err := readFolder(c, l.Mailbox)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Mailbox, err)
		}
		out[l.Mailbox] = v
	}
	return out, nil
}

func readFolder(c *imapclient.Client, folder string) (*view, error) {
	sel, err := c.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return nil, err
	}
	v := &view{Folder: folder, UIDValidity: sel.UIDValidity, UIDNext: sel.UIDNext}
	if sel.NumMessages == 0 {
		return v, nil
	}
	var all imap.SeqSet
	all.AddRange(1, 0)
	whole := &imap.FetchItemBodySection{Peek: true}
	msgs, err := c.Fetch(all, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		return nil, err
	}
	for _, m := range msgs {
		p := m.FindBodySection(whole)
		s := seen{UID: m.UID, Date: m.InternalDate.UTC(), Sum: sha256.Sum256(p), ID: messageID(p)}
		var flags []string
		for _, f := range m.Flags {
			if f != `\Recent` {
				flags = append(flags, string(f))
			}
		}
		slices.Sort(flags)
		s.Flags = strings.Join(flags, " ")
		v.Messages = append(v.Messages, s)
	}
	slices.SortFunc(v.Messages, func(a, b seen) int { return int(a.UID) - int(b.UID) })
	return v, nil
}

func messageID(p []byte) string {
	for line := range bytes.Lines(p) {
		if len(line) > 11 && strings.EqualFold(string(line[:11]), "Message-ID:") {
			return strings.TrimSpace(string(line[11:]))
		}
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
	}
	return ""
}

// same wants that a client sees now what it saw before. newUIDs: messages may
// have come back under another UID.
func same(t *testing.T, before, after map[string]*view, newUIDs bool) {
	t.Helper()
	for _, d := range differences(before, after, newUIDs) {
		t.Error(d)
	}
	t.Logf("compared %d folders through IMAP", len(before))
}

// differences lists what a client sees otherwise than before.
func differences(before, after map[string]*view, newUIDs bool) []string {
	var out []string
	say := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	for name, b := range before {
		a := after[name]
		if a == nil {
			say("folder %s is gone", name)
			continue
		}
		if a.UIDValidity != b.UIDValidity {
			say("%s: UIDVALIDITY was %d, is %d", name, b.UIDValidity, a.UIDValidity)
		}
		if a.UIDNext < b.UIDNext {
			say("%s: the next UID was %d, is %d", name, b.UIDNext, a.UIDNext)
		}
		was, is := keyed(b, newUIDs), keyed(a, newUIDs)
		for k, n := range was {
			if is[k] != n {
				say("%s: seen %d times before, %d times now: %s", name, n, is[k], k)
			}
		}
		for k, n := range is {
			if was[k] == 0 {
				say("%s: not seen before, %d times now: %s", name, n, k)
			}
		}
	}
	for name := range after {
		if before[name] == nil {
			say("folder %s was not there before", name)
		}
	}
	slices.Sort(out)
	return out
}

func keyed(v *view, noUID bool) map[string]int {
	out := map[string]int{}
	for _, m := range v.Messages {
		k := fmt.Sprintf("%s [%s] %s %x", m.ID, m.Flags, m.Date.Format(time.RFC3339), m.Sum[:6])
		if !noUID {
			k = fmt.Sprintf("UID %d %s", m.UID, k)
		}
		out[k]++
	}
	return out
}
