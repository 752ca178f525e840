package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/scan/beneath"
)

// expungeLog is a dovecot.index.log in which the UIDs were asked to be
// expunged, or were only noticed as gone.
func expungeLog(requested bool, uids ...uint32) string {
	le := binary.LittleEndian
	b := le.AppendUint16([]byte{1, 3}, 40)
	for _, v := range []uint32{1795337883, 2, 0, 0, 1795337883, 1, 0, 1, 0} {
		b = le.AppendUint32(b, v)
	}
	kind := uint32(0x0000cd91) // an expunge with its protection
	if !requested {
		kind |= 0x10000000
	}
	for _, uid := range uids {
		b = append(b, 0x80, 0x80, 0x80, 0x84) // 16 bytes
		for _, v := range []uint32{kind, uid, uid} {
			b = le.AppendUint32(b, v)
		}
	}
	return string(b)
}

// listed writes a uidlist that gives the files the UIDs from 1 on.
func (b *tree) listed(dir string, files ...string) {
	b.t.Helper()
	var list strings.Builder
	fmt.Fprintf(&list, "3 V7 N%d G%032x\n", len(files)+1, 9)
	for i, f := range files {
		base, _, _ := strings.Cut(f[strings.LastIndexByte(f, '/')+1:], ":")
		fmt.Fprintf(&list, "%d :%s\n", i+1, base)
	}
	b.write(dir+"/dovecot-uidlist", list.String())
}

// refuse lets opening or reading a file of that name fail.
func refuse(name string, errno unix.Errno, reading bool) beneath.Calls {
	c := beneath.System()
	real, pread, nowait := c.Openat2, c.Pread, c.PreadNowait
	bad := -1
	c.Openat2 = func(fd int, path string, how *unix.OpenHow) (int, error) {
		if path == name && !reading {
			return -1, errno
		}
		n, err := real(fd, path, how)
		switch {
		case path == name:
			bad = n
		case n == bad:
			bad = -1
		}
		return n, err
	}
	c.Pread = func(fd int, p []byte, off int64) (int, error) {
		if fd == bad {
			return 0, errno
		}
		return pread(fd, p, off)
	}
	c.PreadNowait = func(fd int, p []byte, off int64) (int, error) {
		if fd == bad {
			return 0, errno
		}
		return nowait(fd, p, off)
	}
	return c
}

// listedMailbox is a mailbox u of 40 messages with a UID list, recorded.
func listedMailbox(t *testing.T) (*tree, []string, *memory) {
	t.Helper()
	b := newTree(t)
	b.maildir("u")
	files := b.many("u/cur", 40)
	b.listed("u", files...)
	b.old()
	rec := mustLook(t, scanner(t, b.path, Options{}), "u", nil, LookOptions{})
	return b, files, rec
}

// onlyEvidence checks why the only message is gone that a look found gone.
func onlyEvidence(t *testing.T, name string, m *memory, want string) {
	t.Helper()
	if len(m.absences) != 1 || m.absences[0].Evidence.String() != want {
		t.Errorf("%s: %v, want %s", name, evidences(m), want)
	}
}

