//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// postfix is a private gateway in front of a dovecot: it puts every message on
// hold, where the archive takes its copy of the queue file, and delivers by LMTP
// what is released.
type postfix struct {
	t       *testing.T
	d       *dovecot
	conf    string
	port    int
	cmd     *exec.Cmd
	done    chan error
	archive string
}

var mainCF = template.Must(template.New("").Parse(`
compatibility_level = 3.6
queue_directory = {{.Base}}/queue
data_directory = {{.Base}}/data
daemon_directory = {{.Daemons}}
command_directory = /usr/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = {{.Base}}/log/postfix.log
maillog_file_prefixes = {{.Base}}
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = gateway.example.net
mydestination =
local_transport = error:no local mail
alias_maps =
recipient_delimiter = +
virtual_alias_maps = texthash:{{.Base}}/virtual
virtual_mailbox_domains = example.org
virtual_mailbox_maps = static:all
virtual_transport = lmtp:unix:{{.LMTP}}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_client_access static:HOLD, permit_mynetworks, reject
smtpd_peername_lookup = no
biff = no
`))

const masterCF = `
127.0.0.1:%d inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
`

// newPostfix configures a gateway with a queue of its own and starts it.
func newPostfix(t *testing.T, d *dovecot) *postfix {
	t.Helper()
	owner, err := user.Lookup("postfix")
	if _, perr := exec.LookPath("postfix"); perr != nil || err != nil {
		missing(t, "postfix is not installed")
	}
	p := &postfix{t: t, d: d, conf: d.file("postfix"), port: freePort(t), archive: d.file("gateway")}
	for _, dir := range []string{p.conf, filepath.Join(p.conf, "queue"), filepath.Join(p.conf, "data"), filepath.Join(p.conf, "log"), p.archive} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var uid, gid int
	fmt.Sscan(owner.Uid, &uid)
	fmt.Sscan(owner.Gid, &gid)
	if err := os.Chown(filepath.Join(p.conf, "data"), uid, gid); err != nil {
		t.Fatal(err)
	}
	var conf bytes.Buffer
	daemons := strings.TrimSpace(p.command("postconf", "-d", "-h", "daemon_directory"))
	if err := mainCF.Execute(&conf, map[string]any{"Base": p.conf, "Daemons": daemons, "LMTP": d.lmtpSocket()}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"main.cf": conf.String(), "master.cf": fmt.Sprintf(masterCF, p.port),
		"virtual": "team@example.org " + anna + ", " + bela + "\n",
	} {
		if err := os.WriteFile(filepath.Join(p.conf, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(p.stop)
	p.start()
	return p
}

// start runs the gateway in the foreground as our child.
func (p *postfix) start() {
	p.t.Helper()
	p.command("postfix", "-c", p.conf, "check")
	p.cmd = exec.Command("postfix", "-c", p.conf, "start-fg")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	p.cmd.Stdout, p.cmd.Stderr = &out, &out
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd := p.cmd
	p.done = make(chan error, 1)
	go func() { p.done <- cmd.Wait() }()
	p.wait("the gateway to answer", func() bool {
		select {
		case err := <-p.done:
			p.t.Fatalf("the gateway ended: %v\n%s", err, out.String())
		default:
		}
		c, err := net.Dial("tcp", p.address())
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

func (p *postfix) stop() {
	if p.cmd == nil {
		return
	}
	if p.t.Failed() {
		p.t.Logf("the gateway's log ends:\n%s", tail(p.logText(), 3000))
	}
	_ = exec.Command("postfix", "-c", p.conf, "stop").Run()
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.t.Error("the gateway did not end")
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		<-p.done
	}
	p.cmd = nil
}

func (p *postfix) address() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

func (p *postfix) logText() string {
	b, err := os.ReadFile(filepath.Join(p.conf, "log", "postfix.log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (p *postfix) wait(what string, ready func() bool) {
	p.t.Helper()
	for end := time.Now().Add(30 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("waited in vain for %s; the gateway's log:\n%s", what, tail(p.logText(), 3000))
		}
	}
}

// command runs one of Postfix' own.
func (p *postfix) command(name string, args ...string) string {
	p.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// send hands a message to the gateway, as the world does.
func (p *postfix) send(msg []byte, to ...string) {
	p.t.Helper()
	if err := smtp.SendMail(p.address(), nil, "sender@example.net", to, msg); err != nil {
		p.t.Fatal(err)
	}
}

// release lets the gateway deliver what is on hold, and returns when the queue
// is empty.
func (p *postfix) release() {
	p.t.Helper()
	p.letGo()
	p.wait("the gateway to deliver", func() bool {
		return strings.Contains(p.command("postqueue", "-c", p.conf, "-p"), "Mail queue is empty")
	})
}

// letGo copies what is on hold into the archive and lets the gateway deliver it.
func (p *postfix) letGo() {
	p.t.Helper()
	held, err := filepath.Glob(filepath.Join(p.conf, "queue", "hold", "*"))
	if err != nil || len(held) == 0 {
		p.t.Fatalf("nothing is on hold (%v); the gateway's log:\n%s", err, tail(p.logText(), 3000))
	}
	p.command("cp", append(append([]string{"-p"}, held...), p.archive)...)
	p.command("postsuper", "-c", p.conf, "-H", "ALL")
	p.command("postqueue", "-c", p.conf, "-f")
}
