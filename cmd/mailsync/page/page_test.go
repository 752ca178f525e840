package page

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func report(t *testing.T, lines ...string) *Report {
	t.Helper()
	r, err := Read(strings.NewReader(strings.Join(lines, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func summaryOf(command string, exit int, counts string) string {
	return fmt.Sprintf(`{"v":1,"type":"summary","command":"%s","run":"","complete":%t,"exit":%d,"seconds":2,"counts":{%s},"error":"it broke"}`, command, exit < 2, exit, counts)
}

func TestSentence(t *testing.T) {
	for _, c := range []struct {
		command string
		exit    int
		counts  string
		state   State
		want    string
	}{
		{"verify", 0, `"messages":1234,"mailboxes":1`, Good, "All is well: 1,234 messages in 1 mailbox were checked, and none is damaged or missing."},
		{"verify", 3, `"messages":10,"mailboxes":2`, Partial, "No damage was found in the 10 messages in 2 mailboxes that could be checked. Not everything could be looked at or done: about the rest this report says nothing."},
		{"diff", 0, `"messages":2,"mailboxes":1`, Good, "The replicas hold the same mail: 2 messages in 1 mailbox were compared."},
		{"audit", 1, `"archived":9,"present":7,"would_deliver":2`, Open, "Of 9 messages that the gateway's archive holds for known mailboxes, 7 are accounted for. The account does not close yet: 2 are missing and can be delivered; nothing else is open."},
		{"replay", 0, `"archived":9,"present":7,"delivered":2`, Good, "Of 9 messages that the gateway's archive holds for known mailboxes, 9 are accounted for, 2 of them put back by this run. The account closes: nothing is lost."},
		{"audit", 1, `"archived":9,"present":8,"unexplained":1`, Open, "Of 9 messages that the gateway's archive holds for known mailboxes, 8 are accounted for. The account does not close: 1 is open and to be decided, as listed below."},
		{"audit", 1, `"archived":9,"sent":5,"delayed":1,"bounced":1,"expired":0,"lost":2`, Open, "Of 9 sent messages, counted for each recipient, 2 are lost: nothing tells their end. 1 is delayed. 1 recipient could not be reached, and the senders were told."},
		{"audit", 1, `"archived":9,"sent":8,"delayed":1,"lost":0`, Open, "No message is lost. Of 9 sent messages, counted for each recipient, 1 is delayed, and in the queue."},
		{"audit", 0, `"archived":2,"sent":1,"bounced":1`, Good, "No message is lost or delayed. Of 2 sent messages, counted for each recipient, 1 is sent. 1 recipient could not be reached, and the senders were told."},
		{"audit", 0, `"archived":0,"sent":0`, Good, "The archive holds no message with a recipient in this time."},
		{"restore", 0, `"done":3`, Good, "3 steps are carried out and durable on disk; nothing failed."},
		{"restore", 0, ``, Good, "There was nothing to put back: what the sources hold is in place."},
		{"restore", 3, `"done":3,"failed":1`, Partial, "3 steps are carried out and durable on disk; 1 is failed and 0 are refused, which are listed below. Not everything could be looked at or done: about the rest this report says nothing."},
		{"undo", 0, `"done":8`, Good, "8 actions are taken back."},
		{"undo", 1, `"done":1,"refused":2`, Open, "1 action is taken back; 2 are refused because of later changes."},
		{"scan", 74, ``, Failed, "The scan did not succeed: it broke."},
		{"scan", 143, ``, Failed, "The scan did not succeed: it broke."},
	} {
		r := report(t, summaryOf(c.command, c.exit, c.counts))
		if got := r.Sentence(); got != c.want {
			t.Errorf("%s, exit %d {%s}:\n got %s\nwant %s", c.command, c.exit, c.counts, got, c.want)
		}
		if got := r.State(); got != c.state {
			t.Errorf("%s, exit %d: %s, want %s", c.command, c.exit, got, c.state)
		}
	}
}

// Only a run that ended with 0 is told as good.
func TestNeverBetter(t *testing.T) {
	for exit := range 256 {
		r := report(t, summaryOf("verify", exit, `"messages":1,"mailboxes":1`))
		if good := r.State() == Good; good != (exit == 0) {
			t.Errorf("exit %d is told as %s", exit, r.State())
		}
	}
	killed := report(t, `{"v":1,"type":"start","command":"verify","args":[],"began":"2026-11-22T09:00:00Z"}`)
	if killed.State() != Failed || !strings.Contains(killed.Sentence(), "did not end") {
		t.Errorf("a killed run is told as %s: %s", killed.State(), killed.Sentence())
	}
}

const finding1 = `{"v":1,"type":"finding","store":"primary","mailbox":"a","folder":"INBOX","file":"cur/1","kind":"empty","certainty":"proof","detail":""}`

// The log of a killed run ends anywhere.
func TestCutAnywhere(t *testing.T) {
	all := finding1 + "\n" + finding1 + "\n" + summaryOf("verify", 1, `"damaged":2`) + "\n"
	for n := len(finding1) + 1; n < len(all); n++ {
		r, err := Read(io.MultiReader(strings.NewReader(all[:n]), iotest.ErrReader(io.ErrUnexpectedEOF)))
		if err != nil {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
		if _, err := r.HTML("test"); err != nil {
			t.Fatal(err)
		}
		// A summary whose newline alone is missing is whole.
		if r.ended != (n == len(all)-1) {
			t.Fatalf("cut after %d bytes: ended is %t", n, r.ended)
		}
	}
}

func TestNotLines(t *testing.T) {
	for _, text := range []string{"", "hello\n", "{}\n", `{"v":2,"type":"finding"}` + "\n", "\x00\xff\n", finding1 + "\nnot a line\n" + finding1 + "\n"} {
		if _, err := Read(strings.NewReader(text)); !errors.Is(err, ErrNoLines) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Read(strings.NewReader(finding1 + "\n" + `{"v":1,"type":"of a later version"}` + "\n")); err != nil {
		t.Errorf("a type that is not known: %v", err)
	}
}

// Names come from users and senders.
func TestNamesAreText(t *testing.T) {
	const evil = `</script><script>alert(1)</script><img src=x onerror=alert(2)>\u001b[2J\u202e`
	r := report(t,
		`{"v":1,"type":"start","command":"verify","args":["verify","`+evil+`"],"host":"`+evil+`","began":"2026-11-22T09:00:00Z"}`,
		`{"v":1,"type":"store","store":"`+evil+`","path":"`+evil+`","role":"","device":"`+evil+`"}`,
		`{"v":1,"type":"arrivals","store":"`+evil+`","start":"2026-11-22T08:00:00Z","messages":3}`,
		strings.ReplaceAll(finding1, `"a"`, `"`+evil+`"`),
		`{"v":1,"type":"delivery","recipient":"`+evil+`","mailbox":"","message_id":"`+evil+`","outcome":"no_mailbox","detail":"`+evil+`"}`,
		summaryOf("verify", 1, `"damaged":1`))
	html, err := r.HTML("test")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script>alert", "<img", "\x1b", "\u202e"} {
		if strings.Contains(string(html), bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	if strings.ContainsAny(text.String(), "\x1b\u202e") {
		t.Error("the text has control characters")
	}
	if !strings.Contains(string(html), "alert(1)") {
		t.Error("the name is not shown at all")
	}
}

// A table that is full says what it leaves out.
func TestFull(t *testing.T) {
	r := new(Report)
	for range maxRows + 5 {
		if err := r.Line([]byte(finding1)); err != nil {
			t.Fatal(err)
		}
	}
	html, err := r.HTML("test")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(html), "5 more are not in this page") {
		t.Error("nothing is said of what is left out")
	}
}

func TestDifferences(t *testing.T) {
	r := report(t,
		`{"v":1,"type":"difference","mailbox":"a","folder":"INBOX","kind":"missing","copies":{"p":null,"s":{"file":"cur/1"},"b":{"unknown":"EIO"}},"good":["s"],"reason":"recorded"}`,
		`{"v":1,"type":"difference","mailbox":"a","folder":"Sent","kind":"folder_missing","copies":{"p":null,"s":{"uidvalidity":1}},"good":["s"],"reason":"","messages":12}`,
		summaryOf("diff", 1, `"differences":2,"missing":1,"folder_missing":1,"mailboxes":1`))
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"p      folder_missing  lacks it          12", "b      missing         not known          1", "s      missing         has a copy         1"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %q in\n%s", want, b.String())
		}
	}
}

// Of mail that left, the page has each service's account and what is open.
func TestOutbound(t *testing.T) {
	sending := func(to, outcome string) string {
		return fmt.Sprintf(`{"v":1,"type":"sending","source":"a:1","sender":"s@x","recipient":"%s","service":"","message_id":null,"outcome":"%s","queue_id":"Q1","detail":"","date":"2026-11-22T09:00:00Z"}`, to, outcome)
	}
	r := report(t, sending("slow@far", "delayed"), sending("ok@far", "sent"), sending("no@far", "bounced"), sending("gone@far", "lost"),
		`{"v":1,"type":"service","service":"","archived":4,"sent":1,"delayed":1,"bounced":1,"expired":0,"lost":1,"closed":false}`,
		summaryOf("audit", 1, `"archived":4,"sent":1,"delayed":1,"bounced":1,"expired":0,"lost":1`))
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	account, lost, delayed := strings.Index(text, "(not known)         4     1        1        1        0     1  open"), strings.Index(text, "gone@far"), strings.Index(text, "slow@far")
	if account < 0 || lost < account || delayed < lost {
		t.Errorf("the account, then what is lost, then what is delayed: %d, %d, %d in\n%s", account, lost, delayed, text)
	}
	for _, settled := range []string{"ok@far", "no@far"} {
		if strings.Contains(text, settled) {
			t.Errorf("%s is settled, and listed", settled)
		}
	}
}

// The timeline ends where the run began: an empty future would look like a gap.
func TestTimelineEnds(t *testing.T) {
	r := report(t, `{"v":1,"type":"start","command":"replay","args":[],"began":"2026-11-22T09:00:00Z"}`,
		`{"v":1,"type":"window","since":"2026-11-22T01:00:00Z","until":"2026-11-22T08:00:00Z"}`,
		`{"v":1,"type":"hour","start":"2026-11-22T02:00:00Z","archived":1,"absent":1}`)
	if _, to := r.Span(); moment(to) != "2026-11-22 09:00:00Z" {
		t.Errorf("it ends at %s", moment(to))
	}
	if r.Chart() == nil {
		t.Error("there is no timeline")
	}
}

// What is wrong is told by the device that the store lies on.
func TestByDevice(t *testing.T) {
	r := report(t,
		`{"v":1,"type":"store","store":"primary","path":"/srv/mail","role":"primary","device":"sda","offline":false}`,
		`{"v":1,"type":"store","store":"spare1:/srv/mail","path":"spare1:/srv/mail","role":"","device":"","offline":false}`,
		finding1, finding1,
		`{"v":1,"type":"difference","mailbox":"a","folder":"INBOX","kind":"missing","copies":{"primary":{"file":"cur/1"},"spare1:/srv/mail":null},"good":["primary"],"reason":"x"}`,
		summaryOf("verify", 1, `"damaged":2`))
	want := [][]any{{"sda", "primary", "empty", int64(2)}, {"not known", "spare1:/srv/mail", "missing: lacks it", int64(1)}}
	if got := r.byDevice().rows; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A timeline begins where mail does, and shows hours as long as it can.
func TestTimelineBegins(t *testing.T) {
	r := report(t,
		`{"v":1,"type":"start","command":"diff","args":[],"began":"2026-11-22T09:20:00Z"}`,
		`{"v":1,"type":"store","store":"primary","path":"/srv/mail","role":"","device":"","offline":false}`,
		`{"v":1,"type":"arrivals","store":"primary","start":"2026-11-20T08:00:00Z","messages":2}`,
		summaryOf("diff", 0, `"messages":2`))
	if c := r.Chart(); c == nil || c.Unit != "hour" || c.From != "2026-11-20 08:00:00Z" {
		t.Errorf("%+v", c)
	}
	r = report(t,
		`{"v":1,"type":"start","command":"diff","args":[],"began":"2026-11-22T09:20:00Z"}`,
		`{"v":1,"type":"store","store":"primary","path":"/srv/mail","role":"","device":"","offline":false}`,
		`{"v":1,"type":"arrivals","store":"primary","start":"2026-10-20T08:00:00Z","messages":2}`,
		summaryOf("diff", 0, `"messages":2`))
	if c := r.Chart(); c == nil || c.Unit != "hour" {
		t.Errorf("a fortnight: %+v", c)
	}
}
