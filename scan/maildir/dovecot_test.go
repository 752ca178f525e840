package maildir

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mailsync/scan/corpustest"
)

// dovecot is a Dovecot of the test's own: doveadm works on the files without
// a server.
type dovecot struct {
	t    *testing.T
	conf string
	env  []string
	dir  string
}

const dovecotUser = "a@example.org"

func newDovecot(t *testing.T, location string) *dovecot {
	t.Helper()
	if _, err := exec.LookPath("doveadm"); err != nil {
		t.Skip("NOT TESTED AGAINST DOVECOT: doveadm is not installed")
	}
	d := &dovecot{t: t, dir: t.TempDir()}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 { // doveadm drops its privileges, and mail never belongs to root
		uid, gid = 65534, 65534
		for _, p := range []string{d.dir, filepath.Dir(d.dir)} {
			if err := errors.Join(os.Chmod(p, 0o755), os.Chown(p, uid, gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.conf = filepath.Join(d.dir, "dovecot.conf")
	conf := fmt.Sprintf("mail_uid = %d\nmail_gid = %d\nfirst_valid_uid = 1\nbase_dir = %s\nstate_dir = %s\nlog_path = /dev/stderr\nmail_location = %s\nnamespace inbox {\n  inbox = yes\n  separator = /\n}\n",
		uid, gid, d.dir, d.dir, strings.ReplaceAll(location, "DIR", d.dir))
	if err := os.WriteFile(d.conf, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	d.env = append(os.Environ(), "USER="+dovecotUser, "HOME="+d.dir)
	return d
}

// do runs doveadm.
func (d *dovecot) do(stdin string, args ...string) string {
	d.t.Helper()
	cmd := exec.Command("doveadm", append([]string{"-c", d.conf}, args...)...)
	cmd.Env, cmd.Stdin, cmd.Dir = d.env, strings.NewReader(stdin), d.dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("doveadm %q: %v\n%s", args, err, errs.Bytes())
	}
	return string(out)
}

func (d *dovecot) save(mailbox string, n int) {
	for i := range n {
		d.do(fmt.Sprintf("Subject: %d\nMessage-ID: <%d@example.org>\n\nbody %d\n", i, i, i), "save", "-m", mailbox)
	}
}

// status returns the numbers of doveadm mailbox status.
func (d *dovecot) status(mailbox string) map[string]uint64 {
	got := map[string]uint64{}
	for kv := range strings.FieldsSeq(d.do("", "-f", "flow", "mailbox", "status", "uidvalidity uidnext highestmodseq messages", mailbox)) {
		if k, v, ok := strings.Cut(kv, "="); ok {
			n, err := strconv.ParseUint(v, 10, 64)
			if err != nil {
				d.t.Fatal(err)
			}
			got[k] = n
		}
	}
	return got
}

func readLogs(t *testing.T, dir string) *IndexLog {
	t.Helper()
	l := new(IndexLog)
	for _, name := range []string{IndexLogOldFile, IndexLogFile} {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Read(f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = f.Close()
	}
	return l
}

// What Dovecot did is read off its files: where they lie, what they hold, and who
// deleted what.
func TestDovecotAgrees(t *testing.T) {
	t.Parallel()
	d := newDovecot(t, "maildir:DIR/mail/%2.256Nu/%1Mu/%d/%n:CONTROL=DIR/ctl:INDEX=DIR/idx")
	tm, err := ParseTemplate("%2.256Nu/%1Mu/%d/%n")
	if err != nil {
		t.Fatal(err)
	}
	rel, err := tm.Expand(dovecotUser, "")
	if err != nil {
		t.Fatal(err)
	}
	p := Place{Root: filepath.Join(d.dir, "mail", rel), Control: filepath.Join(d.dir, "ctl"), Index: filepath.Join(d.dir, "idx")}

	d.save("INBOX", 8)
	d.do("", "flags", "add", `\Seen Work $Label1`, "mailbox", "INBOX", "uid", "4")
	folders := []string{"Sent", "Archive/2025", "Årets møter", "R&D", "日本語/テスト"}
	for _, name := range folders {
		d.do("", "mailbox", "create", name)
		d.do("", "mailbox", "subscribe", name)
	}
	d.save("Archive/2025", 1)

	// names, folders, subscriptions
	for _, name := range append([]string{"INBOX"}, folders...) {
		dir, err := p.Folders().Dir(name)
		if err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(filepath.Join(p.MessageDir(dir), "cur")); err != nil || !fi.IsDir() {
			t.Errorf("%s is not where it should be: %v", name, err)
		}
		for typ, want := range map[string]string{"mailbox": p.MessageDir(dir), "control": p.ControlDir(dir), "index": p.IndexDir(dir)} {
			if got := strings.TrimSpace(d.do("", "mailbox", "path", "-t", typ, name)); got != want {
				t.Errorf("%s of %s lies in %q, Dovecot says %q", typ, name, want, got)
			}
		}
	}
	f, err := os.Open(filepath.Join(p.ControlRoot(), SubscriptionsFile))
	if err != nil {
		t.Fatal(err)
	}
	subs, err := ParseSubscriptions(f, p.Folders())
	_ = f.Close()
	sorted := slices.Sorted(slices.Values(folders))
	if err != nil || !cmp.Equal(subs.Folders, sorted) {
		t.Errorf("subscriptions %q, want %q (%v)", subs.Folders, sorted, err)
	}

	// UIDs, GUIDs, keywords
	list := readUIDs(t, filepath.Join(p.ControlDir(""), UIDListFile))
	var uids []uint32
	for _, r := range list.records {
		uids = append(uids, r.UID)
	}
	if !slices.Equal(uids, []uint32{1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Fatalf("UIDs %v", uids)
	}
	names := map[uint32]Name{}
	for _, sub := range []string{"new", "cur"} {
		ents, err := os.ReadDir(filepath.Join(p.MessageDir(""), sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range ents {
			n := ParseName(e.Name())
			uid := list.index.UID(n.ServerBase)
			if uid == 0 {
				t.Errorf("%q is not in the list", e.Name())
			}
			names[uid] = n
		}
	}
	kf, err := os.Open(filepath.Join(p.ControlDir(""), KeywordsFile))
	if err != nil {
		t.Fatal(err)
	}
	keywords, err := ParseKeywords(kf)
	_ = kf.Close()
	if n := names[4]; err != nil || n.Flags != "S" || !cmp.Equal(keywords.Names(n.Letters), []string{"$Label1", "Work"}) {
		t.Errorf("%q: flags %q, keywords %q (%v)", n.Full, n.Flags, keywords.Names(n.Letters), err)
	}

	// a client deletes 2 and 5; 3 and 7 are lost
	d.do("", "expunge", "mailbox", "INBOX", "uid", "2,5")
	for _, uid := range []uint32{3, 7} {
		for _, sub := range []string{"new", "cur"} {
			_ = os.Remove(filepath.Join(p.MessageDir(""), sub, names[uid].Full))
		}
	}
	before := readLogs(t, p.IndexDir(""))
	if before.UID(3) != NotInLog || before.UID(2) != Requested {
		t.Error("before the server looked: the loss is in the log, or the deletion is not")
	}
	d.do("", "fetch", "uid", "mailbox", "INBOX", "all")
	l := readLogs(t, p.IndexDir(""))
	for uid, want := range map[uint32]Gone{1: NotInLog, 2: Requested, 3: Noticed, 4: NotInLog, 5: Requested, 7: Noticed, 8: NotInLog} {
		if got := l.UID(uid); got != want {
			t.Errorf("UID %d: %v, want %v", uid, got, want)
		}
	}
	for uid, want := range map[uint32]Gone{2: Requested, 5: Requested, 1: NotInLog} {
		if got := l.GUID(GUID("", names[uid].ServerBase)); got != want {
			t.Errorf("GUID of UID %d: %v, want %v", uid, got, want)
		}
	}
	st := d.status("INBOX")
	if uint64(l.UIDValidity) != st["uidvalidity"] || uint64(l.NextUID) != st["uidnext"] || l.HighestModSeq != st["highestmodseq"] {
		t.Errorf("log: %d %d %d, Dovecot: %v", l.UIDValidity, l.NextUID, l.HighestModSeq, st)
	}
	if list = readUIDs(t, filepath.Join(p.ControlDir(""), UIDListFile)); uint64(list.next) != st["uidnext"] || uint64(list.header.UIDValidity) != st["uidvalidity"] {
		t.Errorf("list: next %d, UIDVALIDITY %d, Dovecot: %v", list.next, list.header.UIDValidity, st)
	}

	// enough changes for an index file
	for i := 0; i < 60; i++ {
		if _, err := os.Stat(filepath.Join(p.IndexDir(""), IndexFile)); err == nil {
			break
		}
		d.do("", "flags", []string{"add", "remove"}[i%2], `\Answered K`+strconv.Itoa(i%20), "mailbox", "INBOX", "all")
	}
	xf, err := os.Open(filepath.Join(p.IndexDir(""), IndexFile))
	if err != nil {
		t.Fatal(err)
	}
	h, err := ReadIndexHeader(xf)
	_ = xf.Close()
	st = d.status("INBOX")
	if err != nil || uint64(h.UIDValidity) != st["uidvalidity"] || uint64(h.NextUID) != st["uidnext"] || uint64(h.Messages) != st["messages"] || h.IndexID != l.IndexID {
		t.Errorf("index header %+v (%v), Dovecot: %v", h, err, st)
	}
	if got := readLogs(t, p.IndexDir("")); got.HighestModSeq != st["highestmodseq"] {
		t.Errorf("modseq %d after many changes, Dovecot: %v", got.HighestModSeq, st)
	}
	// The dump has what the log says beyond the index, too: they are one where the
	// server has just written the index, which it does once in some changes.
	index := filepath.Join(p.IndexDir(""), IndexFile)
	var differs []string
	for i := range 20 {
		if xf, err = os.Open(index); err != nil {
			t.Fatal(err)
		}
		known, err := ReadIndex(xf)
		_ = xf.Close()
		if err != nil || known.Expunged(known.NextUID) {
			t.Fatalf("its records: %+v, %v", known, err)
		}
		h, differs = known.IndexHeader, nil
		dump := d.do("", "dump", "-t", "index", index)
		for field, got := range map[string]uint32{"log file seq": h.LogSeq, "log file head offset": h.LogHead, "log file tail offset": h.LogTail, "next uid": h.NextUID} {
			m := regexp.MustCompile(`(?m)^` + field + `[ .]*= (\d+)`).FindStringSubmatch(dump)
			if m == nil || m[1] != strconv.Itoa(int(got)) {
				differs = append(differs, fmt.Sprintf("%s: %d, the dump has %v", field, got, m))
			}
		}
		if differs == nil {
			break
		}
		d.do("", "flags", []string{"add", "remove"}[i%2], `\Flagged K`+strconv.Itoa(i), "mailbox", "INBOX", "all")
	}
	for _, x := range differs {
		t.Error(x)
	}
}

type uidFile struct {
	header  UIDHeader
	records []UIDRecord
	index   *UIDIndex
	next    uint32
}

func readUIDs(t *testing.T, path string) uidFile {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := ReadUIDList(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	u := uidFile{header: l.Header()}
	if u.records, err = records(l); err != nil {
		t.Fatal(err)
	}
	u.next = l.Next()
	l, _ = ReadUIDList(bytes.NewReader(p))
	if u.index, err = IndexUIDs(l); err != nil {
		t.Fatal(err)
	}
	return u
}

// A list that we write is taken by Dovecot as its own: the same UIDs, no
// complaint.
func TestDovecotTakesOurUIDList(t *testing.T) {
	t.Parallel()
	d := newDovecot(t, "maildir:DIR/Maildir")
	d.save("INBOX", 3)
	path := filepath.Join(d.dir, "Maildir", UIDListFile)
	u := readUIDs(t, path)
	u.header.NextUID = 50
	u.records[1].Keys = append(u.records[1].Keys, UIDKey{'P', "old-uidl"})
	var b bytes.Buffer
	if err := WriteUIDList(&b, u.header, seq(u.records)); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), fi.Mode()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(d.do("", "-f", "tab", "fetch", "uid pop3.uidl", "mailbox", "INBOX", "all")); !slices.Contains(got, "old-uidl") || !slices.Contains(got, "3") {
		t.Errorf("%q", got)
	}
	st := d.status("INBOX")
	if st["uidnext"] != 50 || st["messages"] != 3 || st["uidvalidity"] != uint64(u.header.UIDValidity) {
		t.Errorf("%v", st)
	}
	d.save("INBOX", 1)
	if again := readUIDs(t, path); again.records[3].UID != 50 || again.header.GUID != u.header.GUID {
		t.Errorf("%+v", again)
	}
}

// doveadm dump is the oracle for every log of the corpus.
func TestIndexLogsOfTheCorpus(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("doveadm"); err != nil {
		t.Skip("NOT TESTED AGAINST DOVECOT: doveadm is not installed")
	}
	dir := t.TempDir()
	n := 0
	corpustest.Each(t, func(h *tar.Header, p []byte) {
		name := h.Name
		if path.Base(name) != IndexLogFile {
			return
		}
		if strings.Contains(name, "list.index") {
			return
		}
		n++
		path := filepath.Join(dir, "dovecot.index.log")
		if err := os.WriteFile(path, p, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("doveadm", "-c", "/dev/null", "dump", "-t", "log", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		var l IndexLog
		if err := l.Read(bytes.NewReader(p)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		modseq, validity, inExpunge := uint64(1), uint64(0), ""
		want := map[uint32]Gone{}
		for line := range strings.Lines(string(out)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "record:") {
				if _, v, ok := strings.Cut(line, "modseq="); ok {
					modseq, _ = strconv.ParseUint(v, 10, 64)
				}
				inExpunge = ""
				if strings.Contains(line, "type=expunge") {
					inExpunge = line
				}
			}
			if _, v, ok := strings.Cut(line, "uid_validity = "); ok {
				validity, _ = strconv.ParseUint(v, 10, 64)
			}
			if m := regexp.MustCompile(`^- uid=(\d+)`).FindStringSubmatch(line); m != nil && inExpunge != "" {
				uid, _ := strconv.Atoi(m[1])
				if strings.Contains(inExpunge, "(ext)") {
					want[uint32(uid)] = max(want[uint32(uid)], Noticed)
				} else {
					want[uint32(uid)] = Requested
				}
			}
		}
		if l.HighestModSeq != modseq || uint64(l.UIDValidity) != validity {
			t.Errorf("%s: modseq %d, UIDVALIDITY %d; the dump has %d, %d", name, l.HighestModSeq, l.UIDValidity, modseq, validity)
		}
		for uid := range l.NextUID + 5 {
			if got := l.UID(uid); got != want[uid] {
				t.Errorf("%s: UID %d: %v, the dump has %v", name, uid, got, want[uid])
			}
		}
	})
	if n < 20 {
		t.Errorf("only %d logs", n)
	}
}
