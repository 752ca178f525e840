package manifest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyBytes makes strings that mail servers and their users do not.
func anyBytes(max int) *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringN(0, max/4, max),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, max), func(b []byte) string { return string(b) }),
		rapid.StringMatching(`1[67]\d{8}\.M\d{1,6}P\d{1,5}\.[a-z]{1,8}`),
		rapid.SampledFrom([]string{"", "a", ",S=0", ",S=12,W=13", ",S=012", ",S=99999999999999999999", ",W=5", ":2,", ":2,S", ":2,SaT", ":2,:2,F", ";2,S"}),
	)
}

func anyDigest(alg Alg) *rapid.Generator[Digest] {
	return rapid.Custom(func(t *rapid.T) Digest {
		if rapid.IntRange(0, 5).Draw(t, "zero") == 0 {
			return Digest{}
		}
		d := Digest{Alg: alg}
		copy(d.Sum[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "sum"))
		return d
	})
}

func anyEntry(alg Alg) *rapid.Generator[Entry] {
	return rapid.Custom(func(t *rapid.T) Entry {
		e := Entry{
			Folder:   rapid.OneOf(rapid.SampledFrom([]string{"INBOX", "Sent", "Archive/2026"}), anyBytes(40)).Draw(t, "folder"),
			Unique:   anyBytes(60).Draw(t, "unique"),
			Sub:      rapid.SampledFrom([]Sub{New, Cur}).Draw(t, "sub"),
			Flags:    rapid.SampledFrom([]string{"", "S", "FS", "RST", "x"}).Draw(t, "flags"),
			Size:     rapid.Int64Min(0).Draw(t, "size"),
			MTime:    rapid.Int64().Draw(t, "mtime"),
			CTime:    rapid.Int64().Draw(t, "ctime"),
			Inode:    rapid.Uint64().Draw(t, "inode"),
			UID:      rapid.Uint32().Draw(t, "uid"),
			Digest:   anyDigest(alg).Draw(t, "digest"),
			Plain:    anyDigest(alg).Draw(t, "plain"),
			Opaque:   rapid.Bool().Draw(t, "opaque"),
			Status:   Status(rapid.IntRange(0, 3).Draw(t, "status")),
			Damage:   Kind(rapid.IntRange(0, int(kindEnd)).Draw(t, "damage")),
			Good:     rapid.Bool().Draw(t, "good"),
			Checked:  rapid.Int64().Draw(t, "checked"),
			Keywords: rapid.SliceOfN(anyBytes(20), 0, 5).Draw(t, "keywords"),
		}
		copy(e.HeaderID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "header"))
		tail := anyBytes(40).Draw(t, "tail")
		if rapid.Bool().Draw(t, "usual") {
			e.Name = e.Unique + tail
		} else {
			e.Name = tail
		}
		if e.Name == "" {
			e.Name = "x"
		}
		slices.Sort(e.Keywords)
		if len(e.Keywords) == 0 {
			e.Keywords = nil
		}
		return e
	})
}

func sortEntries(list []Entry) []Entry {
	slices.SortFunc(list, func(a, b Entry) int { return a.Compare(&b) })
	return slices.CompactFunc(list, func(a, b Entry) bool { return a.Compare(&b) == 0 })
}

func TestAnyMailboxIsReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alg := rapid.SampledFrom([]Alg{BLAKE3, SHA256}).Draw(t, "alg")
		mb, _ := sample("anna", 0, 1)
		mb.Alg = alg
		mb.Owner = rapid.Uint32().Draw(t, "owner")
		mb.Path = anyBytes(100).Draw(t, "path")
		mb.Subscriptions = rapid.SampledFrom([][]string{nil, {}, {"a"}, {"a", "b"}}).Draw(t, "subscriptions")
		list := sortEntries(rapid.SliceOf(anyEntry(alg)).Draw(t, "entries"))
		var gone []Absence
		for _, e := range sortEntries(rapid.SliceOf(anyEntry(alg)).Draw(t, "gone")) {
			gone = append(gone, Absence{
				Entry: e, Evidence: Evidence(rapid.IntRange(0, 7).Draw(t, "evidence")),
				UIDValidity: rapid.Uint32().Draw(t, "validity"),
				LastSeen:    time.Unix(0, rapid.Int64Range(1, 1<<62).Draw(t, "seen")).UTC(),
			})
		}
		got, entries, absences, err := decode(encode(t, mb, list, gone))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(mb, got); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(list, entries); d != "" && len(list)+len(entries) > 0 {
			t.Error(d)
		}
		if d := cmp.Diff(gone, absences); d != "" {
			t.Error(d)
		}
	})
}

