package restore

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mailsync/manifest"
)

func entryOf(flags, keywords string) *manifest.Entry {
	e := &manifest.Entry{Flags: flags}
	if keywords != "" {
		e.Keywords = strings.Split(keywords, " ")
	}
	return e
}

func TestMergeTable(t *testing.T) {
	for _, c := range []struct {
		name                 string
		base, target, source *manifest.Entry
		old, unite           bool
		flags, keywords      string
	}{
		{"nothing changed", entryOf("S", ""), entryOf("S", ""), entryOf("S", ""), false, false, "S", ""},
		{"source added", entryOf("S", ""), entryOf("S", ""), entryOf("FS", ""), false, false, "FS", ""},
		{"source took away", entryOf("FS", ""), entryOf("FS", ""), entryOf("S", ""), false, false, "S", ""},
		{"target took away", entryOf("FS", ""), entryOf("S", ""), entryOf("FS", ""), false, false, "S", ""},
		{"both added", entryOf("", ""), entryOf("R", ""), entryOf("S", ""), false, false, "RS", ""},
		{"the source is older than the record", entryOf("FS", ""), entryOf("FS", ""), entryOf("", ""), true, false, "FS", ""},
		{"T is not carried over", entryOf("S", ""), entryOf("S", ""), entryOf("ST", ""), false, false, "S", ""},
		{"T of the target stays", entryOf("S", ""), entryOf("ST", ""), entryOf("S", ""), false, false, "ST", ""},
		{"T that the source took away goes", entryOf("ST", ""), entryOf("ST", ""), entryOf("S", ""), false, false, "S", ""},
		{"no base", nil, entryOf("S", "x"), entryOf("F", "y"), false, false, "S", "x"},
		{"no base, both wanted", nil, entryOf("S", "x"), entryOf("FT", "y"), false, true, "FS", "x y"},
		{"keywords by name", entryOf("", "a"), entryOf("", "a b"), entryOf("", "c"), false, false, "", "b c"},
		{"junk by the source", entryOf("", "$NonJunk"), entryOf("", "$NonJunk"), entryOf("", "$Junk"), false, false, "", "$Junk"},
		{"junk by both, differently", entryOf("", ""), entryOf("", "$NonJunk"), entryOf("", "$Junk"), false, false, "", "$NonJunk"},
		{"junk added beside", entryOf("", "$NonJunk"), entryOf("", "$NonJunk"), entryOf("", "$Junk $NonJunk"), false, false, "", "$Junk"},
		{"a letter without a name", entryOf("", ""), entryOf("", ""), entryOf("", "?c"), false, false, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mergeEntries(c.base, c.target, c.source, !c.old, c.unite)
			if m.flags != c.flags || strings.Join(m.keywords, " ") != c.keywords {
				t.Errorf("%q %q, want %q %q", m.flags, m.keywords, c.flags, c.keywords)
			}
		})
	}
}

// Whatever the three sides hold: merging again changes nothing, a change of
// one side alone wins, T never comes, $Junk and $NonJunk never come together.
func TestMergeProperties(t *testing.T) {
	flags := rapid.Custom(func(t *rapid.T) *manifest.Entry {
		e := &manifest.Entry{}
		for _, f := range []string{"D", "F", "P", "R", "S", "T"} {
			if rapid.Bool().Draw(t, f) {
				e.Flags += f
			}
		}
		for _, k := range []string{junk, nonJunk, "a", "b"} {
			if rapid.Bool().Draw(t, k) && !(k == nonJunk && slices.Contains(e.Keywords, junk)) {
				e.Keywords = append(e.Keywords, k)
			}
		}
		slices.Sort(e.Keywords)
		return e
	})
	rapid.Check(t, func(t *rapid.T) {
		base, target, source := flags.Draw(t, "base"), flags.Draw(t, "target"), flags.Draw(t, "source")
		m := mergeEntries(base, target, source, true, false)
		if strings.Contains(m.flags, "T") && !strings.Contains(target.Flags, "T") {
			t.Fatalf("T was added: %q", m.flags)
		}
		if slices.Contains(m.keywords, junk) && slices.Contains(m.keywords, nonJunk) {
			t.Fatalf("junk and not junk: %q", m.keywords)
		}
		for _, f := range letters("DFPRS") {
			b, x, s, got := strings.Contains(base.Flags, f), strings.Contains(target.Flags, f), strings.Contains(source.Flags, f), strings.Contains(m.flags, f)
			switch {
			case x == s && got != x, x == b && got != s, s == b && got != x:
				t.Fatalf("%s: base %v target %v source %v gives %v", f, b, x, s, got)
			}
		}
		again := mergeEntries(base, &manifest.Entry{Flags: m.flags, Keywords: m.keywords}, source, true, false)
		if again.flags != m.flags || !slices.Equal(again.keywords, m.keywords) {
			t.Fatalf("a second merge changes %q %q to %q %q", m.flags, m.keywords, again.flags, again.keywords)
		}
		same := mergeEntries(base, target, source, false, false)
		if same.flags != target.Flags {
			t.Fatalf("a source older than the record changed %q to %q", target.Flags, same.flags)
		}
	})
}
