//go:build e2e

package e2e

import (
	"io/fs"
	"maps"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailsync/cmd/internal/drive"
)

// The two archives that docs/how-to-archive-postfix.md has a running Postfix write, by the
// recipe as it is written there: a directory for each recipient holds the whole
// envelope, also while it could not be written; the Maildir of always_bcc tells
// the recipient of a message that has one, and of no other.
func TestPostfixArchives(t *testing.T) {
	d := newDovecot(t)
	b := product(t, d)
	p := newPostfix(t, d)
	// Nothing is held here, mail and its copies go out at once; bounces go nowhere.
	p.command("postconf", "-c", p.conf, "-e", "smtpd_recipient_restrictions=permit_mynetworks, reject", "default_transport=discard:")
	saved := p.saveByRecipient()
	all := p.saveAll("archive@all.internal")
	p.command("postfix", "-c", p.conf, "reload")
	writeConfig(t, d, "[archives.saved]\npath = \""+filepath.Join(saved, "mail")+"\"\n"+
		"[archives.all]\npath = \""+all+"\"\nreceived_by = [\"gateway.example.net\"]\nown = [\"archive@all.internal\"]\n"+
		"[recipients]\ndelimiter = \"+\"\nvirtual = [\""+filepath.Join(p.conf, "virtual")+"\"]\n")

	const sender = "sender@example.net"
	messages := []struct {
		id, from string
		to       []string
	}{
		{"one", sender, []string{anna}},
		{"blind", sender, []string{anna, bela, carla}}, // mail names someone else in To
		{"alias", sender, []string{"team@example.org"}},
		{"extension", sender, []string{"bela+lists@example.org", carla}},
		{"equals", sender, []string{"anna+a=b@example.org"}},
		{"bounce", "", []string{bela}},
		{"quoted", `"odd, sender"@example.net`, []string{`"no body, at all"@example.org`}},
	}
	mailDir := filepath.Join(saved, "mail")
	copies, senders := map[string][]string{}, map[string]string{}
	for i, m := range messages {
		if i == 1 { // the archive is away: its copies wait in the queue
			if err := os.Rename(mailDir, mailDir+".away"); err != nil {
				t.Fatal(err)
			}
		}
		if err := smtp.SendMail(p.address(), nil, m.from, m.to, mail(m.id, 700)); err != nil {
			t.Fatal(err)
		}
		copies[m.id], senders[m.id] = slices.Sorted(slices.Values(m.to)), m.from
		if i == 1 {
			p.wait("the archive's copies to be tried", func() bool {
				return strings.Count(p.logText(), "relay=archive, ") == len(messages[0].to)+len(m.to)
			})
			if err := os.Rename(mailDir+".away", mailDir); err != nil {
				t.Fatal(err)
			}
			p.command("postqueue", "-c", p.conf, "-f")
		}
	}

	p.wait("everything to be delivered", func() bool {
		return strings.Contains(p.command("postqueue", "-c", p.conf, "-p"), "Mail queue is empty")
	})

	got := savedMail(t, mailDir)
	for id, to := range copies {
		slices.Sort(got[id].to)
		if !slices.Equal(got[id].to, to) || got[id].sender != senders[id] {
			t.Errorf("%s is saved from %q to %q, want from %q to %q", id, got[id].sender, got[id].to, senders[id], to)
		}
	}
	r := run(t, b, []int{0, 1}, "audit", "--from", "saved", "--to", "primary", "--since", "all")
	sameEnvelopes(t, r, copies)
	single := maps.Clone(copies)
	maps.DeleteFunc(single, func(_ string, to []string) bool { return len(to) > 1 })
	r = run(t, b, []int{3}, "audit", "--from", "all", "--to", "primary", "--since", "all")
	sameEnvelopes(t, r, single)
	unknown := 0
	for _, f := range r.Find("finding") {
		if f.Kind == "archive_no_recipients" {
			unknown++
		}
	}
	if want := len(copies) - len(single); unknown != want {
		t.Errorf("%d messages are listed as without recipients, want %d: %s", unknown, want, r)
	}
	noComplaints(t, d)
}

