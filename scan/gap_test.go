package scan

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mailsync/compare"
	"mailsync/scan/beneath"
)

// What a comparison is told of the server's files that could not be read, and
// of those that are lost.
func TestGapsOfALook(t *testing.T) {
	b := newTree(t)
	b.maildir("u")
	files := b.many("u/cur", 2)
	b.listed("u", files...)
	b.write("u/dovecot-keywords", "0 $Junk\n")
	b.write("u/subscriptions", "V\t2\n\nSent\n")
	b.old()
	gaps := func(s *Scanner, rec *memory) map[compare.Aspect]bool {
		t.Helper()
		o := LookOptions{NoRecord: rec == nil}
		if rec != nil {
			o.Record = rec
		}
		v, err := s.Look(t.Context(), "u", o)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		for _, err := range v.Entries(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
		}
		out := map[compare.Aspect]bool{}
		for _, g := range v.Gaps() {
			if g.Folder != "INBOX" || g.Reason == "" {
				t.Errorf("%+v", g)
			}
			out[g.What] = g.Lost
		}
		return out
	}
	s := scanner(t, b.path, Options{})
	rec := mustLook(t, s, "u", nil, LookOptions{})
	if g := gaps(s, rec); len(g) != 0 {
		t.Errorf("nothing is lost: %v", g)
	}
	c := beneath.System()
	openat2 := c.Openat2
	c.Openat2 = func(fd int, path string, how *unix.OpenHow) (int, error) {
		if path == "subscriptions" || strings.HasPrefix(path, "dovecot-") {
			return -1, unix.EIO
		}
		return openat2(fd, path, how)
	}
	if g := gaps(scanner(t, b.path, Options{Calls: c}), nil); len(g) != 3 || g[compare.UIDList] || g[compare.KeywordTable] || g[compare.SubscriptionList] {
		t.Errorf("unreadable: %v", g)
	}
	b.check(os.Remove(b.at("u/dovecot-uidlist")))
	if g := gaps(s, rec); len(g) != 1 || !g[compare.UIDList] {
		t.Errorf("lost: %v", g)
	}
	b.write("u/dovecot-uidlist", strings.Repeat("\x00", 4096))
	if g := gaps(s, nil); len(g) != 1 || !g[compare.UIDList] {
		t.Errorf("torn: %v", g)
	}
}
