//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// Mail that left through a real Postfix: what audit --outbound says of each
// recipient is what became of it, service by service, with the queue and
// without.
func TestOutbound(t *testing.T) {
	d := newDovecot(t)
	b := product(t, d)
	p := newPostfix(t, d)
	far := startSink(t)
	p.append("master.cf", "smtp unix - - n - - smtp\n")
	p.append("main.cf", "transport_maps = inline:{ far.example=smtp:"+far+", example.net=smtp:"+far+" }\n")
	p.command("postfix", "-c", p.conf, "reload")

	const shop, monitor = "127.0.0.1", "127.0.0.2"
	service := func(name, id string) []byte { return append([]byte("X-Service: "+name+"\n"), mail(id, 700)...) }
	p.sendFrom(shop, service("orders", "out-1"), anna, "ok@far.example", "refused@far.example", "later@far.example")
	p.sendFrom(shop, service("orders", "out-2"), "team@example.org")
	p.sendFrom(monitor, service("alarms", "out-3"), "ok3@far.example", "later3@far.example")
	p.sendFrom(monitor, service("alarms", "out-4"), "later4@far.example")
	p.letGo()
	p.wait("the first attempts", func() bool {
		log := p.logText()
		return strings.Count(log, "status=deferred") >= 3 && strings.Contains(log, "status=bounced") && strings.Count(log, "status=sent") >= 5
	})
	p.command("postsuper", "-c", p.conf, "-d", p.waitingFor("later3@far.example"))
	p.command("postsuper", "-c", p.conf, "-e", p.waitingFor("later4@far.example"))
	p.command("postqueue", "-c", p.conf, "-f")
	p.wait("one to expire", func() bool { return strings.Contains(p.logText(), "expired, returned to sender") })

	want := map[string][3]string{ // recipient: outcome, client, service
		anna: {"sent", shop, "orders"}, "ok@far.example": {"sent", shop, "orders"}, "refused@far.example": {"bounced", shop, "orders"},
		"later@far.example": {"delayed", shop, "orders"}, bela: {"sent", shop, "orders"},
		"ok3@far.example": {"sent", monitor, "alarms"}, "later3@far.example": {"lost", monitor, "alarms"}, "later4@far.example": {"expired", monitor, "alarms"},
	}
	accounts := map[string]map[string]int64{
		shop: {"archived": 6, "sent": 4, "bounced": 1, "delayed": 1}, monitor: {"archived": 3, "sent": 1, "lost": 1, "expired": 1},
	}
	names := map[string]string{shop: "orders", monitor: "alarms"}
	args := []string{"audit", "--outbound", "--from", p.archive, "--delivery-log", filepath.Join(p.conf, "log", "postfix.log")}
	for _, c := range []struct {
		name   string
		more   []string
		header bool
	}{
		{"with the queue", []string{"--queue", filepath.Join(p.conf, "queue")}, false},
		{"by a field", []string{"--queue", filepath.Join(p.conf, "queue"), "--service-header", "X-Service"}, true},
		{"by the log alone", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			html := filepath.Join(t.TempDir(), "page.html")
			r := run(t, b, []int{1}, append(append(args, c.more...), "--html", html)...)
			of := func(client string) string {
				if c.header {
					return names[client]
				}
				return "client:" + client
			}
			told := 0
			for _, l := range r.Find("sending") {
				w, ok := want[l.Recipient]
				var x struct{ Service string }
				if err := json.Unmarshal([]byte(l.Raw), &x); err != nil {
					t.Fatal(err)
				}
				if !ok || l.Outcome != w[0] || x.Service != of(w[1]) {
					t.Errorf("%s is %s by %q, want %v: %s", l.Recipient, l.Outcome, x.Service, w, l.Raw)
				}
				told++
			}
			if told != 9 { // anna twice
				t.Errorf("%d recipients are told, want 9", told)
			}
			found := 0
			for _, l := range r.Find("service") {
				var x map[string]any
				if err := json.Unmarshal([]byte(l.Raw), &x); err != nil {
					t.Fatal(err)
				}
				for client, a := range accounts {
					if x["service"] != of(client) {
						continue
					}
					found++
					for _, k := range []string{"archived", "sent", "delayed", "bounced", "expired", "lost"} {
						if x[k] != float64(a[k]) {
							t.Errorf("%v: %s is %v, want %d", x["service"], k, x[k], a[k])
						}
					}
				}
			}
			if found != len(accounts) {
				t.Errorf("%d accounts, want %d", found, len(accounts))
			}
			page, err := os.ReadFile(html)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{"Of 9 sent messages, counted for each recipient, 1 is lost", "The account of each service", "later3@far.example", "later@far.example"} {
				if !strings.Contains(string(page), text) {
					t.Errorf("the page lacks %q", text)
				}
			}
		})
	}
	noComplaints(t, d)
}

// append adds lines to one of the gateway's configuration files, or makes it.
func (p *postfix) append(file, lines string) {
	p.t.Helper()
	f, err := os.OpenFile(filepath.Join(p.conf, file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = f.WriteString(lines)
	if err = errors.Join(err, f.Close()); err != nil {
		p.t.Fatal(err)
	}
}

// sendFrom hands a message over from an address of this host.
func (p *postfix) sendFrom(client string, msg []byte, to ...string) {
	p.t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}).Dial("tcp", p.address())
	if err != nil {
		p.t.Fatal(err)
	}
	c := smtp.NewClient(conn)
	defer c.Close()
	if err := c.SendMail("sender@example.net", to, strings.NewReader(string(msg))); err != nil {
		p.t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		p.t.Fatal(err)
	}
}

// waitingFor is the queue id of the message that waits for a recipient alone.
func (p *postfix) waitingFor(to string) string {
	p.t.Helper()
	for line := range strings.Lines(p.command("postqueue", "-c", p.conf, "-j")) {
		var m struct {
			ID string `json:"queue_id"`
			To []struct {
				Address string `json:"address"`
			} `json:"recipients"`
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			p.t.Fatalf("postqueue: %v: %s", err, line)
		}
		if len(m.To) == 1 && m.To[0].Address == to {
			return m.ID
		}
	}
	p.t.Fatalf("nothing waits for %s", to)
	return ""
}

// startSink is a host far away: it refuses "refused…" for good and "later…"
// for now, and takes all else. Its address is as Postfix wants a next hop.
func startSink(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return sink{}, nil }))
	s.Domain, s.ReadTimeout = "far.example", time.Minute
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("[%s]:%s", host, port)
}

type sink struct{}

func (sink) Mail(string, *smtp.MailOptions) error { return nil }
func (sink) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch {
	case strings.HasPrefix(to, "refused"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	case strings.HasPrefix(to, "later"):
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "try again"}
	}
	return nil
}

func (sink) Data(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}
func (sink) Reset()        {}
func (sink) Logout() error { return nil }
