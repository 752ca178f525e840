package scan

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/beneath"
)

// sparse makes a file of that size with text at its beginning, and at its end.
func (b *tree) sparse(path string, size int64, begin, end string) {
	b.t.Helper()
	f, err := os.Create(b.at(path))
	b.check(err)
	defer f.Close()
	_, err = f.WriteString(begin)
	b.check(err)
	_, err = f.WriteAt([]byte(end), size-int64(len(end)))
	b.check(err)
	b.check(f.Truncate(size))
}

// TestSparseFiles: a file that is mostly a hole is named, and not read, however
// long it is. What was recorded of it stays.
func TestSparseFiles(t *testing.T) {
	const tera = 1 << 40
	b := newTree(t)
	b.maildir("u")
	whole := mail("whole", 500)
	for _, n := range []string{"tail", "run"} {
		b.put("u/cur", n, whole, ":2,S")
	}
	b.old()
	s := scanner(t, b.path, Options{BootAt: (&later{}).now()})
	rec := mustLook(t, s, "u", nil, LookOptions{})

	b.sparse("u/cur/"+named("tail", whole, ":2,S"), tera, whole, "")
	b.sparse("u/cur/"+named("run", whole, ":2,S"), tera, whole, "end\n")
	b.sparse("u/cur/all", tera, "", "")
	b.sparse("u/cur/unsized", tera, whole, "end\n")
	b.sparse("u/tmp/left", tera, whole, "")
	for range 2 {
		rec = mustLook(t, s, "u", rec, LookOptions{})
		var got []string
		for _, f := range rec.findings {
			got = append(got, fmt.Sprintf("%s %s %s", f.Certainty, f.Kind, strings.SplitN(f.File, ",", 2)[0]))
		}
		if diff := cmp.Diff([]string{"proof nul_filled cur/all", "proof nul_run cur/run", "proof nul_tail cur/tail", "suspicion nul_run cur/unsized"}, got); diff != "" {
			t.Error(diff)
		}
		if rec.counts.ReadBytes > 1<<20 {
			t.Errorf("%d bytes read", rec.counts.ReadBytes)
		}
		if e := rec.entry(t, "tail"); e.Status != manifest.Damaged || !e.Good || e.Digest.IsZero() {
			t.Errorf("%+v", e)
		}
		if e := rec.entry(t, "unsized"); e.Status != manifest.Unread || !e.Digest.IsZero() {
			t.Errorf("%+v", e)
		}
	}
	ev, err := s.Evidence(t.Context(), "primary", "u", rec.entry(t, "unsized"), compare.OwnProofs)
	if err != nil || ev.Known {
		t.Errorf("%+v, %v", ev, err)
	}
	// The good message comes back.
	b.put("u/cur", "tail", whole, ":2,S")
	rec = mustLook(t, s, "u", rec, LookOptions{})
	if e := rec.entry(t, "tail"); e.Status != manifest.Sound {
		t.Errorf("%+v", e)
	}
}

// TestForeignHardLinks: a name in a mailbox that leads to a file which the
// mailbox' owner may not read is not read for him.
func TestForeignHardLinks(t *testing.T) {
	b := newTree(t)
	b.maildir("u", "v")
	text := mail("one", 300)
	files := map[string]string{}
	for _, n := range []string{"own", "secret", "group", "all", "alone"} {
		files[n] = b.put("v/cur", n, text, ":2,S")
		if n == "alone" {
			b.check(os.Rename(b.at(files[n]), b.at("u/cur/alone")))
			continue
		}
		b.check(os.Link(b.at(files[n]), b.at("u/cur/"+n)))
	}
	b.old()
	// What the calls say of owners: u belongs to 1000, the files to others.
	calls := beneath.System()
	fstat := calls.Fstat
	calls.Fstat = func(fd int, st *unix.Stat_t) error {
		err := fstat(fd, st)
		st.Uid, st.Gid = 1000, 1000
		at, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		switch _, name, _ := strings.Cut(at, "/cur/"); name {
		case "secret", "alone":
			st.Uid, st.Gid, st.Mode = 0, 42, unix.S_IFREG|0o640
		case "group":
			st.Uid, st.Mode = 1001, unix.S_IFREG|0o640
		case "all":
			st.Uid, st.Gid, st.Mode = 0, 0, unix.S_IFREG|0o644
		}
		return err
	}
	s := scanner(t, b.path, Options{Calls: calls})
	m := mustLook(t, s, "u", nil, LookOptions{})
	if diff := cmp.Diff([]string{"unreadable INBOX cur/secret"}, m.kinds()); diff != "" {
		t.Error(diff)
	}
	for i := range m.entries {
		if e := &m.entries[i]; (e.Status == manifest.Sound) != (e.Unique != "secret") || e.Digest.IsZero() != (e.Unique == "secret") {
			t.Errorf("%s: status %d, digest %v", e.Unique, e.Status, e.Digest)
		}
	}
	if _, err := s.OpenMessage(context.Background(), "u", "", manifest.Cur, "secret"); err == nil {
		t.Error("opened for a restore")
	}
	if f, err := s.OpenMessage(context.Background(), "u", "", manifest.Cur, "own"); err != nil {
		t.Error(err)
	} else {
		_ = f.Close()
	}
}