// sameEnvelopes looks that an audit lists each message for its recipients and
// for no others, and that nothing is to deliver of what was delivered.
func sameEnvelopes(t *testing.T, r *drive.Result, want map[string][]string) {
	t.Helper()
	if n := r.Count("would_deliver"); n != 0 {
		t.Errorf("%d to deliver of what was delivered: %s", n, r)
	}
	got := map[string][]string{}
	for _, l := range r.Find("delivery") {
		if l.MessageID == nil {
			t.Errorf("without a Message-ID: %s", l.Raw)
			continue
		}
		id := strings.TrimSuffix(strings.TrimPrefix(*l.MessageID, "<"), "@test.example.net>")
		if !slices.Contains(got[id], l.Recipient) { // an alias is listed for each mailbox behind it
			got[id] = append(got[id], l.Recipient)
		}
	}
	for id, to := range got {
		slices.Sort(to)
		if !slices.Equal(to, want[id]) {
			t.Errorf("audit lists %s for %q, want %q", id, to, want[id])
		}
	}
	if len(got) != len(want) {
		t.Errorf("audit lists %d messages, want %d: %s", len(got), len(want), r)
	}
}

type envelope struct {
	sender string
	to     []string
}

// savedMail reads the directories of save-mail: the message's name, and its
// envelope of all copies.
func savedMail(t *testing.T, dir string) map[string]envelope {
	t.Helper()
	out := map[string]envelope{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() != "message" {
			return err
		}
		read := func(name string) string {
			b, err := os.ReadFile(filepath.Join(filepath.Dir(path), name))
			if err != nil {
				t.Error(err)
			}
			return string(b)
		}
		_, id, _ := strings.Cut(read("message"), "Message-ID: <")
		id, _, _ = strings.Cut(id, "@")
		x := out[id]
		x.sender = strings.TrimSuffix(read("sender"), "\n")
		x.to = append(x.to, strings.TrimSuffix(read("recipients"), "\n"))
		out[id] = x
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// saveByRecipient configures the gateway by the recipe of docs/how-to-archive-postfix.md that
// saves a copy for each recipient, and returns where.
func (p *postfix) saveByRecipient() string {
	p.t.Helper()
	dir := filepath.Join(p.conf, "saved")
	for _, sub := range []string{"", "mail", "tmp"} {
		p.ownedByNobody(filepath.Join(dir, sub))
	}
	here := strings.NewReplacer("/etc/postfix/", p.conf+"/", "user=archive", "user=nobody",
		"/usr/local/lib/save-mail", filepath.Join(p.conf, "save-mail"), "/srv/gateway", dir)
	file := ""
	for line := range strings.Lines(here.Replace(documented(p.t, "recipient_bcc_maps"))) {
		if name, ok := strings.CutPrefix(line, "# "); ok {
			file = strings.TrimSpace(name)
			continue
		}
		p.append(file, strings.TrimRight(line, "\n")+"\n")
	}
	p.append("save-mail", here.Replace(documented(p.t, "mktemp")))
	if err := os.Chmod(filepath.Join(p.conf, "save-mail"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	return dir
}

// saveAll lets always_bcc write a Maildir, and returns its path.
func (p *postfix) saveAll(address string) string {
	p.t.Helper()
	dir := filepath.Join(p.conf, "all")
	p.ownedByNobody(dir)
	p.append("main.cf", "always_bcc = "+address+"\n")
	p.append("master.cf", "all unix - n n - - virtual -o virtual_mailbox_base="+dir+" -o virtual_mailbox_maps=static:gateway/"+
		" -o virtual_minimum_uid=1 -o virtual_uid_maps=static:65534 -o virtual_gid_maps=static:65534\n")
	transports := strings.TrimSpace(p.command("postconf", "-c", p.conf, "-h", "transport_maps"))
	p.command("postconf", "-c", p.conf, "-e", "transport_maps="+transports+" inline:{all.internal=all:}")
	return filepath.Join(dir, "gateway")
}

func (p *postfix) ownedByNobody(dir string) {
	p.t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Chown(dir, 65534, 65534); err != nil {
		p.t.Fatal(err)
	}
}
