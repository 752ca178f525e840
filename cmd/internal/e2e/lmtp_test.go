//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// letter is one message of a test's archive.
type letter struct {
	from, to string
	data     []byte
}

// archiveOf writes letters as quarantine directories: a message, its sender
// and its recipients as they are, whatever their bytes.
func archiveOf(t *testing.T, d *dovecot, letters []letter) {
	t.Helper()
	// The store knows its mailboxes once they have mail.
	l, err := d.lmtp()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for _, u := range users {
		if err := l.deliver("s@example.net", mail("first-"+u, 500), u); err != nil {
			t.Fatal(err)
		}
	}
	dir := d.file("gateway")
	for i, l := range letters {
		sub := filepath.Join(dir, fmt.Sprintf("%03d", i/100), fmt.Sprintf("%05d", i))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, p := range map[string][]byte{"message": l.data, "recipients": []byte("<" + l.to + ">\n"), "sender": []byte("<" + l.from + ">\n")} {
			if err := os.WriteFile(filepath.Join(sub, name), p, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	writeConfig(t, d, "[archives.gateway]\npath = \""+dir+"\"\n[recipients]\ndelimiter = \"+\"\n")
}

// stored is every message file of the users, as the server wrote it.
func (d *dovecot) stored() [][]byte {
	d.t.Helper()
	var out [][]byte
	for _, u := range users {
		for _, sub := range []string{"new", "cur"} {
			files, err := filepath.Glob(filepath.Join(d.maildir(u), sub, "*"))
			if err != nil {
				d.t.Fatal(err)
			}
			for _, f := range files {
				p, err := os.ReadFile(f)
				if err != nil {
					d.t.Fatal(err)
				}
				out = append(out, p)
			}
		}
	}
	return out
}

// unfolded is a message as line ends cannot alter it.
func unfolded(p []byte) string {
	for bytes.Contains(p, []byte("\r\n")) {
		p = bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n"))
	}
	return strings.TrimRight(string(p), "\r\n")
}

// Every byte at every place of a body and of the envelope's addresses: one
// message in, one message out, as it was; and a second replay sends nothing.
func TestEveryByteThroughLMTP(t *testing.T) {
	d := newDovecot(t)
	b := product(t, d)
	var letters []letter
	add := func(from, to, form string, c int) {
		id := fmt.Sprintf("Message-ID: <every-%d@test.example.net>\nFrom: s@example.net\nDate: Mon, 5 Jan 2026 10:00:00 +0000\n", len(letters))
		letters = append(letters, letter{from: from, to: to, data: []byte(id + strings.ReplaceAll(form, "#", string([]byte{byte(c)})))})
	}
	for _, form := range []string{"X-A: #b\n\nx\n", "X-A: b#\n\nx\n", "\n#", "\nx\n#.\nx\n", "\nx\n.#\nx\n", "\nx\n.\n#.\nx\n", "\nx#.\r\nMAIL FROM:<>\r\nx\n", "\nx\n\r#.\r\r\nQUIT\n"} {
		for c := range 256 {
			add("s@example.net", anna, form, c)
		}
	}
	bodies := len(letters)
	for _, form := range []string{"#s@example.net", "s#s@example.net", "s#@example.net", "s@#.net", "s@example.net#"} {
		for c := range 256 {
			if c != '\n' {
				add(strings.ReplaceAll(form, "#", string([]byte{byte(c)})), bela, "\nx\n", c)
			}
		}
	}
	for _, form := range []string{"carla+#@example.org", "carla+a#b@example.org"} {
		for c := range 256 {
			if c != '\n' && c != '@' {
				add("s@example.net", strings.ReplaceAll(form, "#", string([]byte{byte(c)})), "\nx\n", c)
			}
		}
	}
	archiveOf(t, d, letters)
	args := []string{"replay", "--from", "gateway", "--since", "all", "--yes", "--via", "lmtp:" + d.lmtpSocket()}
	r := run(t, b, []int{0, 1}, args...)
	delivered := map[string]bool{}
	for _, l := range r.Find("delivery") {
		if l.Outcome == "delivered" {
			delivered[*l.MessageID] = true
		} else if l.Outcome != "no_mailbox" {
			t.Errorf("not delivered: %s", l.Raw)
		}
	}
	byID := map[string][][]byte{}
	for _, p := range d.stored() {
		byID[messageID(p)] = append(byID[messageID(p)], p)
	}
	for i, l := range letters {
		id := messageID(l.data)
		switch n := len(byID[id]); {
		case !delivered[id] && n != 0:
			t.Errorf("%q for %q arrives %d times and is not told", l.data, l.to, n)
		case !delivered[id] && i < bodies:
			t.Errorf("%q is not delivered", l.data)
		case delivered[id] && n != 1:
			t.Errorf("%q from %q for %q arrives %d times", l.data, l.from, l.to, n)
		case delivered[id] && !strings.HasSuffix(unfolded(byID[id][0]), unfolded(l.data)):
			t.Errorf("%q arrives as %q", l.data, byID[id][0])
		}
	}
	if len(byID) != len(delivered)+len(users) {
		t.Errorf("%d different messages are there, %d were delivered", len(byID), len(delivered))
	}
	if len(delivered) < len(letters)-1000 {
		t.Errorf("only %d of %d were delivered", len(delivered), len(letters))
	}
	t.Logf("%d letters, %d delivered, %d copies", len(letters), len(delivered), len(d.stored()))
	if r := run(t, b, []int{0, 1}, args...); r.Count("delivered") != 0 || r.Count("would_deliver") != 0 {
		t.Errorf("a second replay delivers: %s", r)
	}
}

// Killed in the middle and run again: every message is there once.
func TestKilledLMTP(t *testing.T) {
	d := newDovecot(t)
	b := product(t, d)
	var letters []letter
	for i := range 1500 {
		letters = append(letters, letter{from: "s@example.net", to: users[i%3], data: mail(fmt.Sprintf("killed-%d", i), 3000)})
	}
	archiveOf(t, d, letters)
	args := []string{"replay", "--from", "gateway", "--since", "all", "--yes", "--via", "lmtp:" + d.lmtpSocket()}
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	go func() {
		defer kill()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			files, _ := filepath.Glob(filepath.Join(d.maildir(anna), "new", "*"))
			if len(files) > 150 {
				return
			}
		}
	}()
	r, err := b.JSON(ctx, args...)
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	if r.Code == 0 {
		t.Fatalf("it was not killed: %s", r)
	}
	before := len(d.stored())
	if before == 0 || before >= len(letters) {
		t.Fatalf("%d messages are there after the kill: nothing is proved", before)
	}
	once := func() {
		count := map[string]int{}
		for _, p := range d.stored() {
			count[messageID(p)]++
		}
		for _, l := range letters {
			if n := count[messageID(l.data)]; n != 1 {
				t.Errorf("%s is there %d times", messageID(l.data), n)
			}
		}
	}
	r = run(t, b, []int{0}, args...)
	t.Logf("%d were there after the kill, %d delivered then", before, r.Count("delivered"))
	once()
	if r := run(t, b, []int{0}, args...); r.Count("delivered") != 0 {
		t.Errorf("a second replay delivers: %s", r)
	}
	once()
}