// TestUnknownEvidenceIsNoDeletion: where what would tell why a message is gone
// cannot be read, its absence is not ordinary.
func TestUnknownEvidenceIsNoDeletion(t *testing.T) {
	const list, log, older = "dovecot-uidlist", "dovecot.index.log", "dovecot.index.log.2"
	for _, c := range []struct {
		name    string
		refused string
		reading bool
		files   map[string]string // of the server; "" removes
		want    string
	}{
		{name: "all is read, and says nothing", files: map[string]string{log: expungeLog(true, 30)}, want: "ordinary_absence"},
		{name: "asked for", files: map[string]string{log: expungeLog(true, 1)}, want: "server_expunge"},
		{name: "noticed", files: map[string]string{log: expungeLog(false, 1)}, want: "server_noticed_loss"},
		{name: "list not opened", refused: list, want: "none"},
		{name: "list not read", refused: list, reading: true, want: "none"},
		{name: "list broken", files: map[string]string{list: "3 V7 N41\n40 :x\ngarbage\n"}, want: "none"},
		{name: "list not opened, log knows", refused: list, files: map[string]string{log: expungeLog(true, 1)}, want: "server_expunge"},
		{name: "log not opened", refused: log, files: map[string]string{log: expungeLog(true, 1)}, want: "none"},
		{name: "log not read", refused: log, reading: true, files: map[string]string{log: expungeLog(true, 1)}, want: "none"},
		{name: "log broken", files: map[string]string{log: strings.Repeat("x", 100)}, want: "none"},
		{name: "older log not opened", refused: older, files: map[string]string{older: expungeLog(true, 1), log: expungeLog(false, 1)}, want: "none"},
		{name: "newer log knows", refused: older, files: map[string]string{older: expungeLog(true, 30), log: expungeLog(true, 1)}, want: "server_expunge"},
		{name: "log not opened, still listed", refused: log, files: map[string]string{log: expungeLog(true, 1), list: ""}, want: "none"},
	} {
		for _, errno := range []unix.Errno{unix.EIO, unix.EACCES} {
			t.Run(c.name+" "+errno.Error(), func(t *testing.T) {
				b := newTree(t)
				b.maildir("u")
				files := b.many("u/cur", 40)
				b.listed("u", files...)
				b.old()
				rec := mustLook(t, scanner(t, b.path, Options{}), "u", nil, LookOptions{})
				b.remove(files[0])
				b.listed("u", files[1:]...)
				for name, text := range c.files {
					if name == list && text == "" {
						b.listed("u", files...) // as it was
						continue
					}
					b.write("u/"+name, text)
				}
				opt := Options{}
				if c.refused != "" {
					opt.Calls = refuse(c.refused, errno, c.reading)
				}
				m := mustLook(t, scanner(t, b.path, opt), "u", rec, LookOptions{})
				if len(m.absences) != 1 || m.absences[0].Evidence.String() != c.want {
					t.Errorf("%v, want %s", evidences(m), c.want)
				}
				if c.refused != "" && m.counts.Unreadable != 1 {
					t.Errorf("%v", m.kinds())
				}
			})
		}
	}
}

// TestUIDGivenSinceTheRecord: a message that had no UID yet when it was recorded,
// and whose GUID is not its name because it was copied, is known to the log by
// the UID that the list has for it now.
func TestUIDGivenSinceTheRecord(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	files := b.many("u/cur", 40)
	b.listed("u", files[1:]...)
	b.old()
	rec := mustLook(t, scanner(t, b.path, Options{}), "u", nil, LookOptions{})
	b.listed("u", append(files[1:], files[0])...)
	b.remove(files[0])
	for _, c := range []struct{ log, want string }{
		{expungeLog(true, 40), "server_expunge"},
		{expungeLog(false, 40), "server_noticed_loss"},
		{expungeLog(true, 39), "server_unaware"},
	} {
		b.write("u/dovecot.index.log", c.log)
		m := mustLook(t, scanner(t, b.path, Options{}), "u", rec, LookOptions{})
		if len(m.absences) != 1 || m.absences[0].Evidence.String() != c.want {
			t.Errorf("%v, want %s", evidences(m), c.want)
		}
	}
}

// TestLostUnderANewUID: a message that was lost, put back and lost again is
// known to the log by a UID that the record does not know, and to the UID list
// no more. It is not taken for deleted as long as the log shows a loss that may
// be its own.
func TestLostUnderANewUID(t *testing.T) {
	b, files, rec := listedMailbox(t)
	b.remove(files[0])
	list := func(more ...string) {
		b.listed("u", append(append([]string{"u/cur/other"}, files[1:]...), more...)...)
	}
	for _, c := range []struct {
		name, log string
		listed    bool
		want      string
	}{
		{"lost again", expungeLog(false, 41), false, "none"},
		{"lost again, and others", expungeLog(false, 5, 60, 61), false, "none"},
		{"somebody deleted what was new", expungeLog(true, 41) + expungeLog(false, 41)[40:], false, "ordinary_absence"},
		{"others were lost", expungeLog(false, 2, 40), false, "ordinary_absence"},
		{"nothing was lost", expungeLog(true, 41), false, "ordinary_absence"},
		{"still listed under its new UID", expungeLog(false, 41), true, "server_noticed_loss"},
		{"deleted under its new UID", expungeLog(true, 41), true, "server_expunge"},
	} {
		list()
		if c.listed {
			list(files[0])
		}
		b.write("u/dovecot.index.log", c.log)
		m := mustLook(t, scanner(t, b.path, Options{}), "u", rec, LookOptions{})
		onlyEvidence(t, c.name, m, c.want)
		saved := func(_, _ string, _ time.Time, add func(io.Reader) error) error { return add(strings.NewReader(c.log)) }
		b.remove("u/dovecot.index.log")
		m = mustLook(t, scanner(t, b.path, Options{SavedLogs: saved}), "u", rec, LookOptions{})
		onlyEvidence(t, c.name+", by a copy", m, c.want)
	}
}

