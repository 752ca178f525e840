package scan

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestHostileTree(t *testing.T) {
	b := newTree(t)
	b.maildir("u", "v", "u/.Good")
	text := mail("x", 1000)
	b.put("u/cur", "1.good", text, ":2,S")
	b.put("v/cur", "1.secret", mail("secret", 1000), ":2,S")
	b.put("u/.Good/cur", "2.good", text, ":2,S")
	b.put("u/cur", "esc\x1b[31m", text, ":2,S")
	b.put("u/cur", "bytes\xff\xfe", text, ":2,S")
	b.write("u/cur/line\nbreak:2,S", text)
	b.write("u/cur/:2,S", text)
	b.write("u/cur/.hidden", text)
	b.check(os.Mkdir(b.at("u/cur/3.dir:2,S"), 0o700))
	b.check(unix.Mkfifo(b.at("u/cur/4.fifo:2,S"), 0o600))
	b.check(os.Symlink("../../v/cur", b.at("u/cur/5.link:2,S")))
	b.check(os.Symlink(b.at("v/cur"), b.at("u/new/6.abs")))
	b.check(os.Symlink("../v", b.at("u/.Evil")))
	b.maildir("u/.Swap")
	b.check(os.RemoveAll(b.at("u/.Swap/cur")))
	b.check(os.Symlink("../../v/cur", b.at("u/.Swap/cur")))
	want := []string{
		"bad_name INBOX cur/:2,S",
		"bad_name INBOX cur/line\nbreak:2,S",
		"not_regular Evil",
		"not_regular INBOX cur/3.dir:2,S",
		"not_regular INBOX cur/4.fifo:2,S",
		"not_regular INBOX cur/5.link:2,S",
		"not_regular INBOX new/6.abs",
		"not_regular Swap cur",
		"unreadable Swap",
	}
	if os.Getuid() == 0 && unix.Mknod(b.at("u/cur/7.zero:2,S"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) == nil {
		want = append(want[:6:6], append([]string{"not_regular INBOX cur/7.zero:2,S"}, want[6:]...)...)
	}
	b.old()
	s := scanner(t, b.path, Options{})
	m := mustLook(t, s, "u", nil, LookOptions{})
	if diff := cmp.Diff(want, m.kinds()); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, e := range m.entries {
		names = append(names, e.Folder+" "+e.Unique)
	}
	if diff := cmp.Diff([]string{"Good 2.good", "INBOX 1.good", "INBOX bytes\xff\xfe", "INBOX esc\x1b[31m"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestAccessTimesOfAStoreStay(t *testing.T) {
	b := newTree(t)
	b.maildir("u", "u/.Sent")
	b.many("u/cur", 5)
	b.many("u/.Sent/new", 5)
	b.write("u/dovecot-uidlist", "3 V1 N1\n")
	b.write("u/tmp/left", "half")
	old := unix.NsecToTimespec(1_000_000_000_000_000_000)
	mod := unix.NsecToTimespec(1_700_000_000_000_000_000)
	b.check(filepath.WalkDir(b.path, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{old, mod}, unix.AT_SYMLINK_NOFOLLOW)
	}))
	s := scanner(t, b.path, Options{OnAtime: func(p string) { t.Errorf("access time of %q is not spared", p) }})
	for _, err := range s.Mailboxes(t.Context()) {
		b.check(err)
	}
	m := mustLook(t, s, "u", nil, LookOptions{})
	mustLook(t, s, "u", m, LookOptions{Decide: DecideRead})
	if _, err := s.Lookup(t.Context(), "u", "INBOX", []string{"none"}); err != nil {
		t.Error(err)
	}
	b.check(filepath.WalkDir(b.path, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		b.check(unix.Lstat(p, &st))
		if st.Mtim != mod {
			t.Errorf("%s was written to", p)
		}
		return nil
	}))
	// The walk above reads directories itself: look at the files only.
	for _, p := range []string{"u/dovecot-uidlist", "u/tmp/left"} {
		var st unix.Stat_t
		b.check(unix.Lstat(b.at(p), &st))
		if st.Atim != old {
			t.Errorf("access time of %s moved", p)
		}
	}
	for _, e := range m.entries {
		var st unix.Stat_t
		dir := "u/"
		if e.Folder == "Sent" {
			dir = "u/.Sent/"
		}
		b.check(unix.Lstat(b.at(dir+e.File()), &st))
		if st.Atim != old {
			t.Errorf("access time of %s moved", e.Name)
		}
	}
}

func TestDeepFolders(t *testing.T) {
	b := newTree(t)
	dir := "u"
	b.maildir(dir)
	name := strings.Repeat("n", 40)
	for i := range 200 { // 8,000 bytes of path
		dir += "/" + name
		if i%50 == 49 {
			for _, sub := range []string{"cur", "new", "tmp"} {
				mkdirDeep(t, b.path, dir+"/"+sub)
			}
		}
	}
	s := configured(t, Config{Name: "primary", Path: b.path, Folders: 1}, Options{})
	m := mustLook(t, s, "u", nil, LookOptions{})
	if len(m.mb.Folders) != 5 || len(m.findings) != 0 {
		t.Errorf("%d folders, %v", len(m.mb.Folders), m.kinds())
	}
	again := mustLook(t, s, "u", m, LookOptions{})
	if len(again.mb.Folders) != 5 || len(again.findings) != 0 {
		t.Errorf("again %d folders, %v", len(again.mb.Folders), again.kinds())
	}
}

// mkdirDeep makes directories whose path is longer than the kernel takes.
func mkdirDeep(t *testing.T, base, path string) {
	t.Helper()
	fd, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(path, "/") {
		if err := unix.Mkdirat(fd, part, 0o700); err != nil && err != unix.EEXIST {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, part, unix.O_PATH|unix.O_DIRECTORY, 0)
		_ = unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		fd = next
	}
	_ = unix.Close(fd)
}

func TestManyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 100,000 files")
	}
	b := newTree(t)
	b.maildir("u")
	const n = 100_000
	first := b.put("u/cur", "1000000", mail("x", 200), ":2,")
	for i := 1; i < n; i++ { // one inode has at most 65,000 links on ext4
		name := fmt.Sprintf("u/cur/%d:2,", 1000000+i)
		if i%50_000 == 0 {
			first = name
			b.write(first, mail("x", 200))
			continue
		}
		b.check(os.Link(b.at(first), b.at(name)))
	}
	s := scanner(t, b.path, Options{})
	m := mustLook(t, s, "u", nil, LookOptions{})
	if len(m.entries) != n || len(m.findings) != 0 {
		t.Errorf("%d entries, %d findings", len(m.entries), len(m.findings))
	}
}

