package contract

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
	"mailsync/manifest"
)

func names(lines []drive.Line) map[string]bool {
	out := map[string]bool{}
	for _, l := range lines {
		out[l.Mailbox] = true
	}
	return out
}

func (l *lab) named(want ...string) {
	l.t.Helper()
	got := names(l.run(0, append([]string{"manifest", "ls"}, want[0])...).Find("mailbox"))
	for _, n := range want[1:] {
		if !got[n] {
			l.t.Errorf("no mailbox %q in %v", n, got)
		}
	}
	if len(got) != len(want)-1 {
		l.t.Errorf("mailboxes %v, want %v", got, want[1:])
	}
}

func TestMailboxesOfAPathAreNamedByPathWithoutMaildir(t *testing.T) {
	l := with(t, sample2)
	l.must(sample.New(sample.Options{Mailboxes: 1, PerMailbox: 3}).Write(l.path("mv")))
	l.must(os.MkdirAll(l.path("a", "plain"), 0o755))
	l.must(os.Rename(l.path("mv", "example.org/anna/Maildir"), l.path("a", "plain", "zoe")))
	l.run(0, "scan", "./a")
	l.named("./a", "example.org/anna", "example.org/bela", "plain/zoe")
}

func TestAStoreThatIsAMaildirIsOneMailboxNamedByItsDirectory(t *testing.T) {
	l := with(t, sample2)
	l.must(os.Rename(l.path("a", "example.org/anna/Maildir"), l.path("zoe")))
	l.run(0, "scan", "./zoe")
	l.named("./zoe", "zoe")
	b := l.bin
	b.Dir = l.path("zoe")
	r := l.runWith(b, 0, "scan", ".")
	if r.Count("mailboxes") != 1 || r.Count("folders") != 5 {
		t.Errorf("%s", r)
	}
}

func TestMailboxesOfALayoutAreNamedByTheAddress(t *testing.T) {
	l := with(t, sample2)
	l.config("[stores.primary]\npath = \"$DIR/a\"\nlayout = \"%d/%n/Maildir\"\nrole = \"primary\"\n")
	l.run(0, "scan", "primary")
	l.named("primary", "anna@example.org", "bela@example.org")
	tr, err := l.vandal("a").Break(manifest.Empty)
	l.must(err)
	r := l.run(1, "verify") // all stores of the config
	f := l.where(r, "finding", 1, func(f *drive.Line) bool { return f.Kind == "empty" })
	if len(f) == 1 && (f[0].Mailbox != tr.Mailbox || f[0].Store != "primary") {
		t.Errorf("%s", f[0].Raw)
	}
}

func TestMailboxesOfAUsersListAreNamedByTheAddress(t *testing.T) {
	l := with(t, sample2)
	users := l.put("users", "one@example.net\t"+l.path("a/example.org/anna/Maildir")+"\ntwo@example.net\t"+l.path("a/example.org/bela/Maildir")+"\n")
	l.config("[stores.primary]\npath = \"$DIR/a\"\nusers = \"" + users + "\"\n")
	l.run(0, "scan", "primary")
	l.named("primary", "one@example.net", "two@example.net")
	script := l.put("users.sh", "#!/bin/sh\ncat "+users+"\n")
	l.must(os.Chmod(script, 0o755))
	l.config("[stores.spare]\npath = \"$DIR/a\"\nusers = \"" + script + "\"\n")
	l.run(0, "scan", "spare")
	l.named("spare", "one@example.net", "two@example.net")
}

func TestAnEmptyStoreUnderARecordedPathIsRefused(t *testing.T) {
	l := with(t, small)
	l.run(0, "scan", "./a")
	l.must(os.Rename(l.path("a"), l.path("away")))
	l.must(os.Mkdir(l.path("a"), 0o755))
	for _, args := range [][]string{{"scan", "./a"}, {"verify", "./a"}, {"scan", "./a", "--rehash"}} {
		r := l.run(3, args...)
		l.where(r, "finding", 0, nil)
	}
	l.kept("./a", int64(l.e.Count()))
	l.must(os.Remove(l.path("a")))
	l.must(os.Rename(l.path("away"), l.path("a")))
	l.where(l.run(0, "scan", "./a"), "finding", 0, nil)
}

func (l *lab) kept(store string, messages int64) {
	l.t.Helper()
	sum := int64(0)
	for _, m := range l.run(0, "manifest", "ls", store).Find("mailbox") {
		sum += m.Messages
	}
	if sum != messages {
		l.t.Errorf("the record of %s holds %d messages, want %d", store, sum, messages)
	}
}

func TestAHalfGoneStoreIsRefused(t *testing.T) {
	l := with(t, sample.Options{Seed: 8, Mailboxes: 4, PerMailbox: 30, Size: 800})
	l.run(0, "scan", "./a")
	for _, b := range l.e.Boxes[1:] {
		l.must(os.RemoveAll(filepath.Join(l.path("a"), b.Path)))
	}
	l.where(l.run(3, "scan", "./a"), "finding", 0, nil)
	l.kept("./a", int64(l.e.Count()))
}

