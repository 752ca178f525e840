package maildir

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gomaildir "github.com/emersion/go-maildir"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		want Name
	}{
		{"1700000000.M1P1.host,S=512,W=530:2,FS", Name{Base: "1700000000.M1P1.host,S=512,W=530", Unique: "1700000000.M1P1.host", Sep: ':', Info: "2,FS", Flags: "FS", S: 512, W: 530, HasS: true, HasW: true}},
		{"1700000000.M1P1.host", Name{Base: "1700000000.M1P1.host", Unique: "1700000000.M1P1.host"}},
		{"a:2,", Name{Base: "a", Unique: "a", Sep: ':', Info: "2,"}},
		{"a:2,SFS", Name{Base: "a", Unique: "a", Sep: ':', Info: "2,SFS", Flags: "FS"}},
		{"a:2,FSXZab", Name{Base: "a", Unique: "a", Sep: ':', Info: "2,FSXZab", Flags: "FSXZ", Letters: "ab"}},
		{"a:2,bSa", Name{Base: "a", Unique: "a", Sep: ':', Info: "2,bSa", Flags: "S", Letters: "ab"}},
		{"a:2,S,Sx", Name{Base: "a", Unique: "a", Sep: ':', Info: "2,S,Sx", Flags: "S", Ext: ",Sx"}},
		{"a:2,S1-F", Name{Base: "a", Unique: "a", Sep: ':', Info: "2,S1-F", Flags: "FS", Other: "1-"}},
		{"a:1,S", Name{Base: "a", Unique: "a", Sep: ':', Info: "1,S"}},
		{"a:", Name{Base: "a", Unique: "a", Sep: ':'}},
		{"a;2,RS", Name{Base: "a", ServerBase: "a;2,RS", Unique: "a", Sep: ';', Info: "2,RS", Flags: "RS"}},
		{"a,S=3!2,", Name{Base: "a,S=3", ServerBase: "a,S=3!2,", Unique: "a", Sep: '!', Info: "2,", S: 3, HasS: true}},
		{"a;2,S:2,F", Name{Base: "a;2,S", Unique: "a;2,S", Sep: ':', Info: "2,F", Flags: "F"}},
		{"a;2,S,x", Name{Base: "a;2,S,x", Unique: "a;2,S,x"}},
		{"a,W=9,S=5:2,", Name{Base: "a,W=9,S=5", Unique: "a", Sep: ':', Info: "2,", S: 5, W: 9, HasS: true, HasW: true}},
		{"a,S=5,x=1,W=9", Name{Base: "a,S=5,x=1,W=9", Unique: "a,x=1", S: 5, W: 9, HasS: true, HasW: true}},
		{"a,W=9,x=1,S=5,y", Name{Base: "a,W=9,x=1,S=5,y", Unique: "a,x=1,y", S: 5, W: 9, HasS: true, HasW: true}},
		{"a,S=5x,S=6", Name{Base: "a,S=5x,S=6", Unique: "a,S=5x,S=6"}},
		{"a,S=", Name{Base: "a,S=", Unique: "a,S="}},
		{"a,S=99999999999999999999", Name{Base: "a,S=99999999999999999999", Unique: "a,S=99999999999999999999"}},
		{",S=5", Name{Base: ",S=5", Unique: ",S=5", S: 5, HasS: true}},
		{"a,S=1:2,S,S=7", Name{Base: "a,S=1", Unique: "a", Sep: ':', Info: "2,S,S=7", Flags: "S", Ext: ",S=7", S: 1, HasS: true}},
		{"", Name{}},
	} {
		tc.want.Full = tc.in
		if tc.want.ServerBase == "" {
			tc.want.ServerBase = tc.want.Base
		}
		got := ParseName(tc.in)
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%q: %s", tc.in, d)
		}
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, flags, letters, want string }{
		{"a,S=1", "S", "", "a,S=1:2,S"},
		{"a:2,", "SF", "ba", "a:2,FSab"},
		{"a:2,S,x=1", "", "", "a:2,,x=1"},
		{"a:2,S-1", "T", "", "a:2,T-1"},
		{"a:1,z", "S", "", "a:2,S"},
		{"a;2,S", "R", "", "a;2,R"},
		{"a", "SS,:/", "", "a:2,S"},
	} {
		n := ParseName(tc.in)
		if got := n.With(tc.flags, tc.letters); got != tc.want {
			t.Errorf("%q with %q %q: %q, want %q", tc.in, tc.flags, tc.letters, got, tc.want)
		}
	}
}

