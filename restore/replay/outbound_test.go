package replay

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/restore/archive"
)

const postfixOut = `2026-11-22T10:00:00+00:00 gw postfix/smtpd[1]: AAAAA11111: client=app[192.0.2.7], sasl_method=PLAIN, sasl_username=shop
2026-11-22T10:00:00+00:00 gw postfix/cleanup[2]: AAAAA11111: message-id=<1@x>
2026-11-22T10:00:00+00:00 gw postfix/qmgr[3]: AAAAA11111: from=<s@x>, size=300, nrcpt=3 (queue active)
2026-11-22T10:00:01+00:00 gw postfix/smtp[4]: AAAAA11111: to=<ok@far>, relay=far[192.0.2.9]:25, delay=1, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as ZZZZZ99999)
2026-11-22T10:00:01+00:00 gw postfix/smtp[4]: AAAAA11111: to=<no@far>, relay=far[192.0.2.9]:25, delay=1, dsn=5.1.1, status=bounced (host far said: 550 5.1.1 unknown)
2026-11-22T10:00:01+00:00 gw postfix/smtp[4]: AAAAA11111: to=<slow@far>, relay=none, delay=1, dsn=4.4.1, status=deferred (connect to far: timed out)
2026-11-27T10:00:01+00:00 gw postfix/qmgr[3]: AAAAA11111: from=<s@x>, status=expired, returned to sender
2026-11-27T10:00:01+00:00 gw postfix/qmgr[3]: AAAAA11111: removed
2026-11-22T10:01:00+00:00 gw postfix/smtpd[1]: BBBBB22222: client=mon[192.0.2.8]
2026-11-22T10:01:00+00:00 gw postfix/cleanup[2]: BBBBB22222: message-id=<2@x>
2026-11-22T10:01:01+00:00 gw postfix/smtp[4]: BBBBB22222: to=<later@far>, relay=none, delay=1, dsn=4.4.1, status=deferred (connect to far: timed out)
2026-11-22T10:02:00+00:00 gw postfix/pickup[1]: CCCCC33333: uid=1000 from=<cron>
2026-11-22T10:02:00+00:00 gw postfix/cleanup[2]: CCCCC33333: message-id=<3@x>
2026-11-22T10:02:01+00:00 gw postfix/smtp[4]: CCCCC33333: to=<filtered@far>, orig_to=<alias@x>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as DDDDD44444)
2026-11-22T10:02:01+00:00 gw postfix/qmgr[3]: CCCCC33333: removed
2026-11-22T10:02:01+00:00 gw postfix/smtpd[1]: DDDDD44444: client=localhost[127.0.0.1]
2026-11-22T10:02:01+00:00 gw postfix/cleanup[2]: DDDDD44444: message-id=<3@x>
2026-11-22T10:02:02+00:00 gw postfix/smtp[4]: DDDDD44444: to=<filtered@far>, relay=far[192.0.2.9]:25, dsn=2.0.0, status=sent (250 ok)
2026-11-22T10:03:00+00:00 gw postfix/smtpd[1]: EEEEE55555: client=app[192.0.2.7], sasl_method=PLAIN, sasl_username=shop
2026-11-22T10:03:00+00:00 gw postfix/cleanup[2]: EEEEE55555: message-id=<4@x>
2026-11-22T10:03:01+00:00 gw postfix/smtp[4]: EEEEE55555: to=<hand@far>, relay=127.0.0.1[127.0.0.1]:10024, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as FFFFF66666)
2026-11-22T10:03:01+00:00 gw postfix/cleanup[2]: FFFFF66666: message-id=<4@x>
2026-11-22T10:04:00+00:00 gw postfix/cleanup[2]: A0000A0000: message-id=<5@x>
2026-11-22T10:04:01+00:00 gw postfix/smtp[4]: A0000A0000: to=<cut@far>, relay=none, dsn=4.4.1, status=deferred (timed out)
2026-11-22T10:05:00+00:00 gw postfix/postsuper[9]: A0000A0000: removed
`