func TestDisorder(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	text := mail("x", 1000)
	b.put("u/cur", "1.h", text, ":2,S")
	b.put("u/new", "1.h", text, "")
	b.put("u/cur", "2.h", text, ";2,S")
	b.write("u/dovecot-keywords", "0 ok\nx broken\n")
	b.write("u/maildirsize", "1000S\n17 1\n")
	b.write("u/dovecot-uidlist", "3 V1 N9\n4 :a\n3 :b\n")
	b.write("u/tmp/whole", mail("lost", 1000))
	b.write("u/tmp/copy", text)
	b.write("u/tmp/half", "")
	b.old()
	clock := &later{100 * 24 * 3600 * 1e9}
	s := scanner(t, b.path, Options{Now: clock.now, BootAt: clock.now()})
	m := mustLook(t, s, "u", nil, LookOptions{})
	want := []string{
		"alternate_separator INBOX cur/" + named("2.h", text, ";2,S"),
		"duplicate_name INBOX cur/" + named("1.h", text, ":2,S"),
		"keywords_broken INBOX dovecot-keywords",
		"quota_stale INBOX maildirsize",
		"stale_tmp INBOX tmp/copy",
		"stale_tmp INBOX tmp/half",
		"stranded_tmp INBOX tmp/whole",
		"uidlist_broken INBOX dovecot-uidlist",
	}
	if diff := cmp.Diff(want, m.kinds()); diff != "" {
		t.Error(diff)
	}
	if m.watch != nil {
		t.Error("a disordered mailbox could be skipped")
	}
	// Without reading mail the whole message in tmp is still known to be there.
	leave := mustLook(t, s, "u", nil, LookOptions{Decide: decideLeave})
	if diff := cmp.Diff(want, leave.kinds()); diff != "" {
		t.Errorf("without reading: %s", diff)
	}
	// A copied store has fresh ctimes: the delivery's own name tells its age.
	b.write("u/tmp/1700000000.M1P1.h", mail("old", 900))
	b.write("u/tmp/unnamed", mail("fresh", 900))
	b.old()
	now := configured(t, Config{Name: "primary", Path: b.path}, Options{Now: time.Now, BootAt: time.Now().Add(-time.Minute)})
	if got := strings.Join(mustLook(t, now, "u", nil, LookOptions{}).kinds(), "\n"); !strings.Contains(got, "stranded_tmp INBOX tmp/1700000000.M1P1.h") || strings.Contains(got, "unnamed") {
		t.Errorf("copied store: %s", got)
	}
	b.write("u/dovecot-uidlist", "3 V1 N20\n4 :a\n")
	high := mustLook(t, s, "u", m, LookOptions{})
	b.write("u/dovecot-uidlist", "3 V1 N3\n4 :a\n5 :a\n")
	low := mustLook(t, s, "u", high, LookOptions{})
	got := strings.Join(low.kinds(), "\n")
	for _, k := range []string{"uidnext_low INBOX dovecot-uidlist", "uid_duplicate INBOX dovecot-uidlist"} {
		if !strings.Contains(got, k) {
			t.Errorf("no %s in\n%s", k, got)
		}
	}
}

// One user's deep tree must not end the scan of everybody else's mail: a
// mailbox whose folders are too many to be watched is recorded all the same.
func TestTooManyPathsToWatch(t *testing.T) {
	st := newState(t)
	dir := filepath.Join(st.path, "a")
	for range 200 {
		for _, sub := range []string{"cur", "new", "tmp"} {
			st.check(os.MkdirAll(filepath.Join(dir, sub), 0o700))
		}
		dir = filepath.Join(dir, "d")
	}
	for range 2 {
		r, _, err := st.scan(RunOptions{})
		st.check(err)
		if r.Counts.Folders != 200 {
			t.Errorf("%d folders are recorded, want 200", r.Counts.Folders)
		}
	}
}

// A UID list in which very many UIDs have one file name is told in so many
// findings, not in as many as it has lines.
func TestUIDListOfOneName(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	b.put("u/cur", "1.good", mail("x", 1000), ":2,S")
	list := "3 V1700000000 N9000 G0123456789abcdef0123456789abcdef\n"
	for i := range 5000 {
		list += fmt.Sprintf("%d :1.good\n", i+1)
	}
	b.write("u/dovecot-uidlist", list)
	b.old()
	s := scanner(t, b.path, Options{})
	m := mustLook(t, s, "u", nil, LookOptions{})
	if n := len(m.kinds()); n != maxDuplicates+1 {
		t.Errorf("%d findings", n)
	}
}
