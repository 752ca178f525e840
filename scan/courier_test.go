package scan

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCourierKeywords: keywords of a Courier folder come from its list, and from
// the updates that are not folded into it yet. A change is seen although no name
// and no watched stamp moves.
func TestCourierKeywords(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	for _, n := range []string{"1.h", "2.h", "3.h", "4.h"} {
		b.write("u/cur/"+n+":2,S", mail(n, 200))
	}
	b.write("u/courierimapuiddb", "1 795337628 5\n1 1.h\n2 2.h\n3 3.h\n4 4.h\n")
	at := "u/courierimapkeywords/"
	b.write(at+":list", "work\n$Junk\n\n1.h:0 1\n2.h:0\n3.h:1\n")
	b.write(at+".6000000.2.h", "older\n")
	b.write(at+".6000001.2.h", "newer\n")
	b.write(at+"3.h", "now\nwork\n")
	b.write(at+".6000002.3.h", "aged\n")
	b.old()
	s := scanner(t, b.path, Options{})
	keywords := func(m *memory) map[string][]string {
		out := map[string][]string{}
		for _, e := range m.entries {
			out[e.Unique] = e.Keywords
		}
		return out
	}
	rec := mustLook(t, s, "u", nil, LookOptions{})
	want := map[string][]string{"1.h": {"$Junk", "work"}, "2.h": {"newer"}, "3.h": {"now", "work"}, "4.h": nil}
	if diff := cmp.Diff(want, keywords(rec)); diff != "" || len(rec.findings) != 0 {
		t.Error(diff, rec.kinds())
	}
	if rec.watch != nil {
		t.Error("a mailbox with Courier's keywords cannot be skipped")
	}
	rec = mustLook(t, s, "u", rec, LookOptions{})
	if diff := cmp.Diff(want, keywords(rec)); diff != "" {
		t.Error(diff)
	}
	b.write(at+"4.h", "late\n")
	rec = mustLook(t, s, "u", rec, LookOptions{})
	want["4.h"] = []string{"late"}
	if diff := cmp.Diff(want, keywords(rec)); diff != "" {
		t.Error(diff)
	}

	b.remove(at + ":list")
	b.write(at+":list", "work\n\n1.h:7\n")
	rec = mustLook(t, s, "u", rec, LookOptions{})
	if diff := cmp.Diff([]string{"keywords_broken INBOX courierimapkeywords/:list"}, rec.kinds()); diff != "" {
		t.Error(diff)
	}
	b.check(os.RemoveAll(b.at(at)))
	b.check(os.Symlink("/etc", b.at("u/courierimapkeywords")))
	rec = mustLook(t, s, "u", rec, LookOptions{})
	if len(rec.absences) != 0 || len(rec.entries) != 4 {
		t.Errorf("%d entries, %v", len(rec.entries), rec.kinds())
	}
}