const eximOut = `2026-11-22 10:00:00 1xV3NY-0004WI-2a <= s@x H=app.x (app) [192.0.2.7] P=esmtpsa A=plain_login:shop S=336 id=e1@x
2026-11-22 10:00:01 1xV3NY-0004WI-2a => ok@far R=dnslookup T=remote_smtp H=far [192.0.2.9] C="250 OK"
2026-11-22 10:00:01 1xV3NY-0004WI-2a -> ann <ok2@far> R=dnslookup T=remote_smtp
2026-11-22 10:00:02 1xV3NY-0004WI-2a ** no@far R=dnslookup T=remote_smtp: SMTP error from remote mail server after RCPT TO:<no@far>: 550 unknown
2026-11-22 10:00:02 1xV3NY-0004WI-2a == slow@far R=dnslookup T=remote_smtp defer (-18): timed out
2026-11-26 10:00:02 1xV3NY-0004WI-2a ** slow@far: retry timeout exceeded
2026-11-26 10:00:02 1xV3NY-0004WI-2a Completed
2026-11-22 10:01:00 [77] 1xV3NY-0004WI-2b <= s@x U=cron P=local S=290 id=e2@x
2026-11-22 10:01:01 [78] 1xV3NY-0004WI-2b == later@far R=dnslookup T=remote_smtp defer (-18): timed out
2026-11-22 10:02:00 1xV3NY-0004WI-2c <= s@x H=mon [192.0.2.8] P=esmtp S=290 id=e3@x
2026-11-22 10:02:01 1xV3NY-0004WI-2c removed by root
`

// withoutYears is a log as syslog has it.
func withoutYears(log string) string {
	return strings.NewReplacer("2026-11-", "Nov ", "T", " ", "+00:00", "").Replace(log)
}

// eximCopied is what Exim 4.96 wrote with the archive of docs/how-to-archive-exim.md.
const eximCopied = `2026-11-22 10:00:00 1xWzhC-0003zd-0n <= s@x U=root P=local S=284 id=m1@x
2026-11-22 10:00:00 1xWzhC-0003zd-0n => anna <anna@x> R=here T=file
2026-11-22 10:00:00 1xWzhC-0003zd-0n => anna <anna@x> R=archive T=archive
2026-11-22 10:00:00 1xWzhC-0003zd-0n -> ok <ok@far> R=archive T=archive
2026-11-22 10:00:00 1xWzhC-0003zd-0n -> refused <refused@far> R=archive T=archive
2026-11-22 10:00:00 1xWzhC-0003zd-0n -> later <later@far> R=archive T=archive
2026-11-22 10:00:00 1xWzhC-0003zd-0n -> never <never@far> R=archive T=archive
2026-11-22 10:00:00 1xWzhC-0003zd-0n => ok@far R=far T=smtp H=127.0.0.1 [127.0.0.1] C="250 ok"
2026-11-22 10:00:00 1xWzhC-0003zd-0n ** refused@far R=far T=smtp H=127.0.0.1 [127.0.0.1]: SMTP error from remote mail server after RCPT TO:<refused@far>: 550 5.1.1 no such user
2026-11-22 10:00:00 1xWzhC-0003zd-0n == later@far R=far T=smtp defer (-44) H=127.0.0.1 [127.0.0.1]: SMTP error from remote mail server after RCPT TO:<later@far>: 450 4.2.1 try again
2026-11-22 10:00:00 1xWzhC-0003zs-1L <= <> R=1xWzhC-0003zd-0n U=Debian-exim P=local S=1700
2026-11-22 10:00:00 1xWzhC-0003zs-1L => s <s@x> R=here T=file
2026-11-22 10:00:00 1xWzhC-0003zs-1L => s <s@x> R=archive T=archive
2026-11-22 10:00:00 1xWzhC-0003zs-1L Completed
`

func sentMail(id string, at time.Time, to ...string) string {
	head := ""
	if id != "" {
		head = "Message-ID: " + id + "\n"
	}
	return fmt.Sprintf("From s@x %s\nX-Envelope-From: <s@x>\nX-Envelope-To: <%s>\nFrom: s@x\n%sX-Service: billing\n\nbody\n\n",
		at.UTC().Format("Mon Jan _2 15:04:05 2006"), strings.Join(to, ">, <"), head)
}

