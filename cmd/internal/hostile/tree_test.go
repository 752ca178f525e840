//go:build hostile

package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/cmd/internal/sample"
)

// plant is something that a user puts into his own mailbox.
type plant struct {
	name string
	root bool // needs root
	// open is a defect that is known and not yet mended: what the secret's owner
	// would see is told, not failed.
	open string
	put  func(g *ground) error
	// verify's exit codes; nil = 0, 1 or 3
	codes []int
}

var plants = []plant{
	{name: "symlink to a secret", put: func(g *ground) error {
		return os.Symlink(g.path("outside", "secret"), filepath.Join(g.inbox("cur"), "1700000001.M1P1.a:2,S"))
	}},
	{name: "relative symlink to a secret", put: func(g *ground) error {
		rel, err := filepath.Rel(g.inbox("cur"), g.path("outside", "secret"))
		if err != nil {
			return err
		}
		return os.Symlink(rel, filepath.Join(g.inbox("new"), "1700000001.M1P1.a"))
	}},
	{name: "symlink to another mailbox' message", put: func(g *ground) error {
		m := g.e.Boxes[1].Folders[0].Messages[0]
		return os.Symlink(m.Path(g.store()), filepath.Join(g.inbox("cur"), "1700000001.M1P1.a:2,S"))
	}},
	{name: "cur is a symlink", put: func(g *ground) error {
		if err := os.Rename(g.inbox("cur"), g.inbox("cur.was")); err != nil {
			return err
		}
		return os.Symlink(g.path("outside", "cur"), g.inbox("cur"))
	}},
	{name: "tmp is a symlink", put: func(g *ground) error {
		if err := os.Rename(g.inbox("tmp"), g.inbox("tmp.was")); err != nil {
			return err
		}
		return os.Symlink(g.path("outside"), g.inbox("tmp"))
	}},
	{name: "a folder is a symlink", put: func(g *ground) error {
		return os.Symlink(g.path("outside"), g.inbox(".Planted"))
	}},
	{name: "a folder is a symlink to the store", put: func(g *ground) error {
		return os.Symlink(g.store(), g.inbox(".Loop"))
	}},
	{name: "uidlist is a symlink", put: func(g *ground) error {
		if err := os.Remove(g.inbox("dovecot-uidlist")); err != nil {
			return err
		}
		return os.Symlink(g.path("outside", "secret"), g.inbox("dovecot-uidlist"))
	}},
	{name: "uidlist is a FIFO", put: func(g *ground) error {
		if err := os.Remove(g.inbox("dovecot-uidlist")); err != nil {
			return err
		}
		return syscall.Mkfifo(g.inbox("dovecot-uidlist"), 0o600)
	}},
	{name: "subscriptions is a FIFO", put: func(g *ground) error {
		if err := os.Remove(g.inbox("subscriptions")); err != nil {
			return err
		}
		return syscall.Mkfifo(g.inbox("subscriptions"), 0o600)
	}},
	{name: "index log is a FIFO", put: func(g *ground) error {
		return syscall.Mkfifo(g.inbox("dovecot.index.log"), 0o600)
	}},
	{name: "quarantine is a symlink", put: func(g *ground) error {
		return os.Symlink(g.path("outside"), filepath.Join(g.store(), ".mailsync"))
	}},
	{name: "FIFO", put: func(g *ground) error {
		return syscall.Mkfifo(filepath.Join(g.inbox("cur"), "1700000001.M1P1.fifo:2,S"), 0o600)
	}},
	{name: "socket", put: func(g *ground) error {
		// a socket's path must be short: bind where it is, by a relative name
		old, err := os.Getwd()
		if err != nil {
			return err
		}
		defer func() { _ = os.Chdir(old) }()
		if err := os.Chdir(g.inbox("cur")); err != nil {
			return err
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: "1700000001.sock", Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		return l.Close()
	}},
	{name: "directory named like a message", put: func(g *ground) error {
		return os.MkdirAll(filepath.Join(g.inbox("cur"), "1700000001.M1P1.dir:2,S", "cur"), 0o700)
	}},
	{name: "device", root: true, put: func(g *ground) error {
		return unix.Mknod(filepath.Join(g.inbox("cur"), "1700000001.M1P1.zero:2,S"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5)))
	}},
	{name: "hard link to somebody else's file", root: true, open: "a foreign file with two names is read like the mailbox' own", put: func(g *ground) error {
		if err := filepath.WalkDir(filepath.Join(g.store(), g.e.Boxes[0].Path), func(p string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(p, 5001, 5001)
		}); err != nil {
			return err
		}
		return os.Link(g.path("outside", "secret"), filepath.Join(g.inbox("cur"), "1700000001.M1P1.link:2,S"))
	}},
	{name: "a mount inside the mailbox", root: true, put: func(g *ground) error {
		at := g.inbox(".Mounted")
		if err := os.Mkdir(at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(g.path("outside"), at, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		g.t.Cleanup(func() { _ = unix.Unmount(at, 0) })
		return nil
	}},
	{name: "names", put: func(g *ground) error {
		for _, n := range []string{
			"1700000001.M1P1.a\nforged line: all is well:2,S",
			"1700000002.\x1b[31mred\x1b]0;title\x07:2,S",
			"1700000003.\xff\xfe\x80:2,S",
			"-rf",
			"1700000004.M4P1." + strings.Repeat("x", 255-16-4) + ":2,S",
			":2,S",
			"1700000005.M5P1.a:2,SSS\xc3\xa9",
			"1700000006.M6P1.a,S=99999999999999999999999:2,S",
			"1700000007.M7P1.a,S=-1,W=18446744073709551616:2,",
			" ",
			"\u202e1700000008.M8P1.a:2,S",
			"1700000009.M9P1.a:1,experimental",
		} {
			if err := os.WriteFile(filepath.Join(g.inbox("cur"), n), mailText(n), 0o600); err != nil {
				return fmt.Errorf("%q: %w", n, err)
			}
		}
		return nil
	}},
	{name: "folder names", put: func(g *ground) error {
		for _, n := range []string{".a\nb", ".\x1b[2J", ".&&&-", ".&AMU", ".\xff", "..hidden", "." + strings.Repeat("y.", 100) + "z", ".a..b", ".", "..."} {
			if n == "." {
				continue
			}
			for _, sub := range []string{"cur", "new", "tmp"} {
				if err := os.MkdirAll(filepath.Join(g.inbox(n), sub), 0o700); err != nil {
					return err
				}
			}
			if err := os.WriteFile(filepath.Join(g.inbox(n), "cur", "1700000001.M1P1.a:2,S"), mailText(n), 0o600); err != nil {
				return err
			}
		}
		return nil
	}},
	{name: "deep tree", put: func(g *ground) error {
		dir := g.inbox("deep")
		for range 200 {
			dir = filepath.Join(dir, "d")
		}
		return os.MkdirAll(filepath.Join(dir, "cur"), 0o700)
	}},
	{name: "trees deeper than a path can be", put: func(g *ground) error {
		return errors.Join(deep(g.inbox("deeper"), size(5000, 600)), deep(filepath.Join(g.inbox("cur"), "1700000001.M1P1.dir:2,S"), size(5000, 600)))
	}},
	{name: "sparse file", put: func(g *ground) error {
		n := int64(size(16, 1)) << 30
		f, err := os.Create(filepath.Join(g.inbox("cur"), fmt.Sprintf("1700000001.M1P1.sparse,S=%d:2,S", n)))
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Truncate(n)
	}},
	{name: "unreadable file and directory", put: func(g *ground) error {
		if err := os.Chmod(g.e.Boxes[0].Folders[0].Messages[0].Path(g.store()), 0); err != nil {
			return err
		}
		return os.Chmod(filepath.Join(g.store(), g.e.Boxes[0].Path, g.e.Boxes[0].Folders[1].Dir, "cur"), 0)
	}},
	{name: "hard links of one message", put: func(g *ground) error {
		m := g.e.Boxes[0].Folders[0].Messages[0]
		for i := range 50 {
			if err := os.Link(m.Path(g.store()), filepath.Join(g.inbox("cur"), fmt.Sprintf("17000000%02d.M1P1.l:2,S", i))); err != nil {
				return err
			}
		}
		return nil
	}},
	{name: "uidlist of many lines", put: func(g *ground) error {
		var b strings.Builder
		b.WriteString("3 V1700000000 N1 G0123456789abcdef0123456789abcdef\n")
		for i := range size(1000000, 200000) {
			fmt.Fprintf(&b, "%d :%d.nobody\n", i+1, i)
		}
		return os.WriteFile(g.inbox("dovecot-uidlist"), []byte(b.String()), 0o600)
	}},
	{name: "uidlist of one name", put: func(g *ground) error {
		var b strings.Builder
		b.WriteString("3 V1700000000 N1 G0123456789abcdef0123456789abcdef\n")
		for i := range size(1000000, 100000) {
			fmt.Fprintf(&b, "%d S1 W1 :same\n", i+1)
		}
		return os.WriteFile(g.inbox("dovecot-uidlist"), []byte(b.String()), 0o600)
	}},
	{name: "uidlist of one long line", put: func(g *ground) error {
		return os.WriteFile(g.inbox("dovecot-uidlist"), append([]byte("3 V1 N1 G"), make([]byte, size(100, 20)<<20)...), 0o600)
	}},
	{name: "huge keywords and quota", put: func(g *ground) error {
		if err := os.WriteFile(g.inbox("dovecot-keywords"), []byte(strings.Repeat("0 a\n", size(12, 3)<<20)), 0o600); err != nil {
			return err
		}
		return os.WriteFile(g.inbox("maildirsize"), []byte(strings.Repeat("99999999999999999999 1\n", size(2, 1)<<20)), 0o600)
	}},
	{name: "index log of garbage", put: func(g *ground) error {
		p := make([]byte, 1<<20)
		for i := range p {
			p[i] = byte(i * 2654435761 >> 13)
		}
		copy(p, []byte{1, 3, 24, 0, 1, 0, 0, 0, 1, 0, 0, 0})
		return os.WriteFile(g.inbox("dovecot.index.log"), p, 0o600)
	}},
	{name: "index log of very many expunges", put: func(g *ground) error {
		// A loss is what makes anybody read it.
		if err := os.Remove(g.e.Boxes[0].Folders[0].Messages[0].Path(g.store())); err != nil {
			return err
		}
		p := make([]byte, 40, 64<<20)
		copy(p, []byte{1, 3, 40, 0, 1, 0, 0, 0, 1, 0, 0, 0})
		p[32] = 1 // little endian
		for i := range uint32(size(2_000_000, 200_000)) {
			p = binary.BigEndian.AppendUint32(p, 0x80808087) // 28 bytes
			p = binary.LittleEndian.AppendUint32(p, 0x0000cd90|0x00002000)
			p = binary.LittleEndian.AppendUint32(p, i+1)
			p = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(p, uint64(i)*2654435761+1), uint64(i))
		}
		return errors.Join(os.WriteFile(g.inbox("dovecot.index.log"), p, 0o600), os.WriteFile(g.inbox("dovecot.index.log.2"), p, 0o600))
	}},
	{name: "huge header", put: func(g *ground) error {
		p := []byte("Subject: x\nX-Long: " + strings.Repeat("y", size(100, 20)<<20) + "\n\nbody\n")
		return os.WriteFile(filepath.Join(g.inbox("cur"), fmt.Sprintf("1700000001.M1P1.long,S=%d:2,S", len(p))), p, 0o600)
	}},
	{name: "millions of header fields", put: func(g *ground) error {
		p := []byte(strings.Repeat("a:b\n", size(10, 2)<<20) + "\nbody\n")
		return os.WriteFile(filepath.Join(g.inbox("cur"), fmt.Sprintf("1700000001.M1P1.many,S=%d:2,S", len(p))), p, 0o600)
	}},
	{name: "gzip bomb", put: func(g *ground) error {
		return os.WriteFile(filepath.Join(g.inbox("cur"), "1700000001.M1P1.bomb,S=100:2,S"), gzipBomb(int64(size(1024, 256))<<20), 0o600)
	}},
	{name: "thousands of files in new", put: func(g *ground) error {
		for i := range size(100000, 600) {
			if err := os.WriteFile(filepath.Join(g.inbox("new"), fmt.Sprintf("1700000001.M%dP1.many", i)), []byte("Subject: x\n\ny\n"), 0o600); err != nil {
				return err
			}
		}
		return nil
	}},
}

// deep makes directories in directories, by descriptors: no path leads to the
// last of them.
func deep(at string, levels int) error {
	if err := os.Mkdir(at, 0o700); err != nil {
		return err
	}
	fd, err := unix.Open(at, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for i := 0; err == nil && i < levels; i++ {
		name := "ten-letters"
		if i == levels-1 {
			name = "cur"
		}
		if err = unix.Mkdirat(fd, name, 0o700); err != nil {
			break
		}
		var next int
		next, err = unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
		_ = unix.Close(fd)
		fd = next
	}
	return errors.Join(err, unix.Close(fd))
}

func mailText(s string) []byte {
	return fmt.Appendf(nil, "Message-ID: <%x@example.net>\nSubject: x\n\nbody\n", s)
}

// Whatever a user plants in his mailbox, every command ends in time, prints
// nothing that a terminal would obey, touches and reveals nothing outside, and
// the other mailboxes are served.
func TestPlanted(t *testing.T) {
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			if p.root && os.Geteuid() != 0 {
				t.Skip("needs root")
			}
			g := newGround(t, sample.Options{Seed: 1, PerMailbox: 12})
			g.once([]int{0}, "scan", g.store())
			g.once([]int{0}, "scan", g.replica())
			if err := p.put(g); err != nil {
				t.Fatal(err)
			}
			if p.open != "" {
				t.Logf("OPEN: %s", p.open)
				g.secret = []byte("nothing") // its bytes are not looked for
			}
			codes := p.codes
			if codes == nil {
				codes = []int{0, 1, 3}
			}
			fresh := *g
			fresh.bin.State = g.path("state2")
			fresh.once(codes, "scan", g.store())
			g.attack(codes, "verify", g.store())
			g.attack(codes, "scan", g.store())
			g.attack(codes, "diff", g.store(), g.replica())
			g.attack(codes, "restore", g.store(), "--from", g.replica(), "--dry-run")
			// the planted store as the source: nothing planted may be copied
			to := g.path("migrated")
			must(t, os.Mkdir(to, 0o755))
			g.once(codes, "restore", to, "--from", g.store(), "--yes")
			if p.open == "" {
				g.noLeak("migrated")
			}
			// and as the target, with one loss to put back
			m := g.e.Boxes[1].Folders[0].Messages[1]
			must(t, os.Remove(m.Path(g.store())))
			g.once(codes, "restore", g.store(), "--from", g.replica(), "--undecided", "restore", "--yes")
			if _, err := os.Stat(m.Path(g.store())); err != nil {
				t.Errorf("the loss in another mailbox was not put back: %v", err)
			}
			g.safe()
		})
	}
}

// A file whose owner holds a lease on it, and a FIFO that is opened by a
// writer, make nobody wait.
func TestLeaseMakesNobodyWait(t *testing.T) {
	g := newGround(t, sample.Options{Seed: 1, PerMailbox: 6})
	path := g.e.Boxes[0].Folders[0].Messages[0].Path(g.store())
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skipf("no lease can be taken here: %v", err)
	}
	began := time.Now()
	r := g.once([]int{0, 3}, "scan", g.store())
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it waited %v for the lease: %s", took, r)
	}
}
