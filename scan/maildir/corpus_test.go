package maildir

import (
	"archive/tar"
	"bytes"
	"path"
	"strings"
	"testing"

	"mailsync/scan/corpustest"
)

// Stores that Dovecot and Courier wrote are read without a complaint, and what
// their lists name is what lies there.
func TestStoresOfTheCorpus(t *testing.T) {
	t.Parallel()
	bases := map[string]map[string]bool{} // folder's directory -> base names in it
	lists := map[string]uidFile{}
	count := map[string]int{}
	folders := map[string]bool{}
	corpustest.Each(t, func(h *tar.Header, p []byte) {
		name := h.Name
		if !strings.Contains(name, "dovecot-2.3.19-stores") && !strings.Contains(name, "courier-imap-5.0-maildir") {
			return
		}
		dir, base := path.Split(name)
		dir = strings.TrimSuffix(dir, "/")
		switch path.Base(dir) {
		case "cur", "new":
			folder := path.Dir(dir)
			n := ParseName(base)
			if s, why := Judge(base); s != Message {
				t.Errorf("%s: %s", name, why)
			}
			if bases[folder] == nil {
				bases[folder] = map[string]bool{}
			}
			bases[folder][n.ServerBase] = true
			if d, ok := ParseDelivery(n.Unique); !ok || d.Time().Year() < 2026 {
				t.Errorf("%s: delivered %v", name, d.Time())
			}
			folders[path.Base(folder)] = true
			return
		}
		switch base {
		case UIDListFile, CourierUIDDB:
			count[base]++
			l, err := ReadUIDList(bytes.NewReader(p))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			recs, err := records(l)
			if err != nil || l.Next() == 0 {
				t.Errorf("%s: %v", name, err)
			}
			lists[dir] = uidFile{records: recs, header: l.Header()}
			if base == UIDListFile {
				var b bytes.Buffer
				if err := WriteUIDList(&b, UIDHeader{3, l.Header().UIDValidity, l.Next(), l.Header().GUID, l.Header().Extra}, seq(recs)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if got, want := b.String()[strings.IndexByte(b.String(), '\n'):], string(p)[strings.IndexByte(string(p), '\n'):]; got != want {
					t.Errorf("%s changes when it is written back:\n%s\n%s", name, want, got)
				}
			}
		case KeywordsFile:
			count[base]++
			k, err := ParseKeywords(bytes.NewReader(p))
			if err != nil || string(k.Format()) != string(p) {
				t.Errorf("%s: %q %v", name, k, err)
			}
		case SubscriptionsFile:
			count[base]++
			s, err := ParseSubscriptions(bytes.NewReader(p), FolderNames{UTF8: strings.Contains(name, "/fs/")})
			if err != nil || len(s.Folders) == 0 || s.Invalid > 0 || strings.Contains(strings.Join(s.Folders, ""), mark) {
				t.Errorf("%s: %+v %v", name, s, err)
			}
		case CourierSubscribed:
			count[base]++
			if s, err := ParseCourierSubscribed(bytes.NewReader(p), FolderNames{UTF8: true}); err != nil || s.Invalid > 0 {
				t.Errorf("%s: %+v %v", name, s, err)
			}
		case QuotaFile:
			count[base]++
			if q, err := ParseQuota(bytes.NewReader(p)); err != nil {
				t.Errorf("%s: %+v %v", name, q, err)
			}
		case ":list":
			count[base]++
			for _, err := range CourierKeywords(bytes.NewReader(p)) {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
	inList, inDir := 0, 0
	for dir, u := range lists {
		for _, r := range u.records {
			inList++
			if bases[dir][r.Base] {
				inDir++
			}
		}
	}
	if inDir < 500 {
		t.Errorf("only %d of %d listed messages are in their directories", inDir, inList)
	}
	for dir := range folders {
		if strings.HasPrefix(dir, ".") {
			for _, f := range []FolderNames{{}, {UTF8: true}} {
				name, ok := f.Folder(dir)
				if back, err := f.Dir(name); !ok || err != nil || back != dir {
					t.Errorf("%q: %q: %q %v", dir, name, back, err)
				}
			}
		}
	}
	for _, base := range []string{UIDListFile, CourierUIDDB, KeywordsFile, SubscriptionsFile} {
		if count[base] == 0 {
			t.Errorf("no %s in the corpus", base)
		}
	}
	t.Logf("%v, %d of %d listed messages in place, %d folders", count, inDir, inList, len(folders))
}
