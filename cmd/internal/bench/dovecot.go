package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
)

// dovecot is a private server that delivers by LMTP into homes on the file
// system under test.
type dovecot struct {
	base, homes string
	cmd         *exec.Cmd
}

const dovecotConf = `base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols = lmtp
listen = 127.0.0.1
ssl = no
default_internal_user = dovecot
default_login_user = dovenull
first_valid_uid = 0
mail_location = maildir:~/Maildir
mail_fsync = optimized
postmaster_address = postmaster@example.org
lmtp_rcpt_check_quota = no
auth_username_format = %%u
service lmtp {
  client_limit = 1
  process_min_avail = 8
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = static
  args = uid=5000 gid=5000 home=%[2]s/%%d/%%n allow_all_users=yes
}
namespace inbox {
  inbox = yes
  separator = /
}
`

// newDovecot configures a server; homes is where its users' mail goes.
func newDovecot(b *bench, _ string, homes string) (*dovecot, error) {
	base, err := os.MkdirTemp("/tmp", "msb") // short, for the socket's sake
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(base, 0o755); err != nil {
		return nil, err
	}
	d := &dovecot{base: base, homes: filepath.Join(homes, "dovecot")}
	for _, dir := range []string{filepath.Join(base, "run"), filepath.Join(base, "state"), d.homes} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Chown(d.homes, 5000, 5000); err != nil {
		return nil, err
	}
	return d, os.WriteFile(d.conf(), fmt.Appendf(nil, dovecotConf, base, d.homes), 0o644)
}

func (d *dovecot) conf() string   { return filepath.Join(d.base, "conf") }
func (d *dovecot) socket() string { return filepath.Join(d.base, "run", "lmtp") }

func (d *dovecot) start() error {
	d.cmd = exec.Command("dovecot", "-F", "-c", d.conf())
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	for range 500 {
		if c, err := net.Dial("unix", d.socket()); err == nil {
			return c.Close()
		}
		time.Sleep(20 * time.Millisecond)
	}
	p, _ := os.ReadFile(filepath.Join(d.base, "log"))
	return fmt.Errorf("the server does not answer: %s", p)
}

func (d *dovecot) stop() {
	if d.cmd != nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		_ = d.cmd.Wait()
		d.cmd = nil
	}
	_ = os.RemoveAll(d.base)
}

// backupCommand is a line that copies every user of a store with doveadm.
func (d *dovecot) backupCommand(store, link string) string {
	return `for u in ` + store + `/*/*; do n=${u#` + store + `/}; doveadm -c ` + d.conf() +
		` -o mail_fsync=always -o mail_location=maildir:$u/Maildir backup -u x maildir:$(readlink ` + link + `)/$n/Maildir || exit 1; done`
}

// lmtpDeliver hands messages to an LMTP server over several connections.
func lmtpDeliver(args []string) error {
	f := flag.NewFlagSet("lmtp-deliver", flag.ContinueOnError)
	socket := f.String("socket", "", "the server's socket")
	conns := f.Int("c", 8, "connections")
	n := f.Int("n", 2000, "messages")
	boxes := f.Int("boxes", 50, "recipients")
	prefix := f.String("prefix", "u", "of the recipients' names")
	size := f.Int("size", 10000, "bytes")
	if err := f.Parse(args); err != nil {
		return err
	}
	body := strings.Repeat("the quick brown fox jumps over the lazy dog and goes home\r\n", *size/59)
	var next atomic.Int64
	errs := make(chan error, *conns)
	var wg sync.WaitGroup
	for range *conns {
		wg.Go(func() {
			conn, err := net.Dial("unix", *socket)
			if err != nil {
				errs <- err
				return
			}
			c := smtp.NewClientLMTP(conn)
			defer c.Close()
			for i := next.Add(1); i <= int64(*n); i = next.Add(1) {
				msg := fmt.Sprintf("Message-ID: <%d.%s@bench>\r\nFrom: a@example.net\r\nSubject: %d\r\n\r\n%s", i, *prefix, i, body)
				to := fmt.Sprintf("%s%d@example.org", *prefix, i%int64(*boxes))
				if err := oneLMTP(c, to, msg); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func oneLMTP(c *smtp.Client, to, msg string) error {
	if err := c.Mail("a@example.net", nil); err != nil {
		return err
	}
	if err := c.Rcpt(to, nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(msg)); err != nil {
		return err
	}
	_, err = w.CloseWithLMTPResponse()
	return err
}
