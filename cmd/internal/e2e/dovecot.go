//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// mailUser owns all mailboxes, as the one virtual user of most installations.
const mailUser = 5000

// dovecot is a private server and the store that it writes.
type dovecot struct {
	t    *testing.T
	base string // short: the path of a Unix socket must fit in 108 bytes
	port int
	cmd  *exec.Cmd
	done chan error
}

// The users are those of the first three mailboxes of a sample estate.
const (
	anna  = "anna@example.org"
	bela  = "bela@example.org"
	carla = "carla@example.org"
)

var users = []string{anna, bela, carla}

const password = "secret"

var configuration = template.Must(template.New("").Parse(`
base_dir = {{.Base}}/run
state_dir = {{.Base}}/state
log_path = {{.Base}}/log/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
default_internal_user = dovecot
default_login_user = dovenull
mail_location = maildir:~/Maildir
mail_fsync = optimized
maildir_very_dirty_syncs = no
namespace inbox {
  inbox = yes
  separator = /
}
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {{.Base}}/users
}
userdb {
  driver = passwd-file
  args = username_format=%u {{.Base}}/users
}
service imap-login {
  chroot =
  inet_listener imap {
    port = {{.Port}}
  }
  inet_listener imaps {
    port = 0
  }
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
protocol lmtp {
  auth_username_format = %u
}
`))

// newDovecot configures a server with an empty store and starts it.
func newDovecot(t *testing.T) *dovecot {
	t.Helper()
	needs(t)
	base, err := os.MkdirTemp("/tmp", "mse")
	if err != nil {
		t.Fatal(err)
	}
	d := &dovecot{t: t, base: base, port: freePort(t)}
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			bad := d.complaints()
			t.Logf("the server's log has %d complaints; the first and the end:\n%s\n%s", len(bad), strings.Join(bad[:min(12, len(bad))], "\n"), tail(d.logText(), 1500))
		}
		_ = os.RemoveAll(base)
	})
	for _, sub := range []string{"run", "state", "mail", "log"} {
		if err := os.Mkdir(filepath.Join(base, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(d.store(), mailUser, mailUser); err != nil {
		t.Fatal(err)
	}
	var list, conf bytes.Buffer
	for _, u := range users {
		list.WriteString(d.userLine(u))
	}
	if err := configuration.Execute(&conf, map[string]any{"Base": base, "Port": d.port}); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string][]byte{"users": list.Bytes(), "dovecot.conf": conf.Bytes()} {
		if err := os.WriteFile(filepath.Join(base, name), p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d.start()
	return d
}

// configure starts the server anew with more settings, in the place of those
// of an earlier call.
func (d *dovecot) configure(more string) {
	d.t.Helper()
	d.stop()
	text, err := os.ReadFile(d.conf())
	if err != nil {
		d.t.Fatal(err)
	}
	base, _, _ := strings.Cut(string(text), "\n# more\n")
	if err := os.WriteFile(d.conf(), []byte(base+"\n# more\n"+more), 0o644); err != nil {
		d.t.Fatal(err)
	}
	d.start()
}

func needs(t *testing.T) {
	t.Helper()
	why := ""
	if os.Geteuid() != 0 {
		why = "a private Dovecot needs root"
	} else if _, err := exec.LookPath("dovecot"); err != nil {
		why = "dovecot is not installed (dovecot-core dovecot-imapd dovecot-lmtpd)"
	}
	if why != "" {
		missing(t, why)
	}
}

// missing skips a test for which this machine lacks something; where it must run,
// it fails.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" && os.Getenv("MAILSYNC_REQUIRE") == "1" {
		t.Fatalf("cannot run here, and must: %s", why)
	}
	t.Skipf("SKIPPED, nothing was proved: %s", why)
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (d *dovecot) store() string           { return filepath.Join(d.base, "mail") }
func (d *dovecot) conf() string            { return filepath.Join(d.base, "dovecot.conf") }
func (d *dovecot) maildir(u string) string { return filepath.Join(d.store(), home(u), "Maildir") }
func (d *dovecot) lmtpSocket() string      { return filepath.Join(d.base, "run", "lmtp") }
func (d *dovecot) address() string         { return fmt.Sprintf("127.0.0.1:%d", d.port) }
func (d *dovecot) file(parts ...string) string {
	return filepath.Join(append([]string{d.base}, parts...)...)
}

// userLine is a user in the server's list.
func (d *dovecot) userLine(u string) string {
	return fmt.Sprintf("%s:{PLAIN}%s:%d:%d::%s/%s::\n", u, password, mailUser, mailUser, d.store(), home(u))
}

// addUser makes the server know one more user.
func (d *dovecot) addUser(u string) {
	d.t.Helper()
	f, err := os.OpenFile(d.file("users"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	_, err = f.WriteString(d.userLine(u))
	if err = errors.Join(err, f.Close()); err != nil {
		d.t.Fatal(err)
	}
}

// home is a user's directory below the store.
func home(user string) string {
	name, domain, _ := strings.Cut(user, "@")
	return domain + "/" + name
}

// start runs the server in the foreground as our child and waits until it
// answers.
func (d *dovecot) start() {
	d.t.Helper()
	d.cmd = exec.Command("dovecot", "-F", "-c", d.conf())
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	cmd := d.cmd
	d.done = make(chan error, 1)
	go func() { d.done <- cmd.Wait() }()
	d.wait("the server to answer", func() bool {
		c, err := net.Dial("tcp", d.address())
		if err != nil {
			return false
		}
		c.Close()
		l, err := net.Dial("unix", d.lmtpSocket())
		if err != nil {
			return false
		}
		l.Close()
		return true
	})
}

// stop ends the server and waits until all of it is gone.
func (d *dovecot) stop() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		d.t.Error("the server did not end")
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	// Its workers are gone when nobody of its process group is left.
	group := -d.cmd.Process.Pid
	d.wait("the server's workers to end", func() bool { return errors.Is(syscall.Kill(group, 0), syscall.ESRCH) })
	d.cmd = nil
}

// wait polls until what is waited for has happened.
func (d *dovecot) wait(what string, ready func() bool) {
	d.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("waited in vain for %s; the server's log:\n%s", what, tail(d.logText(), 3000))
		}
	}
}

func (d *dovecot) logText() string {
	p, err := os.ReadFile(d.file("log", "dovecot.log"))
	if err != nil {
		return err.Error()
	}
	return string(p)
}

var (
	complaint = regexp.MustCompile(`(?i)\b(error|warning|panic|fatal)\b`)
	ofKilling = regexp.MustCompile(`Killed with signal 15|Shutting down|Log synchronization`)
)

// complaints are the lines of the server's log that it should not have had to
// write.
func (d *dovecot) complaints() []string {
	var out []string
	for _, l := range strings.Split(d.logText(), "\n") {
		if complaint.MatchString(l) && !ofKilling.MatchString(l) {
			out = append(out, l)
		}
	}
	return out
}

// doveadm runs an administrator's command of the server.
func (d *dovecot) doveadm(args ...string) string {
	d.t.Helper()
	out, err := exec.Command("doveadm", append([]string{"-c", d.conf()}, args...)...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("doveadm %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}
