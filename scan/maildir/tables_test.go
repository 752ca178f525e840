package maildir

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestKeywords(t *testing.T) {
	t.Parallel()
	k, err := ParseKeywords(iotest.HalfReader(strings.NewReader("0 $Forwarded\n2 Work\n25 é\n")))
	if err != nil || len(k) != 26 {
		t.Fatal(k, err)
	}
	if d := cmp.Diff([]string{"$Forwarded", "?b", "Work", "é"}, k.Names("zcba")); d != "" {
		t.Error(d)
	}
	if k.Names("") != nil {
		t.Error("names of no letters")
	}
	letters, missing := k.Letters([]string{"Work", "?b", "?a", "other", "é", "?bc"})
	if letters != "bcz" || !cmp.Equal(missing, []string{"?a", "other", "?bc"}) {
		t.Errorf("%q, missing %q", letters, missing)
	}
	if string(k.Format()) != "0 $Forwarded\n2 Work\n25 é\n" {
		t.Errorf("%q", k.Format())
	}
	more, full := k.Add("bd", "Work", "Play", "bad name", "")
	if more.Name('e') != "Play" || k.Name('e') != "?e" || len(full) != 2 {
		t.Errorf("%q, full %q", more, full)
	}
	table := Keywords(nil)
	for i := range 30 {
		table, full = table.Add("", strings.Repeat("k", i+1))
	}
	if len(table) != MaxKeywords || len(full) != 1 {
		t.Errorf("%d names, full %q", len(table), full)
	}
	for name, in := range map[string]string{
		"torn": "0 a\n1 b", "index": "0 a\n26 b\n", "number": "0 a\nx b\n", "no name": "0 a\n1\n", "empty name": "0 a\n1 \n", "twice": "0 a\n0 b\n", "name twice": "0 a\n1 a\n",
		"NUL": "0 a\n\x00\x00\n", "long": "0 a\n1 " + strings.Repeat("x", 10_000), "sign": "0 a\n+1 b\n",
	} {
		k, err := ParseKeywords(strings.NewReader(in))
		if !errors.Is(err, ErrKeywords) || !cmp.Equal(k, Keywords{"a"}) {
			t.Errorf("%s: %q, %v", name, k, err)
		}
	}
	if _, err := ParseKeywords(iotest.ErrReader(iotest.ErrTimeout)); !errors.Is(err, iotest.ErrTimeout) || errors.Is(err, ErrKeywords) {
		t.Error(err)
	}
}