var nameAtom = rapid.SampledFrom([]string{"1700000000", ".M5P6", ".host", ",S=12", ",W=34", ",S=x", ":2,", ":1,", ";2,", "S", "F", "ab", "Z", ",", "=", "é", "\xff", "-", " "})

// Taking a name apart and putting it together changes nothing but what was asked for.
func TestNamesRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := strings.Join(rapid.SliceOfN(nameAtom, 0, 10).Draw(t, "atoms"), "")
		n := ParseName(in)
		if n.Sep != 0 && n.Base+string(n.Sep)+n.Info != in || n.Sep == 0 && n.Base != in {
			t.Fatalf("%q: parts do not make the name: %+v", in, n)
		}
		flags := rapid.StringMatching("[A-Z]{0,4}").Draw(t, "flags")
		letters := rapid.StringMatching("[a-z]{0,3}").Draw(t, "letters")
		m := ParseName(n.With(flags, letters))
		if n.Alternate() && n.Ext+n.Other != "" {
			t.Fatalf("%q: an alternate info part with more than letters", in)
		}
		wantF, wantL := string(sortedSet([]byte(flags))), string(sortedSet([]byte(letters)))
		if m.Base != n.Base || m.Unique != n.Unique || m.Flags != wantF || m.Letters != wantL || m.Ext != n.Ext && (n.Sep == 0 || strings.HasPrefix(n.Info, "2,")) || m.S != n.S || m.W != n.W {
			t.Fatalf("%q with %q %q: %+v", in, flags, letters, m)
		}
		if again := m.With(flags, letters); again != m.Full {
			t.Fatalf("%q, then %q", m.Full, again)
		}
		if !slices.IsSorted([]byte(m.Flags)) || strings.Contains(m.Unique, ":2,") {
			t.Fatalf("%+v", m)
		}
		if n.HasS && !n.HasW && n.Unique != n.Base && !strings.Contains(n.Unique, ",") {
			if s := ParseName(Sized(n.Unique, n.S, -1)); s.Unique != n.Unique || s.S != n.S || !s.HasS || s.HasW {
				t.Fatalf("Sized(%q, %d): %+v", n.Unique, n.S, s)
			}
		}
	})
}