// TestListedAndExpunged: the UID list keeps the lines of what the server knows
// to be gone. Where its index shows that it does, and its log is too young to
// tell why, the message is not taken for lost without the server's knowledge.
func TestListedAndExpunged(t *testing.T) {
	b, files, rec := listedMailbox(t)
	b.remove(files[4])
	index := func(validity, next uint32, without ...uint32) string {
		p := make([]byte, 120)
		le := binary.LittleEndian
		p[0], p[2], p[12] = 7, 120, 1
		n := uint32(0)
		for uid := uint32(1); uid < next; uid++ {
			if !slices.Contains(without, uid) {
				p = append(le.AppendUint32(p, uid), make([]byte, 8)...)
				n++
			}
		}
		for at, v := range map[int]uint32{4: 120, 8: 12, 16: 9, 24: validity, 28: next, 32: n} {
			le.PutUint32(p[at:], v)
		}
		return string(p)
	}
	for _, c := range []struct{ name, index, log, want string }{
		{"the server knows", index(7, 41, 5), "", "none"},
		{"the server noticed", index(7, 41, 5), expungeLog(false, 5), "server_noticed_loss"},
		{"somebody asked", index(7, 41, 5), expungeLog(true, 5), "server_expunge"},
		{"the server has it still", index(7, 41, 6), "", "server_unaware"},
		{"the index is older than the message", index(7, 5), "", "server_unaware"},
		{"an index of another time", index(8, 41, 5), "", "server_unaware"},
		{"a torn index", index(7, 41, 5)[:200], "", "server_unaware"},
	} {
		b.write("u/dovecot.index", c.index)
		b.write("u/dovecot.index.log", c.log)
		if c.log == "" {
			b.remove("u/dovecot.index.log")
		}
		m := mustLook(t, scanner(t, b.path, Options{}), "u", rec, LookOptions{})
		onlyEvidence(t, c.name, m, c.want)
	}
}

// TestUndoNotKnown: what mailsync's own journals cannot tell is not known, and
// makes no deletion; what the server's files tell stands.
func TestUndoNotKnown(t *testing.T) {
	b, files, rec := listedMailbox(t)
	b.remove(files[0])
	bad := Options{TakenBack: func(string, string, string, time.Time) (bool, error) { return false, unix.EIO }}
	for _, c := range []struct{ name, log, want string }{
		{"asked for", expungeLog(true, 1), "server_expunge"},
		{"noticed", expungeLog(false, 1), "server_noticed_loss"},
		{"listed", "", "server_unaware"},
	} {
		b.write("u/dovecot.index.log", c.log)
		if c.log == "" {
			b.remove("u/dovecot.index.log")
		}
		m := mustLook(t, scanner(t, b.path, bad), "u", rec, LookOptions{})
		onlyEvidence(t, c.name, m, c.want)
	}
	b.listed("u", append([]string{"u/cur/other"}, files[1:]...)...)
	m := mustLook(t, scanner(t, b.path, bad), "u", rec, LookOptions{})
	if len(m.absences) != 1 || m.absences[0].Evidence != manifest.NoEvidence {
		t.Errorf("by the course of things: %v", evidences(m))
	}
}