func outboundOf(t *testing.T, o OutboundOptions, mbox string, logs ...string) (map[string]Outgoing, map[string]Service) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "sent.mbox")
	if err := os.WriteFile(path, []byte(mbox), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(path, archive.Options{Zone: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	o.Archive = a
	for i, l := range logs {
		name := filepath.Join(dir, fmt.Sprintf("log%d", i))
		if err := os.WriteFile(name, []byte(l), 0o600); err != nil {
			t.Fatal(err)
		}
		o.Logs = append(o.Logs, name)
	}
	got, services := map[string]Outgoing{}, map[string]Service{}
	var sum int64
	for ev, err := range Outbound(t.Context(), o) {
		switch {
		case err != nil:
			t.Fatal(err)
		case ev.Finding != nil:
			t.Errorf("finding %+v", ev.Finding)
		case ev.Outgoing != nil:
			if _, twice := got[ev.Outgoing.Recipient]; twice {
				t.Errorf("%s is told twice", ev.Outgoing.Recipient)
			}
			got[ev.Outgoing.Recipient] = *ev.Outgoing
		default:
			s := *ev.Service
			services[s.Service] = s
			sum += s.Archived
			if s.Archived != s.Sent+s.Delayed+s.Bounced+s.Expired+s.Lost {
				t.Errorf("the account of %s does not add up: %+v", s.Service, s)
			}
		}
	}
	if int(sum) != len(got) {
		t.Errorf("%d in the services' accounts, %d told", sum, len(got))
	}
	return got, services
}

func TestOutbound(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	postfix := sentMail("<1@x>", at, "ok@far", "no@far", "slow@far", "never@far") + sentMail("<2@x>", at, "later@far") + sentMail("<3@x>", at, "alias@x") +
		sentMail("<4@x>", at, "hand@far") + sentMail("<5@x>", at, "cut@far") + sentMail("<6@x>", at, "nobody@far") + sentMail("<1@x>", at.AddDate(0, -3, 0), "old@far", "ok@far.old")
	exim := sentMail("<e1@x>", at, "ok@far", "ok2@far", "no@far", "slow@far") + sentMail("<e2@x>", at, "later@far") + sentMail("<e3@x>", at, "gone@far")
	for _, c := range []struct {
		name, mbox, log string
		header          string
		want            map[string][2]string // recipient: outcome, service
	}{
		{"postfix", postfix, postfixOut, "", map[string][2]string{
			"ok@far": {"sent", "sasl:shop"}, "no@far": {"bounced", "sasl:shop"}, "slow@far": {"expired", "sasl:shop"}, "never@far": {"lost", "sasl:shop"},
			"later@far": {"delayed", "client:192.0.2.8"}, "alias@x": {"sent", "local:1000"}, "hand@far": {"lost", "sasl:shop"}, "cut@far": {"lost", ""},
			"nobody@far": {"lost", ""}, "old@far": {"lost", ""}, "ok@far.old": {"lost", ""},
		}},
		{"exim", exim, eximOut, "", map[string][2]string{
			"ok@far": {"sent", "sasl:shop"}, "ok2@far": {"sent", "sasl:shop"}, "no@far": {"bounced", "sasl:shop"}, "slow@far": {"expired", "sasl:shop"},
			"later@far": {"delayed", "local:cron"}, "gone@far": {"lost", "client:192.0.2.8"},
		}},
		{"without years", sentMail("<1@x>", at, "ok@far", "no@far", "slow@far"), withoutYears(postfixOut), "", map[string][2]string{
			"ok@far": {"sent", "sasl:shop"}, "no@far": {"bounced", "sasl:shop"}, "slow@far": {"expired", "sasl:shop"},
		}},
		{"over New Year", sentMail("<1@x>", at.AddDate(0, 1, 7), "slow@far"), strings.NewReplacer("Nov 22", "Dec 29", "Nov 27", "Jan  3").Replace(withoutYears(postfixOut)), "", map[string][2]string{
			"slow@far": {"expired", "sasl:shop"},
		}},
		{"expired by hand", sentMail("<1@x>", at, "slow@far"), strings.Replace(postfixOut, "status=expired", "status=force-expired", 1), "", map[string][2]string{
			"slow@far": {"expired", "sasl:shop"},
		}},
		{"expired in the second of its last attempt", sentMail("<1@x>", at, "slow@far"), strings.ReplaceAll(postfixOut, "2026-11-27T10:00:01", "2026-11-22T10:00:01"), "", map[string][2]string{
			"slow@far": {"expired", "sasl:shop"},
		}},
		{"filtered within a second", sentMail("<3@x>", at, "alias@x"), strings.NewReplacer("10:02:02", "10:02:00", "10:02:01", "10:02:00", "CCCCC33333", "FCCCC33333").Replace(postfixOut), "", map[string][2]string{
			"alias@x": {"sent", "local:1000"},
		}},
		{"archived by a transport of exim", sentMail("<m1@x>", at, "anna@x", "ok@far", "refused@far", "later@far", "never@far") +
			strings.Replace(sentMail("<E1xWzhC-0003zs-1L@gw.x>", at, "s@x"), "\nFrom: ", "\nReceived: from Debian-exim by gw.x with local (Exim 4.96)\n\tid 1xWzhC-0003zs-1L\n\tfor s@x; Sun, 22 Nov 2026 10:00:00 +0000\nFrom: ", 1), eximCopied, "", map[string][2]string{
			"anna@x": {"sent", "local:root"}, "ok@far": {"sent", "local:root"}, "refused@far": {"bounced", "local:root"}, "later@far": {"delayed", "local:root"}, "never@far": {"lost", "local:root"},
			"s@x": {"sent", "local:Debian-exim"},
		}},
		{"archived by a transport of postfix", sentMail("<1@x>", at, "ok@far", "never@far"), strings.Replace(postfixOut, "to=<ok@far>, relay=far[192.0.2.9]:25", "to=<ok@far>, relay=archive", 1), "", map[string][2]string{
			"ok@far": {"lost", "sasl:shop"}, "never@far": {"lost", "sasl:shop"},
		}},
		{"by a field", sentMail("<1@x>", at, "ok@far"), postfixOut, "X-Service", map[string][2]string{"ok@far": {"sent", "billing"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			old := time.Local
			time.Local = time.UTC
			defer func() { time.Local = old }()
			// Order and number of the files say nothing: lines are sorted by their time.
			got, _ := outboundOf(t, OutboundOptions{Header: c.header, Copy: "archive", Memory: 4096}, c.mbox, c.log)
			if len(got) != len(c.want) {
				t.Errorf("%d recipients, want %d", len(got), len(c.want))
			}
			for to, want := range c.want {
				if x := got[to]; string(x.Outcome) != want[0] || x.Service != want[1] {
					t.Errorf("%s is %s by %q (%s), want %s by %q", to, x.Outcome, x.Service, x.Detail, want[0], want[1])
				}
			}
		})
	}
}

// What the queue holds is delayed, whatever the log says; what was deferred
// last and is not in the queue is lost.
func TestOutboundQueue(t *testing.T) {
	old := time.Local
	time.Local = time.UTC
	defer func() { time.Local = old }()
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1xV3NY-0004WI-2d-H": "1xV3NY-0004WI-2d-H\nroot 0 0\n<s@x>\n1795341600 0\nNN done@far\n2\ndone@far\nwaits@far\n\n019I Message-ID: <q1@x>\n",
		"1xV3NY-0004WI-2d-D": "1xV3NY-0004WI-2d-D\nbody\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q, err := archive.Open(dir, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for it, err := range q.Messages(t.Context()) {
		if err != nil || it.Finding != nil {
			t.Fatal(err, it.Finding)
		}
		n++
	}
	if n != 1 {
		t.Fatal("the queue was not read")
	}
	log := "2026-11-22 10:00:00 1xV3NY-0004WI-2d <= s@x U=cron P=local S=1 id=q1@x\n2026-11-22 10:00:01 1xV3NY-0004WI-2d => done@far R=r T=t\n" +
		"2026-11-22 10:01:00 1xV3NY-0004WI-2e <= s@x U=cron P=local S=1 id=q2@x\n2026-11-22 10:01:01 1xV3NY-0004WI-2e == left@far R=r T=t defer: x\n"
	got, services := outboundOf(t, OutboundOptions{Queues: []*archive.Archive{q}}, sentMail("<q1@x>", at, "done@far", "waits@far")+sentMail("<q2@x>", at, "left@far"), log)
	for to, want := range map[string]Sending{"done@far": Sent2xx, "waits@far": Delayed, "left@far": Lost} {
		if got[to].Outcome != want {
			t.Errorf("%s is %s (%s), want %s", to, got[to].Outcome, got[to].Detail, want)
		}
	}
	if s := services["local:cron"]; s.Archived != 3 || s.Closed {
		t.Errorf("%+v", s)
	}
}

func FuzzOutLog(f *testing.F) {
	f.Add(postfixOut)
	f.Add(eximOut)
	f.Fuzz(func(t *testing.T, text string) {
		l, alike := &outLog{ids: map[string]*queued{}}, &outLog{ids: map[string]*queued{}}
		lines := 0
		for line := range strings.Lines(text) {
			lines++
			x, ok := l.line(line)
			// the line end says nothing
			y, too := alike.line(strings.TrimRight(line, "\r\n") + "\r\n")
			if x.at.Equal(y.at) {
				y.at = x.at // a zone of one's own has an address, too
			}
			if too != ok || ok && x != y {
				t.Fatalf("%q: %+v, with another line end %+v", line, x, y)
			}
			if !ok {
				continue
			}
			if x.fate == "" || x.queue == "" || !strings.Contains(line, x.queue) || !strings.Contains(text, strings.Trim(x.key, "<>")) {
				t.Fatalf("%q: %+v", line, x)
			}
			if low := strings.ToLower(line); !strings.Contains(low, x.who) || !strings.Contains(low, x.orig) {
				t.Fatalf("%q: a recipient of whom it does not speak: %+v", line, x)
			}
		}
		if len(l.ids) > lines {
			t.Fatalf("%d queue ids after %d lines", len(l.ids), lines)
		}
	})
}
