package scan

import (
	"encoding/binary"
	"fmt"
	"os"
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