// Letters of one folder become the letters of another by name, and come back.
func TestKeywordsTranslate(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[!-~]{1,6}`).Filter(func(s string) bool { return s[0] != '?' })
	table := rapid.Custom(func(t *rapid.T) Keywords {
		return Keywords(rapid.SliceOfNDistinct(name, 0, MaxKeywords, rapid.ID).Draw(t, "names"))
	})
	rapid.Check(t, func(t *rapid.T) {
		k, other := table.Draw(t, "from"), table.Draw(t, "to")
		letters := string(sortedSet([]byte(rapid.StringMatching("[a-z]{0,8}").Draw(t, "letters"))))
		if back, missing := k.Letters(k.Names(letters)); back != letters || missing != nil {
			t.Fatalf("%q came back as %q, missing %q", letters, back, missing)
		}
		again, err := ParseKeywords(bytes.NewReader(k.Format()))
		if err != nil || !cmp.Equal(append(Keywords{}, k...), append(Keywords{}, again...)) {
			t.Fatalf("%q written and read: %q, %v", k, again, err)
		}
		here, missing := other.Letters(k.Names(letters))
		for _, n := range other.Names(here) {
			if !strings.HasPrefix(n, "?") && !contains(k.Names(letters), n) {
				t.Fatalf("%q appeared", n)
			}
		}
		if len(here)+len(missing) != len(letters) {
			t.Fatalf("%q: %q and missing %q", letters, here, missing)
		}
	})
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func TestCourierKeywords(t *testing.T) {
	t.Parallel()
	collect := func(in string) (got []CourierKeyword, failed error) {
		for k, err := range CourierKeywords(strings.NewReader(in)) {
			if err != nil {
				return got, err
			}
			got = append(got, k)
		}
		return got, nil
	}
	got, err := collect("Work\n$Label 1\n\na,S=1:0 1\nb:\n")
	if d := cmp.Diff([]CourierKeyword{{"a,S=1", []string{"Work", "$Label 1"}}, {"b", nil}}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	for name, in := range map[string]string{"torn": "Work\n\na:0\nb:0", "index": "Work\n\na:0\nb:1\n", "no name": "Work\n\na:0\n:0\n", "number": "Work\n\na:0\nb:x\n", "no colon": "Work\n\na:0\nb\n"} {
		if got, err := collect(in); !errors.Is(err, ErrKeywords) || len(got) != 1 {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	k, age, ok, err := CourierPending(".5984459.a,S=1", strings.NewReader("Work\nPlay\n"))
	if d := cmp.Diff(CourierKeyword{"a,S=1", []string{"Work", "Play"}}, k); d != "" || !ok || err != nil || age != 5984459 {
		t.Error(d, age, ok, err)
	}
	if k, age, ok, err := CourierPending("a", strings.NewReader("")); k.Base != "a" || age != 0 || !ok || err != nil {
		t.Error(k, age, ok, err)
	}
	if _, _, ok, err := CourierPending("a", strings.NewReader("Wo")); !ok || !errors.Is(err, ErrKeywords) {
		t.Error(ok, err)
	}
	for _, file := range []string{":list", ".tmp", ".x.a", ".5.", ""} {
		if _, _, ok, err := CourierPending(file, strings.NewReader("")); ok || err != nil {
			t.Errorf("%q: %v %v", file, ok, err)
		}
	}
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	mutf7, utf := FolderNames{}, FolderNames{UTF8: true}
	for _, tc := range []struct {
		name, in string
		f        FolderNames
		want     Subscriptions
	}{
		{"version 2", "V\t2\n\nArchive\t2025\nSent\n&AMU-rets m&APg-ter\nSent\na\x01tb\n", mutf7, Subscriptions{Version: 2, Folders: []string{"Archive/2025", "Sent", "Årets møter", mark + "a%09b"}}},
		{"version 1", "INBOX\nArchive.2025\n", mutf7, Subscriptions{Version: 1, Folders: []string{"Archive/2025", "INBOX"}}},
		{"version 1, fs", "Archive/20.25\n", FolderNames{Layout: FS}, Subscriptions{Version: 1, Folders: []string{"Archive/20.25"}}},
		{"UTF-8", "V\t2\n\nÅrets\n", utf, Subscriptions{Version: 2, Folders: []string{"Årets"}}},
		{"empty", "", mutf7, Subscriptions{Version: 1}},
	} {
		got, err := ParseSubscriptions(strings.NewReader(tc.in), tc.f)
		if d := cmp.Diff(tc.want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", tc.name, err, d)
		}
	}
	got, err := ParseCourierSubscribed(strings.NewReader("INBOX.Sent\nINBOX\nINBOX.A.B\nshared.x\n"), utf)
	if d := cmp.Diff(Subscriptions{Folders: []string{"A/B", "INBOX", "Sent"}, Invalid: 1}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if s, err := ParseSubscriptions(strings.NewReader("V\t2\n\nA\nB"), mutf7); !errors.Is(err, ErrSubs) || len(s.Folders) != 1 {
		t.Errorf("torn: %v %v", s, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		f := FolderNames{Layout: rapid.SampledFrom([]Layout{PlusPlus, FS}).Draw(t, "layout"), UTF8: rapid.Bool().Draw(t, "utf8")}
		var names []string
		for _, n := range rapid.SliceOf(folderName).Draw(t, "names") {
			if _, err := f.Dir(n); err == nil {
				names = append(names, n)
			}
		}
		p, err := FormatSubscriptions(names, f)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseSubscriptions(bytes.NewReader(p), f)
		if err != nil {
			t.Fatalf("%q: %v", p, err)
		}
		for _, n := range names {
			if !contains(got.Folders, n) {
				t.Fatalf("%q is lost in %q", n, p)
			}
		}
	})
	if _, err := FormatSubscriptions([]string{"a.b"}, mutf7); !errors.Is(err, ErrFolderName) {
		t.Error(err)
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	in := "10000000S,1000C\n         166            1\n        -166           -1\n5 2\n"
	q, err := ParseQuota(strings.NewReader(in))
	if d := cmp.Diff(Quota{Limits: "10000000S,1000C", Bytes: 5, Count: 2, Lines: 3, Size: int64(len(in))}, q); d != "" || err != nil {
		t.Error(d, err)
	}
	in += string(QuotaLine(-7, 1))
	if q, err := ParseQuota(strings.NewReader(in)); err != nil || q.Bytes != -2 || q.Count != 3 {
		t.Error(q, err)
	}
	if q, err := ParseQuota(strings.NewReader("0S\n 5 1\n 7")); err != nil || !q.Torn || q.Bytes != 5 {
		t.Error(q, err)
	}
	if q, err := ParseQuota(strings.NewReader("\n1 1\n")); err != nil || q.Limits != "" || q.Lines != 1 {
		t.Error(q, err)
	}
	for _, in := range []string{"", "0S", "\x00\x00\n", "0S\nx y\n", "0S\n1 2 3\n", "0S\n1 99999999999999999999\n"} {
		if _, err := ParseQuota(strings.NewReader(in)); !errors.Is(err, ErrQuota) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func FuzzTables(f *testing.F) {
	f.Add([]byte("0 a\n1 b\n"))
	f.Add([]byte("V\t2\n\nA\tB\n"))
	f.Add([]byte("INBOX.A\nx\n"))
	f.Add([]byte("a\nb\n\nx:0 1\n"))
	f.Add([]byte("1S,2C\n 1 2\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		k, err := ParseKeywords(bytes.NewReader(p))
		if err != nil && !errors.Is(err, ErrKeywords) || len(k) > MaxKeywords {
			t.Fatal(k, err)
		}
		for range CourierKeywords(bytes.NewReader(p)) {
			continue
		}
		_, _, _, _ = CourierPending(string(p[:min(20, len(p))]), bytes.NewReader(p))
		s, err := ParseSubscriptions(bytes.NewReader(p), FolderNames{})
		if err != nil && !errors.Is(err, ErrSubs) {
			t.Fatal(err)
		}
		for _, n := range s.Folders {
			if !validUTF8(n) {
				t.Fatalf("%q", n)
			}
		}
		_, _ = ParseCourierSubscribed(bytes.NewReader(p), FolderNames{UTF8: true})
		_, _ = ParseQuota(bytes.NewReader(p))
		for u, err := range ParseUsers(bytes.NewReader(p)) {
			if err == nil && (u.Address == "" || u.Path == "") {
				t.Fatalf("%+v", u)
			}
		}
	})
}