// TestLogIsReadAfterTheAbsence: a message that is expunged while its folder is
// looked at is no loss, although the log was read before that for another one.
func TestLogIsReadAfterTheAbsence(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	files := b.many("u/cur", 400) // more than are on their way at once
	b.listed("u", files...)
	b.old()
	rec := mustLook(t, scanner(t, b.path, Options{}), "u", nil, LookOptions{})
	b.remove(files[0])
	b.write("u/dovecot.index.log", expungeLog(true, 1))
	calls := beneath.System()
	real, done := calls.Openat2, false
	calls.Openat2 = func(fd int, path string, how *unix.OpenHow) (int, error) {
		n, err := real(fd, path, how)
		if path == "dovecot.index.log" && !done {
			done = true
			// This reading is under way; the next message goes now.
			b.check(os.Remove(b.at(files[399])))
			b.check(os.Rename(b.at("u/dovecot.index.log"), b.at("u/dovecot.index.log.2")))
			b.write("u/dovecot.index.log", expungeLog(true, 400))
		}
		return n, err
	}
	s := scanner(t, b.path, Options{Calls: calls})
	m := mustLook(t, s, "u", rec, LookOptions{Decide: DecideRead})
	for u, e := range evidences(m) {
		if e != "server_expunge" {
			t.Errorf("%s: %s", u, e)
		}
	}
	if len(m.absences) != 2 || len(m.findings) != 0 {
		t.Errorf("%d absences, %v", len(m.absences), m.kinds())
	}
}

// TestLostUIDList: a UID list that is gone is told at every look until there is
// one again, and what goes with it is no deletion.
func TestLostUIDList(t *testing.T) {
	b := newTree(t)
	b.maildir("u", "u/.Sent")
	files := b.many("u/cur", 40)
	b.listed("u", files...)
	b.many("u/.Sent/cur", 2)
	b.old()
	s := scanner(t, b.path, Options{})
	rec := mustLook(t, s, "u", nil, LookOptions{})
	if len(rec.findings) != 0 {
		t.Fatal(rec.kinds())
	}
	b.remove("u/dovecot-uidlist", files[0])
	for range 3 {
		rec = mustLook(t, s, "u", rec, LookOptions{})
		if diff := cmp.Diff([]string{"uidlist_broken INBOX dovecot-uidlist"}, rec.kinds()); diff != "" {
			t.Error(diff)
		}
		if e := evidences(rec)["0000.h"]; e != "none" || rec.watch != nil {
			t.Errorf("%s, watch %v", e, rec.watch)
		}
	}
	b.listed("u", files[1:]...)
	rec = mustLook(t, s, "u", rec, LookOptions{})
	if len(rec.findings) != 0 {
		t.Error(rec.kinds())
	}

	// A folder that was deleted and made anew has lost nothing.
	b.remove("u/dovecot-uidlist")
	b.check(os.Rename(b.at("u"), b.at("v")))
	b.maildir("u")
	b.put("u/cur", "1.h", mail("x", 100), ":2,")
	if m := mustLook(t, s, "u", rec, LookOptions{}); len(m.findings) != 0 {
		t.Error(m.kinds())
	}

	// A server that makes a folder makes the log before the list.
	b.write("u/dovecot.index.log", expungeLog(true, 1))
	live := scanner(t, b.path, Options{Now: time.Now})
	if m := mustLook(t, live, "u", nil, LookOptions{}); len(m.findings) != 0 {
		t.Error(m.kinds())
	}

	// Without a record, the server's index tells.
	b.write("u/dovecot.index.log", expungeLog(true, 1))
	b.old()
	var m *memory
	for range 2 {
		if m = mustLook(t, s, "u", m, LookOptions{}); len(m.findings) != 1 || m.findings[0].Certainty != manifest.Suspicion {
			t.Error(m.kinds())
		}
	}
}