func TestReadingCommandsTouchNothing(t *testing.T) {
	l := twins(t, broken)
	_, err := l.vandal("b").BreakAll()
	l.must(err)
	archive := l.archive("gateway", nil)
	// The control: here an ordinary read moves an access time.
	l.put("control", "hello")
	control := l.files("control")
	if _, err := os.ReadFile(l.path("control")); err != nil || len(changes(control, l.files("control"))) == 0 {
		t.Logf("access times do not move on this file system, so that nothing is proved of them (%v)", err)
	}
	untouched := l.before("a", "b", "gateway")
	l.run(0, "scan", "./a")
	untouched("scan")
	l.run(1, "scan", "./b")
	l.run(0, "scan", "./a", "--rehash")
	untouched("scan --rehash")
	l.run(1, "verify", "./b")
	untouched("verify")
	l.run(1, "diff", "./a", "./b")
	untouched("diff")
	if r, err := l.bin.JSON(t.Context(), "audit", "--from", archive, "--to", "./b", "--since", "all"); err != nil || r.Code > 3 {
		t.Errorf("%v %s", err, r)
	}
	untouched("audit")
	for _, args := range [][]string{
		{"restore", "./b", "--from", "./a", "--dry-run"},
		{"restore", "./b", "--from", "./a", "--plan", "./plan"},
		{"replay", "--from", archive, "--to", "./b", "--since", "all", "--dry-run"},
		{"replay", "--from", archive, "--to", "./b", "--since", "all", "--plan", "./plan2"},
		{"runs"},
		{"manifest", "export", "./b"},
	} {
		if r, err := l.bin.JSON(t.Context(), args...); err != nil || r.Code > 3 {
			t.Errorf("%v %s", err, r)
		}
		untouched(strings.Join(args, " "))
	}
}

func TestARecordedStoreAnswersWhileItIsOffline(t *testing.T) {
	l := twins(t, small)
	l.run(0, "scan", "./a")
	l.run(0, "scan", "./b")
	gone := l.lose("a", 2, ordinary)
	l.must(os.Rename(l.path("b"), l.path("offline")))
	l.run(66, "diff", "./a", "./b")
	r := l.run(1, "diff", "./a", "./b", "--recorded", "./b")
	d := l.where(r, "difference", 2, func(d *drive.Line) bool { return d.Kind == "missing" })
	for _, x := range d {
		if string(x.Copies["./a"]) != "null" || string(x.Copies["./b"]) == "null" {
			t.Errorf("%s", x.Raw)
		}
	}
	_ = gone
	// Nothing can be copied from a record.
	if r, err := l.bin.JSON(t.Context(), "restore", "./a", "--from", "./b", "--yes"); err != nil || r.Code != 66 {
		t.Errorf("%v %s", err, r)
	}
}

func TestABrokenRecordExits65(t *testing.T) {
	l := with(t, small)
	l.run(0, "scan", "./a")
	l.run(0, "manifest", "check", "./a")
	n := 0
	l.must(filepath.WalkDir(l.path("state"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		p, err := os.ReadFile(path)
		if err == nil && len(p) > 400 {
			n++
			p[len(p)/2] ^= 0x10
			err = os.WriteFile(path, p, 0o600)
		}
		return err
	}))
	if n == 0 {
		t.Fatal("no file of the record was large enough to be broken")
	}
	l.run(65, "manifest", "check", "./a")
	for _, args := range [][]string{{"manifest", "export", "./a"}, {"diff", "./a", "./b", "--recorded", "./a"}} {
		r, err := l.bin.JSON(t.Context(), args...)
		l.must(err)
		if r.Code != 65 && r.Code != 3 && r.Code != 66 || len(r.Faults) > 0 {
			t.Errorf("%v: %s", args, r)
		}
	}
}

func TestALockedRecordExits75(t *testing.T) {
	l := with(t, small)
	l.run(0, "scan", "./a")
	// Every file that looks like a lock is held, as another scan holds it.
	held := 0
	l.must(filepath.WalkDir(l.path("state"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(d.Name(), "lock") {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = f.Close() })
		held++
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}))
	if held == 0 {
		t.Skip("the record has no lock file by that name")
	}
	l.run(75, "scan", "./a")
}

func TestAnUnchangedStoreIsReusedNotRead(t *testing.T) {
	l := with(t, small)
	for range 40 {
		r := l.run(0, "scan", "./a")
		if r.Count("read_bytes") == 0 {
			l.counts(r, map[string]int64{"reused": int64(l.e.Count()), "messages": int64(l.e.Count())})
			return
		}
	}
	t.Error("it is read again and again")
}
