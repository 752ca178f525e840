//go:build vm

package vm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/sample"
)

// install is what an administrator does with the package, in the layer above the
// root, and a disk with the mail and the state directory. Nothing else of this
// machine's is started; the mail server is a stand-in of its unit's name.
const install = `
mount /dev/vda /srv && mkdir -p /srv/state /var/lib/mailsync && mount --bind /srv/state /var/lib/mailsync
rm -rf /etc/systemd/system/*.wants /etc/systemd/system/default.target /.dockerenv
systemctl mask -q systemd-tmpfiles-setup.service # slow here, and of no use
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
dpkg -i DIR/mailsync.deb || echo 'RESULT package not installed'
mkdir -p /etc/mailsync /var/lib/prometheus/node-exporter
cat >/etc/mailsync/mailsync.toml <<EOF
[stores.primary]
path = "/srv/mail"
layout = "LAYOUT"
EOF
cat >/etc/systemd/system/dovecot.service <<EOF
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
EOF
cat >/etc/systemd/system/try.service <<EOF
[Unit]
After=dovecot.service mailsync-stop.service
[Service]
Type=oneshot
ExecStart=/bin/bash -c 'exec DIR/try >/dev/ttyS1 2>&1'
TimeoutStartSec=20min
[Install]
WantedBy=multi-user.target
EOF
systemctl enable -q mailsync-scan.timer mailsync-monitor.timer mailsync-stop.service mailsync-boot.service dovecot.service try.service
`

// prelude are the words of the scripts that run as a unit there.
const prelude = `#!/bin/bash
ended() { echo "RESULT $1 $(systemctl show -P Result "$1") $(systemctl show -P ExecMainStatus "$1")"; }
run() { systemctl start "$1"; ended "$1"; }
said() { journalctl -b -u "$1" -o cat --no-pager; }
at() { systemctl show -P "$2" "$1"; }
echo "RESULT failed units: $(systemctl --failed --plain --no-legend | wc -l)"
`

// The package's units under a real systemd: a night's scan, the metrics, a stop
// in good order, a boot after it, a crash, and a boot after that.
func TestUnits(t *testing.T) {
	m := newMachine(t)
	needs(t, "/lib/systemd/systemd", "mkfs.ext4", "rpmbuild", "git")
	do(t, "sh", "-c", "cd ../../.. && go run ./cmd/internal/dist -arch amd64 -o "+m.path("dist"))
	debs, err := filepath.Glob(m.path("dist/*.deb"))
	must(t, err)
	if len(debs) != 1 {
		t.Fatalf("packages: %v", debs)
	}
	do(t, "mv", debs[0], m.path("mailsync.deb"))

	estate := sample.New(sample.Options{Seed: 5, Mailboxes: 3, PerMailbox: 30, Size: 2000, Folders: []string{"INBOX", "Sent"}})
	must(t, estate.Write(m.path("disk/mail")))
	must(t, os.MkdirAll(m.path("disk/state"), 0o700))
	disk := m.path("vda")
	do(t, "mkfs.ext4", "-q", "-F", "-d", m.path("disk"), disk, "64M")

	boot := func(script string) string {
		t.Helper()
		m.write("try", prelude+script)
		return m.boot(15*time.Minute, strings.NewReplacer("DIR", m.dir, "LAYOUT", sample.Layout).Replace(install), "#!/bin/bash\nexec /lib/systemd/systemd\n", disk)
	}
	want := func(out string, lines ...string) {
		t.Helper()
		for _, l := range lines {
			if !strings.Contains(out, l) {
				t.Errorf("not said: %s", l)
			}
		}
	}

	out := boot(`
ended mailsync-stop.service
ended mailsync-boot.service
said mailsync-boot.service
run mailsync-scan.service
said mailsync-scan.service
run mailsync-monitor.service
said mailsync-monitor.service
ls -l /var/lib/prometheus/node-exporter; grep -c ^mailsync_ /var/lib/prometheus/node-exporter/mailsync.prom
systemctl list-timers --no-pager --all --no-legend 'mailsync-*'
systemctl poweroff
`)
	want(out, "RESULT failed units: 0", "RESULT mailsync-stop.service success 0", "RESULT mailsync-scan.service success 0", "RESULT mailsync-monitor.service success")

	victim := ""
	for mail := range estate.Messages() {
		if mail.Folder == "INBOX" && mail.Sub.String() == "cur" {
			victim = mail.Path("/srv/mail")
			break
		}
	}
	out = boot(`
ended mailsync-stop.service
ended mailsync-boot.service
said mailsync-boot.service
said mailsync-stop.service
echo "RESULT boot before server: $(( $(at mailsync-boot.service ExecMainExitTimestampMonotonic) < $(at dovecot.service ExecMainStartTimestampMonotonic) ))"
run mailsync-scan.service
said mailsync-scan.service
: >'` + victim + `'
sync
echo b >/proc/sysrq-trigger
sleep 60
`)
	want(out, "RESULT failed units: 0", "RESULT mailsync-stop.service success 0", "RESULT mailsync-boot.service success 0", "RESULT boot before server: 1")

	out = boot(`
ended mailsync-boot.service
said mailsync-boot.service
systemctl poweroff
`)
	want(out, "RESULT failed units: 0", "RESULT mailsync-boot.service success 1")
}