// TestLostFilesAreNotLaundered: while the UID list or the keyword table is
// lost, broken or unreadable, a recorded look carries on what the record knew,
// however often; a look that is not recorded tells what is on disk; and the
// next whole file is the truth again.
func TestLostFilesAreNotLaundered(t *testing.T) {
	const list, table = "u/dovecot-uidlist", "u/dovecot-keywords"
	unreadable := func() beneath.Calls {
		c := beneath.System()
		openat2 := c.Openat2
		c.Openat2 = func(fd int, path string, how *unix.OpenHow) (int, error) {
			if strings.HasPrefix(path, "dovecot-") {
				return -1, unix.EIO
			}
			return openat2(fd, path, how)
		}
		return c
	}
	for name, c := range map[string]struct {
		harm   func(b *tree, list string)
		opaque bool
		torn   bool // the header is whole
		lost   bool
	}{
		"lost":  {harm: func(b *tree, _ string) { b.remove(list, table) }, lost: true},
		"empty": {harm: func(b *tree, _ string) { b.write(list, ""); b.remove(table) }, lost: true},
		"NULs":  {harm: func(b *tree, _ string) { b.write(list, strings.Repeat("\x00", 200)); b.write(table, "\x00\x00\x00\n") }, lost: true},
		"torn":  {harm: func(b *tree, l string) { b.write(list, l[:len(l)-20]); b.remove(table) }, torn: true},
		"other": {harm: func(b *tree, l string) {
			b.write(list, strings.Replace(l[:len(l)-20], "V7", "V8", 1))
			b.remove(table)
		}, lost: true},
		"unreadable": {harm: func(b *tree, l string) {
			b.write(list, l+" ") // so that the stamps tell that it must be read
			b.write(table, "0 $Junk\n1 work\n2 more\n")
		}, opaque: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTree(t)
			b.maildir("u")
			for i := range 4 {
				b.put("u/cur", fmt.Sprintf("%04d.h", i), mail("x", 100), ":2,Sb")
			}
			var text strings.Builder
			text.WriteString("3 V7 N50 G0123456789abcdef0123456789abcdef\n")
			for i := range 4 {
				fmt.Fprintf(&text, "%d :%s\n", i+1, named(fmt.Sprintf("%04d.h", i), mail("x", 100), ""))
			}
			b.write(list, text.String())
			b.write(table, "0 $Junk\n1 work\n")
			b.old()
			s := scanner(t, b.path, Options{})
			rec := mustLook(t, s, "u", nil, LookOptions{Keep: true})
			if len(rec.findings) != 0 {
				t.Fatal(rec.kinds())
			}
			first := *rec.mb.Folder("INBOX")
			c.harm(b, text.String())
			if c.opaque {
				s = scanner(t, b.path, Options{Calls: unreadable()})
			}
			for n := range 3 {
				rec = mustLook(t, s, "u", rec, LookOptions{Keep: true})
				if len(rec.findings) != 2 || rec.watch != nil {
					t.Errorf("look %d: %v, watch %v", n, rec.kinds(), rec.watch)
				}
				f := rec.mb.Folder("INBOX")
				if f.UIDValidity != 7 || f.UIDNext != 50 || f.GUID != first.GUID || !slices.Equal(f.Keywords, first.Keywords) {
					t.Errorf("look %d: %+v", n, f)
				}
				if f.UIDListStamp.Kept() == c.torn || f.UIDListStamp.Lost() != c.lost || (f.Validity() == 0) == c.torn || !f.KeywordsStamp.Kept() {
					t.Errorf("look %d: stamps %+v %+v", n, f.UIDListStamp, f.KeywordsStamp)
				}
				for i, e := range rec.entries {
					if e.UID != uint32(i+1) || !slices.Equal(e.Keywords, []string{"work"}) {
						t.Errorf("look %d: UID %d %v of %s", n, e.UID, e.Keywords, e.Name)
					}
				}
				// Who compares sees what is there.
				m := mustLook(t, s, "u", rec, LookOptions{})
				for _, e := range m.entries {
					if e.UID != 0 && !c.torn && name != "other" || slices.Equal(e.Keywords, []string{"work"}) {
						t.Errorf("look %d, not recorded: UID %d %v of %s", n, e.UID, e.Keywords, e.Name)
					}
				}
			}
			s = scanner(t, b.path, Options{})
			b.write(list, strings.Replace(text.String(), "V7", "V9", 1))
			b.write(table, "1 play\n")
			b.old()
			rec = mustLook(t, s, "u", rec, LookOptions{Keep: true})
			f := rec.mb.Folder("INBOX")
			if len(rec.findings) != 0 || f.UIDValidity != 9 || f.UIDListStamp.Kept() || f.KeywordsStamp.Kept() || rec.watch == nil {
				t.Errorf("whole again: %v %+v", rec.kinds(), f)
			}
			for _, e := range rec.entries {
				if !slices.Equal(e.Keywords, []string{"play"}) || e.UID == 0 {
					t.Errorf("whole again: %d %v", e.UID, e.Keywords)
				}
			}
		})
	}
}