// rename gives every message of a mailbox another name, as a replica has that
// got its mail by another way.
func rename(list []Entry, seed string) []Entry {
	out := slices.Clone(list)
	for i := range out {
		d := BLAKE3.Sum([]byte(seed + out[i].Name))
		out[i].Unique = d.String()[7:30]
		out[i].Name = out[i].Unique + ":2," + out[i].Flags
		out[i].Inode += 77
	}
	return sortEntries(out)
}

func TestRoots(t *testing.T) {
	mb, list := sample("anna", 300, 5)
	of := func(change func(mb *Mailbox, list []Entry) []Entry) (content, state Digest) {
		m := *mb
		m.Folders = slices.Clone(mb.Folders)
		l := slices.Clone(list)
		if change != nil {
			l = sortEntries(change(&m, l))
		}
		encode(t, &m, l, nil)
		return m.Content, m.State
	}
	content, state := of(nil)
	if content.IsZero() || state.IsZero() || content == state {
		t.Fatal("no roots")
	}
	one := func(f func(e *Entry)) func(*Mailbox, []Entry) []Entry {
		return func(_ *Mailbox, l []Entry) []Entry { f(&l[17]); return l }
	}
	cases := []struct {
		name                       string
		change                     func(*Mailbox, []Entry) []Entry
		sameContent, sameState, no bool
	}{
		{name: "nothing", change: nil, sameContent: true, sameState: true},
		{name: "other names", change: func(_ *Mailbox, l []Entry) []Entry { return rename(l, "x") }, sameContent: true},
		{name: "inode, ctime, checked", change: one(func(e *Entry) { e.Inode++; e.CTime++; e.Checked++ }), sameContent: true, sameState: true},
		{name: "compressed", change: one(func(e *Entry) { e.Plain = e.Digest; e.Digest.Sum[0]++ }), sameContent: true, sameState: true},
		{name: "flags", change: one(func(e *Entry) { e.Flags = "T" }), sameContent: true},
		{name: "keywords", change: one(func(e *Entry) { e.Keywords = []string{"x"} }), sameContent: true},
		{name: "date", change: one(func(e *Entry) { e.MTime++ }), sameContent: true},
		{name: "UID", change: one(func(e *Entry) { e.UID++ }), sameContent: true},
		{name: "new, cur", change: one(func(e *Entry) { e.Sub = 3 - e.Sub }), sameContent: true},
		{name: "UIDVALIDITY", change: func(m *Mailbox, l []Entry) []Entry { m.Folders[1].UIDValidity++; return l }, sameContent: true},
		{name: "a folder", change: func(m *Mailbox, l []Entry) []Entry { m.Folders = append(m.Folders, Folder{Name: "z"}); return l }, sameContent: true},
		{name: "subscriptions", change: func(m *Mailbox, l []Entry) []Entry { m.Subscriptions = []string{"Sent"}; return l }, sameContent: true},
		{name: "content", change: one(func(e *Entry) { e.Digest.Sum[31]++ })},
		{name: "moved", change: one(func(e *Entry) { e.Folder = "Sent"; e.Unique += "x" })},
		{name: "one twice", change: func(_ *Mailbox, l []Entry) []Entry { e := l[3]; e.Unique += "x"; return append(l, e) }},
		{name: "one less", change: func(_ *Mailbox, l []Entry) []Entry { return l[1:] }},
		{name: "unread", change: one(func(e *Entry) { e.Status, e.Digest = Unread, Digest{} }), no: true},
		{name: "damaged", change: one(func(e *Entry) { e.Status, e.Damage = Damaged, Truncated }), no: true},
	}
	for _, c := range cases {
		co, st := of(c.change)
		if c.no {
			if !co.IsZero() || !st.IsZero() {
				t.Errorf("%s: roots are known", c.name)
			}
			continue
		}
		if (co == content) != c.sameContent || (st == state) != c.sameState || co.IsZero() {
			t.Errorf("%s: content same %v, state same %v", c.name, co == content, st == state)
		}
	}
}
