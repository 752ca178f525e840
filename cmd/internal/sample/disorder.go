package sample

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"mailsync/manifest"
)

// disorder brings something out of order that is no damage to a message.
func (v *Vandal) disorder(k manifest.Kind) (Truth, error) {
	switch k {
	case manifest.UIDListBroken, manifest.UIDDuplicate, manifest.UIDNextLow, manifest.KeywordsBroken:
		return v.serverFile(k)
	case manifest.QuotaStale:
		return v.quota()
	}
	m := v.victim(func(m *Message) bool {
		return m.Encoding == Plain && m.kind == ordinary && m.Sub == manifest.Cur && len(m.Flags) > 0
	})
	if m == nil {
		return Truth{}, ErrNoVictim
	}
	v.used[m] = true
	t := v.truth(m, k)
	dir := filepath.Dir(filepath.Dir(t.Path)) // the folder's
	var err error
	switch k {
	case manifest.DuplicateName: // a copy under other flags, as rsync without --delete leaves it
		t.File = "cur/" + m.Base() + ":2,"
		t.Path = filepath.Join(dir, t.File)
		err = m.place(t.Path, m.Stored(), m.Date)
	case manifest.BadName: // a line break in a name
		t.File = "cur/" + strings.Replace(m.Unique, ".", "\n.", 1) + ":2,S"
		t.Path = filepath.Join(dir, t.File)
		err = m.place(t.Path, m.Stored(), m.Date)
	case manifest.WrongSizeName: // line ends were converted: the size is W=
		t.Baseline = false
		err = rewrite(t.Path, bytes.ReplaceAll(m.Stored(), []byte("\n"), []byte("\r\n")))
	case manifest.StrandedTmp: // a whole message that is nowhere else, older than any boot of a test machine
		lost := *m
		lost.seed[1] ^= 0x7777777777
		lost.ID = "<stranded." + fmt.Sprint(m.UID) + "@example.net>"
		lost.s, lost.w = 0, 0
		t.File = "tmp/" + strings.Replace(m.Unique, "mx", "stranded", 1)
		t.Path = filepath.Join(dir, t.File)
		err = m.place(t.Path, lost.Bytes(), m.Date)
	case manifest.NotRegular: // a FIFO where a message should lie
		t.File = "cur/" + strings.Replace(m.Unique, "mx", "fifo", 1) + ":2,S"
		t.Path = filepath.Join(dir, t.File)
		err = syscall.Mkfifo(t.Path, 0o600)
	case manifest.AlternateSeparator:
		t.File = strings.Replace(m.File(), ":2,", ";2,", 1)
		old := t.Path
		t.Path = filepath.Join(dir, t.File)
		err = os.Rename(old, t.Path)
	default:
		return t, fmt.Errorf("%w: %s", ErrNotHere, k)
	}
	return t, err
}

func (m *Message) place(path string, p []byte, at time.Time) error {
	if err := os.WriteFile(path, p, 0o600); err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, at)
}

// serverFile breaks a file of the server's own.
func (v *Vandal) serverFile(k manifest.Kind) (Truth, error) {
	b, f := v.folder(func(f *Folder) bool {
		return k != manifest.KeywordsBroken || slices.ContainsFunc(f.Messages, func(m *Message) bool { return len(m.Keywords) > 0 })
	})
	if f == nil {
		return Truth{}, ErrNoVictim
	}
	t := Truth{Mailbox: b.Address, ByPath: b.ByPath, Folder: f.Name, Kind: k, Recorded: k}
	name := "dovecot-uidlist"
	if k == manifest.KeywordsBroken {
		name = "dovecot-keywords"
	}
	t.Path = filepath.Join(v.dir(b, f), name)
	p, err := os.ReadFile(t.Path)
	if err != nil {
		return t, err
	}
	switch k {
	case manifest.UIDListBroken: // torn in a line, and NULs behind
		clear(p[len(p)*2/3:])
	case manifest.UIDDuplicate: // one name under two UIDs
		m := f.Messages[0]
		p = fmt.Appendf(p, "%d :%s\n", f.NextUID, m.Base())
	case manifest.UIDNextLow: // an older list: the last messages are not in it
		t.Baseline = true
		lines := bytes.SplitAfter(p, []byte("\n"))
		keep := lines[:max(2, len(lines)/2)]
		last := f.Messages[len(keep)-2].UID
		keep[0] = fmt.Appendf(nil, "3 V%d N%d G%s\n", f.UIDValidity, last+1, f.GUID)
		p = bytes.Join(keep, nil)
	case manifest.KeywordsBroken:
		p = []byte("x $Junk\n\x00\x00\x00\n99 $Forwarded\n")
	}
	return t, rewrite(t.Path, p)
}

func (v *Vandal) quota() (Truth, error) {
	for _, b := range v.e.Boxes {
		if v.used[b] {
			continue
		}
		v.used[b] = true
		t := Truth{Mailbox: b.Address, ByPath: b.ByPath, Folder: "INBOX", Kind: manifest.QuotaStale, Recorded: manifest.QuotaStale, Path: filepath.Join(v.root, b.Path, "maildirsize")}
		return t, rewrite(t.Path, []byte("10000000000S\n         123            4\n"))
	}
	return Truth{}, ErrNoVictim
}