// TestLostControlTree: a UID list that went with its directory is lost, too.
func TestLostControlTree(t *testing.T) {
	b := newTree(t)
	b.maildir("mail/u")
	b.many("mail/u/cur", 3)
	b.write("control/u/.INBOX/dovecot-uidlist", "3 V7 N9\n4 :0001.h\n")
	b.old()
	s := configured(t, Config{Name: "primary", Path: b.path, Layout: "mail/%u", Control: "control/%u"}, Options{})
	rec := mustLook(t, s, "u", nil, LookOptions{Keep: true})
	if len(rec.findings) != 0 || rec.mb.Folder("INBOX").UIDValidity != 7 {
		t.Fatalf("%v %+v", rec.kinds(), rec.mb.Folder("INBOX"))
	}
	b.check(os.RemoveAll(b.at("control/u")))
	for range 2 {
		rec = mustLook(t, s, "u", rec, LookOptions{Keep: true})
		if diff := cmp.Diff([]string{"uidlist_broken INBOX dovecot-uidlist"}, rec.kinds()); diff != "" || rec.mb.Folder("INBOX").UIDValidity != 7 {
			t.Error(diff)
		}
	}
}

// TestSavedLogs: what the server's log said before the server threw it away is
// evidence as if it were there; a copy that cannot be read leaves open why.
func TestSavedLogs(t *testing.T) {
	broken := strings.Repeat("x", 100)
	for _, c := range []struct {
		name  string
		log   string   // of the server, now; "" = none
		saved []string // copies, the oldest first
		want  string
	}{
		{name: "thrown away", saved: []string{expungeLog(true, 1)}, want: "server_expunge"},
		{name: "begun anew", log: expungeLog(true, 30), saved: []string{expungeLog(true, 1)}, want: "server_expunge"},
		{name: "an older copy", saved: []string{expungeLog(true, 1), expungeLog(true, 2)}, want: "server_expunge"},
		{name: "asked for before, noticed now", log: expungeLog(false, 1), saved: []string{expungeLog(true, 1)}, want: "server_expunge"},
		{name: "noticed only", saved: []string{expungeLog(false, 1)}, want: "server_noticed_loss"},
		{name: "of others", saved: []string{expungeLog(true, 30)}, want: "ordinary_absence"},
		{name: "broken", saved: []string{broken}, want: "none"},
		{name: "broken, and the log knows", log: expungeLog(true, 1), saved: []string{broken}, want: "server_expunge"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newTree(t)
			b.maildir("u")
			files := b.many("u/cur", 40)
			b.listed("u", files...)
			b.old()
			rec := mustLook(t, scanner(t, b.path, Options{}), "u", nil, LookOptions{})
			b.remove(files[0])
			b.listed("u", files[1:]...)
			if c.log != "" {
				b.write("u/dovecot.index.log", c.log)
			}
			opt := Options{SavedLogs: func(mailbox, dir string, since time.Time, add func(io.Reader) error) error {
				if mailbox != "u" || dir != "" || since.IsZero() {
					t.Errorf("asked for %q, %q since %s", mailbox, dir, since)
				}
				var err error
				for _, s := range c.saved {
					err = errors.Join(err, add(strings.NewReader(s)))
				}
				return err
			}}
			m := mustLook(t, scanner(t, b.path, opt), "u", rec, LookOptions{})
			if len(m.absences) != 1 || m.absences[0].Evidence.String() != c.want {
				t.Errorf("%v, want %s", evidences(m), c.want)
			}
		})
	}
}