func TestParsingAUsualNameAllocatesNothing(t *testing.T) {
	names := []string{"1795337883.M645626P21697.vm,S=4805,W=4905:2,FSab", "1795337883.V801I5M6.vm", "1795337883.M6P7V8I9_0.vm,S=5:2,"}
	sum := 0
	if n := testing.AllocsPerRun(50, func() {
		for _, s := range names {
			n := ParseName(s)
			sum += len(n.Unique)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// go-maildir is an independent reader: what its Walk accepts has the same
// flags and the same key here.
func TestGoMaildirAgrees(t *testing.T) {
	t.Parallel()
	dir := gomaildir.Dir(filepath.Join(t.TempDir(), "Maildir"))
	if err := dir.Init(); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]gomaildir.Flag{nil, {gomaildir.FlagSeen}, {gomaildir.FlagTrashed, gomaildir.FlagDraft}, {gomaildir.FlagSeen, gomaildir.FlagReplied, gomaildir.FlagPassed, gomaildir.FlagFlagged}} {
		msg, w, err := dir.Create(flags)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		_ = msg
	}
	for _, name := range []string{"1700000000.M1P1.host,S=5,W=6:2,DFSab", "1700000001.a:2,SX", "x:2,", "1700000002.a,S=7:2,Zq"} {
		if err := os.WriteFile(filepath.Join(string(dir), "cur", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	count := 0
	err := dir.Walk(func(m *gomaildir.Message) error {
		count++
		n := ParseName(filepath.Base(m.Filename()))
		var flags []byte
		for _, f := range m.Flags() {
			flags = append(flags, byte(f))
		}
		slices.Sort(flags)
		if string(flags) != n.Flags+n.Letters {
			t.Errorf("%q: flags %q, go-maildir has %q", n.Full, n.Flags+n.Letters, flags)
		}
		if n.ServerBase != m.Key() {
			t.Errorf("%q: base %q, go-maildir has %q", n.Full, n.ServerBase, m.Key())
		}
		if s, why := Judge(n.Full); s != Message {
			t.Errorf("%q is no message: %s", n.Full, why)
		}
		return nil
	})
	if err != nil || count != 8 {
		t.Errorf("%d messages, %v", count, err)
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]Standing{
		"a": Message, "a:2,S": Message, "-rf": Message, "\x1b[2J": Message, "\xff\xfe": Message, strings.Repeat("x", 255): Message,
		".a": Hidden, ".": Hidden, ".nfs000": Hidden,
		"": Bad, ":2,S": Bad, "a\nb": Bad, "a\r": Bad, "a/b": Bad, "a\x00": Bad, strings.Repeat("x", 256): Bad,
	} {
		got, why := Judge(name)
		if got != want || (got == Message) != (why == "") {
			t.Errorf("%q: %v %q", name, got, why)
		}
	}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Delivery{
		"1795337883.M645626P21697.vm": {1795337883, 645626}, "1795337883.V801I5M6.vm": {1795337883, 6}, "12.a": {12, 0}, "1795337883.M9999999.x": {1795337883, 0},
	} {
		if got, ok := ParseDelivery(in); !ok || got != want {
			t.Errorf("%q: %+v %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "a.b", "12", "x12.a", ".5.a", "9999999999999.a"} {
		if got, ok := ParseDelivery(in); ok {
			t.Errorf("%q: %+v", in, got)
		}
	}
	if got := (Delivery{1, 5}).Time(); !got.Equal(time.Unix(1, 5000)) {
		t.Error(got)
	}
}

func TestNamer(t *testing.T) {
	t.Parallel()
	now := time.Unix(1700000000, 123456789)
	g := NewNamer("a/b:c,d", 77, func() time.Time { return now })
	first, second := g.Next(), g.Next()
	if want := `1700000000.M123456P77Q1.a\057b\072c\054d`; first != want {
		t.Errorf("%q, want %q", first, want)
	}
	if first == second {
		t.Error("the same name twice")
	}
	n := ParseName(Sized(first, 10, 12) + ":2,")
	if n.Unique != first || n.S != 10 || n.W != 12 {
		t.Errorf("%+v", n)
	}
	if d, ok := ParseDelivery(first); !ok || d.Seconds != 1700000000 || d.Micros != 123456 {
		t.Errorf("%+v %v", d, ok)
	}
	if s, why := Judge(first); s != Message {
		t.Error(why)
	}
	if EscapeHost("") == "" || NewNamer("h", 1, nil).Next() == "" {
		t.Error("empty names")
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"1.M2P3.h,S=4,W=5:2,FSab,x", "a;2,S", ":2,", "\x00\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := ParseName(s)
		if n.Unique == "" && n.Base != "" || strings.IndexByte(n.ServerBase, ':') >= 0 {
			t.Fatalf("%+v", n)
		}
		m := ParseName(n.With(n.Flags, n.Letters))
		if m.Flags != n.Flags || m.Letters != n.Letters || m.Base != n.Base {
			t.Fatalf("%+v became %+v", n, m)
		}
		Judge(s)
	})
}
