package sample

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-maildir"

	"mailsync/manifest"
	own "mailsync/scan/maildir"
)

// The same seed gives the same estate on disk, byte for byte; another seed
// another one.
func TestSameSeedSameEstate(t *testing.T) {
	sum := func(seed uint64) manifest.Digest {
		var all bytes.Buffer
		for m := range New(Options{Seed: seed, Odd: true, Compressed: true, Shared: true}).Messages() {
			all.WriteString(m.Address + m.Folder + m.File())
			all.Write(m.Stored())
		}
		return manifest.BLAKE3.Sum(all.Bytes())
	}
	if first, again := sum(1), sum(1); first != again {
		t.Error("two estates of one seed differ")
	}
	if sum(1) == sum(2) {
		t.Error("two seeds give the same estate")
	}
}

// Another program's Maildir reader sees every message of cur with its flags,
// and the sizes in the names are those of the files.
func TestStrangersReadIt(t *testing.T) {
	for _, layout := range []own.Layout{own.PlusPlus, own.FS} {
		root := t.TempDir()
		e := New(Options{Seed: 3, Odd: true, Compressed: true, Layout: layout})
		if err := e.Write(root); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for m := range e.Messages() {
			p, err := os.ReadFile(m.Path(root))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(p, m.Stored()) {
				t.Errorf("%s: the file is not the message", m.File())
			}
			n := own.ParseName(filepath.Base(m.Path(root)))
			plain := m.Bytes()
			if !n.HasS || n.S != int64(len(plain)) || !n.HasW || n.W != int64(len(bytes.ReplaceAll(bytes.ReplaceAll(plain, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n")))) {
				t.Errorf("%s: sizes in the name are wrong", m.File())
			}
			if m.Sub == manifest.Cur {
				want[m.Path(root)] = m.Flags
			}
		}
		for _, b := range e.Boxes {
			for _, f := range b.Folders {
				err := maildir.Dir(filepath.Join(root, b.Path, f.Dir)).Walk(func(m *maildir.Message) error {
					var flags []string
					for _, fl := range m.Flags() {
						if fl >= 'A' && fl <= 'Z' {
							flags = append(flags, string(fl))
						}
					}
					if got := strings.Join(flags, ""); got != want[m.Filename()] {
						t.Errorf("%s: flags %q, want %q", m.Filename(), got, want[m.Filename()])
					}
					delete(want, m.Filename())
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		}
		if len(want) != 0 {
			t.Errorf("%d messages were not seen by go-maildir", len(want))
		}
	}
}

// Every kind that the vandal knows is caused, on different messages, and what
// must stay the same stays the same.
func TestVandal(t *testing.T) {
	root := t.TempDir()
	e := New(Options{Seed: 4, PerMailbox: 120, Compressed: true, Odd: true})
	if err := e.Write(root); err != nil {
		t.Fatal(err)
	}
	truth, err := NewVandal(e, root, 1).BreakAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(truth) != len(DamageKinds)+len(DisorderKinds) {
		t.Errorf("%d things were broken", len(truth))
	}
	seen := map[*Message]bool{}
	for _, tr := range truth {
		if tr.Message != nil {
			if seen[tr.Message] {
				t.Errorf("%s was broken twice", tr.File)
			}
			seen[tr.Message] = true
		}
		fi, err := os.Lstat(tr.Path)
		switch {
		case tr.Kind == manifest.Missing:
			if !os.IsNotExist(err) {
				t.Errorf("missing: the file is still there: %v", err)
			}
			continue
		case err != nil:
			t.Error(err)
			continue
		}
		if tr.Kind.Class() != manifest.Damage {
			continue
		}
		if !fi.ModTime().Equal(tr.Message.Date) {
			t.Errorf("%s: the date has moved", tr.Kind)
		}
		p, err := os.ReadFile(tr.Path)
		if err != nil {
			t.Fatal(err)
		}
		good := tr.Message.Stored()
		if bytes.Equal(p, good) {
			t.Errorf("%s: nothing was damaged", tr.Kind)
		}
		sameSize := len(p) == len(good)
		sameLines := bytes.Count(p, []byte("\n")) == bytes.Count(good, []byte("\n"))
		switch tr.Kind {
		case manifest.ContentChanged, manifest.HeaderBroken:
			if !sameSize || !sameLines {
				t.Errorf("%s: size or lines give it away", tr.Kind)
			}
		case manifest.LineCount, manifest.NULTail, manifest.NULRun:
			if !sameSize || sameLines {
				t.Errorf("%s: size %v, lines %v", tr.Kind, sameSize, sameLines)
			}
		case manifest.Truncated, manifest.Grown, manifest.Empty:
			if sameSize {
				t.Errorf("%s: the size is right", tr.Kind)
			}
		}
	}
}

// A replica differs in what its list says and in nothing else.
func TestReplica(t *testing.T) {
	e := New(Options{Seed: 5, Mailboxes: 4, PerMailbox: 80})
	r, changes := e.Replica(9)
	if len(changes) != len(DiffKinds) {
		t.Errorf("%d changes, want %d", len(changes), len(DiffKinds))
	}
	key := func(m *Message) string { return m.Address + "\x00" + m.Folder + "\x00" + m.Unique }
	facts := func(e *Estate) map[string]string {
		out := map[string]string{}
		for m := range e.Messages() {
			out[key(m)] = strings.Join([]string{m.Flags, strings.Join(m.Keywords, " "), m.Date.String(), string(m.Bytes()), string(rune(m.UID))}, "\x00")
		}
		return out
	}
	a, b := facts(e), facts(r)
	differ := 0
	for k, v := range a {
		if b[k] != v {
			differ++
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			differ++
		}
	}
	want := 0
	for _, c := range changes {
		switch c.Kind {
		case DiffMailboxMissing, DiffFolderMissing:
			want += c.Messages
		case DiffMoved:
			want += 2
		case DiffSubscriptions, DiffUIDValidity:
		default:
			want++
		}
	}
	if differ != want {
		t.Errorf("%d messages differ, want %d", differ, want)
	}
	if e.Boxes[0].Folders[0].Keywords[0] == r.Boxes[0].Folders[0].Keywords[0] {
		t.Error("the replica has the same keyword letters")
	}
}

// The archive holds each incoming message once, with all its recipients, and
// reads back as the bytes that the gateway saw.
func TestArchive(t *testing.T) {
	e := New(Options{Seed: 6, Shared: true, Odd: true})
	mail := e.Gateway(nil)
	copies, two := 0, 0
	for _, a := range mail {
		copies += len(a.To)
		if len(a.To) == 2 {
			two++
		}
	}
	incoming := 0
	for m := range e.Messages() {
		if m.Incoming {
			incoming++
		}
	}
	if copies != incoming || two == 0 {
		t.Errorf("%d envelope recipients for %d incoming messages, %d with two", copies, incoming, two)
	}
	var mbox, bsmtp bytes.Buffer
	if err := WriteMbox(&mbox, mail); err != nil {
		t.Fatal(err)
	}
	if err := WriteBSMTP(&bsmtp, mail); err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(append([]byte("\n"), mbox.Bytes()...), []byte("\n\nFrom ")) + 1; got != len(mail) {
		t.Errorf("the mbox holds %d messages, want %d", got, len(mail))
	}
	if got := bytes.Count(bsmtp.Bytes(), []byte("\nDATA\n")); got != len(mail) {
		t.Errorf("the batch holds %d messages, want %d", got, len(mail))
	}
}

// Folder names on disk, against what servers were seen to write.
func TestFolderDir(t *testing.T) {
	for _, c := range []struct {
		name   string
		layout own.Layout
		utf8   bool
		want   string
	}{
		{"INBOX", own.PlusPlus, false, ""},
		{"Archive/2026", own.PlusPlus, false, ".Archive.2026"},
		{"Archive/2026", own.FS, false, "Archive/2026"},
		{"Årets møter", own.PlusPlus, false, ".&AMU-rets m&APg-ter"},
		{"R&D", own.PlusPlus, false, ".R&-D"},
		{"日本語", own.PlusPlus, false, ".&ZeVnLIqe-"},
		{"Årets", own.PlusPlus, true, ".Årets"},
	} {
		if got := FolderDir(c.name, c.layout, c.utf8); got != c.want {
			t.Errorf("%q: %q, want %q", c.name, got, c.want)
		}
	}
}
