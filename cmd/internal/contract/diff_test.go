package contract

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
	"mailsync/manifest"
)

// twin is an estate that is large enough to differ in every way.
var twin = sample.Options{Seed: 41, Mailboxes: 4, PerMailbox: 80, Size: 1500}

func copyOf(l *drive.Line, store string) map[string]any {
	var c map[string]any
	_ = json.Unmarshal(l.Copies[store], &c)
	return c
}

func TestEqualReplicasHaveNoDifference(t *testing.T) {
	l := twins(t, twin)
	l.must(os.RemoveAll(l.path("b")))
	r, _ := l.e.Replica(1, "none") // other keyword letters
	l.write(r, "b")
	for range 2 {
		r := l.run(0, "diff", "./a", "./b")
		l.where(r, "difference", 0, nil)
		l.counts(r, map[string]int64{"differences": 0, "mailboxes": 4})
		l.run(0, "scan", "./a")
		l.run(0, "scan", "./b")
	}
}

func TestEveryKindOfDifferenceIsFoundAndNothingElse(t *testing.T) {
	for _, scanned := range []bool{false, true} {
		l := with2(t, twin)
		l.t = t
		b, changes := l.e.Replica(9)
		l.write(b, "b")
		if scanned {
			l.run(0, "scan", "./a")
			l.run(0, "scan", "./b")
		}
		r := l.run(1, "diff", "./a", "./b")
		want := map[string]int{}
		for _, c := range changes {
			kind := c.Kind
			if kind == sample.DiffExtra {
				kind = sample.DiffMissing
			}
			want[kind]++
			if kind == sample.DiffDate { // its Date field says so too
				want[sample.DiffContent]++
			}
			found := slices.ContainsFunc(r.Find("difference"), func(d drive.Line) bool {
				if d.Kind != kind || d.Mailbox != c.ByPath || c.Folder != "" && d.Folder != c.Folder && d.Folder != c.To {
					return false
				}
				if c.Kind == sample.DiffMissing && (string(d.Copies["./b"]) != "null" || string(d.Copies["./a"]) == "null") {
					return false
				}
				if c.Kind == sample.DiffExtra && string(d.Copies["./a"]) != "null" {
					return false
				}
				if c.Messages > 0 && d.Messages != int64(c.Messages) {
					return false
				}
				if c.Message == nil {
					return true
				}
				for _, s := range []string{"./a", "./b"} {
					if f, _ := copyOf(&d, s)["file"].(string); strings.Contains(f, c.Message.Unique) {
						return true
					}
				}
				return false
			})
			if !found {
				t.Errorf("scanned %v: no %s in %s %q for %s", scanned, kind, c.ByPath, c.Folder, c.Kind)
			}
		}
		got := map[string]int{}
		for _, d := range r.Find("difference") {
			got[d.Kind]++
		}
		for k, n := range got {
			if n != want[k] {
				t.Errorf("scanned %v: %d differences %s, want %d", scanned, n, k, want[k])
			}
			l.counts(r, map[string]int64{k: int64(n)})
		}
		l.counts(r, map[string]int64{"differences": int64(len(r.Find("difference")))})
	}
}

func TestAContentThatNothingDecidesHasNoGoodCopy(t *testing.T) {
	l := with(t, sample.Options{Seed: 41, Mailboxes: 4, PerMailbox: 80, Size: 1500})
	b, _ := l.e.Replica(3, sample.DiffContent)
	l.write(b, "b")
	r := l.run(1, "diff", "./a", "./b")
	d := l.where(r, "difference", 1, nil)
	if len(d) == 1 && (d[0].Kind != "content" || len(d[0].Good) != 0 || !strings.Contains(d[0].Raw, `"good":[]`)) {
		t.Errorf("%s", d[0].Raw)
	}
	// restore leaves the target's copy and reports it.
	was := l.mail("a")
	r = l.run(1, "restore", "./a", "--from", "./b", "--yes")
	if len(changed(was, l.mail("a"))) != 0 || len(r.Find("action")) == 0 {
		t.Errorf("%s", r)
	}
}

func changed(a, b map[string]string) []string { return changes(a, b) }

func TestAProvenDamagedCopyIsDamagedAndTheOtherGood(t *testing.T) {
	l := twins(t, twin)
	truth, err := l.vandal("a").BreakEach(manifest.Truncated, manifest.NULFilled, manifest.Empty)
	l.must(err)
	r := l.run(1, "diff", "./a", "./b")
	for _, d := range l.where(r, "difference", len(truth), nil) {
		if d.Kind != "damaged" || !slices.Equal(d.Good, []string{"./b"}) || d.Reason == "" {
			t.Errorf("%s", d.Raw)
		}
	}
	// By the record: nothing in the message itself tells.
	l = with2(t, twin)
	l.t = t
	l.write(l.e, "b")
	l.run(0, "scan", "./a")
	broken, err := l.vandal("a").Break(manifest.ContentChanged)
	l.must(err)
	l.run(1, "verify", "./a")
	for _, d := range l.where(l.run(1, "diff", "./a", "./b"), "difference", 1, nil) {
		if d.Kind != "damaged" || !slices.Equal(d.Good, []string{"./b"}) {
			t.Errorf("%s", d.Raw)
		}
		// The digest is that of the bytes which a copy holds, not the recorded one.
		for _, store := range []string{"a", "b"} {
			x := copyOf(&d, "./"+store)
			if held := manifest.BLAKE3.Sum(l.read(broken.Message.Path(l.path(store)))); x["digest"] != held.String() {
				t.Errorf("%s holds %v: %s", store, held, d.Raw)
			}
		}
	}
}

// The time at which a file was damaged is not its date, also where the damage has
// been recorded with it: restore brings back the date of the message.
func TestTheDateOfAnAccidentIsNotRestored(t *testing.T) {
	for _, recorded := range []bool{false, true} { // before the damage, too
		l := with2(t, twin)
		l.t = t
		l.write(l.e, "b")
		if recorded {
			l.run(0, "scan", "./a", "./b")
		}
		broken, err := l.vandal("a").Break(manifest.NULFilled)
		l.must(err)
		l.must(os.Chtimes(broken.Path, time.Now(), time.Now()))
		l.run(1, "scan", "./a", "--rehash")
		l.where(l.run(1, "diff", "./a", "./b"), "difference", 1, nil)
		l.run(0, "restore", "./a", "--from", "./b", "--yes")
		l.where(l.run(0, "diff", "./a", "./b"), "difference", 0, nil)
		st, err := os.Stat(broken.Path)
		l.must(err)
		if want := broken.Message.Date; st.ModTime().Unix() != want.Unix() {
			t.Errorf("recorded before %v: the date is %v, and was %v", recorded, st.ModTime(), want)
		}
	}
}

func TestADifferingBaseNameAloneIsNoDifference(t *testing.T) {
	l := with(t, sample.Options{Seed: 5, Mailboxes: 2, PerMailbox: 20, Bare: true})
	l.write(l.e, "b")
	for m := range l.e.Messages() {
		p := m.Path(l.path("b"))
		l.must(os.Rename(p, filepath.Join(filepath.Dir(p), strings.Replace(filepath.Base(p), ".M", ".Q7M", 1))))
	}
	l.where(l.run(0, "diff", "./a", "./b"), "difference", 0, nil)
}

func TestThreeReplicasAreComparedAtOnce(t *testing.T) {
	l := twins(t, small)
	l.write(l.e, "c")
	m := l.lose("b", 1, ordinary)[0]
	d := l.where(l.run(1, "diff", "./a", "./b", "./c"), "difference", 1, nil)
	if len(d) == 1 {
		if len(d[0].Copies) != 3 || string(d[0].Copies["./b"]) != "null" || copyOf(&d[0], "./c")["file"] != m.File() {
			t.Errorf("%s", d[0].Raw)
		}
	}
}

func TestACopyThatCouldNotBeLookedAtIsUnknownNeverNull(t *testing.T) {
	l := twins(t, small)
	l.run(0, "scan", "./a")
	l.run(0, "scan", "./b")
	// A directory that is none can be listed by nobody, not even root.
	b := l.e.Boxes[1]
	cur := filepath.Join(l.path("b"), b.Path, "cur")
	l.must(os.Rename(cur, l.path("aside")))
	l.must(os.WriteFile(cur, nil, 0o600))
	r := l.run(3, "diff", "./a", "./b")
	for _, d := range r.Find("difference") {
		if d.Mailbox == b.ByPath && d.Folder == "INBOX" && string(d.Copies["./b"]) == "null" {
			t.Errorf("an unknown copy is called absent: %s", d.Raw)
		}
		if d.Kind == "missing" || d.Kind == "folder_missing" || d.Kind == "mailbox_missing" {
			if string(d.Copies["./b"]) == "null" {
				t.Errorf("%s", d.Raw)
			}
		}
	}
	// The same for a whole mailbox whose root is gone though it is recorded.
	l.must(os.Remove(cur))
	l.must(os.RemoveAll(filepath.Join(l.path("b"), b.Path)))
	r, err := l.bin.JSON(t.Context(), "diff", "./a", "./b")
	l.must(err)
	for _, d := range r.Find("difference") {
		if d.Mailbox == b.ByPath && string(d.Copies["./b"]) == "null" {
			t.Errorf("a recorded mailbox that is gone is unknown: %s", d.Raw)
		}
	}
	if r.Code != 3 {
		t.Errorf("%s", r)
	}
}

func TestCopiesCarryWhatTheFilesHave(t *testing.T) {
	l := with(t, twin)
	b, changes := l.e.Replica(4, sample.DiffFlags, sample.DiffKeywords, sample.DiffDate, sample.DiffUID)
	l.write(b, "b")
	r := l.run(1, "diff", "./a", "./b")
	for _, c := range changes {
		d := l.where(r, "difference", 1, func(d *drive.Line) bool { return d.Kind == c.Kind })
		if len(d) != 1 {
			continue
		}
		m, x := c.Message, copyOf(&d[0], "./a")
		keywords := []any{}
		for _, k := range m.Keywords {
			keywords = append(keywords, k)
		}
		got, _ := x["keywords"].([]any)
		if x["file"] != m.File() || x["size"] != float64(len(m.Stored())) || x["flags"] != m.Flags || x["uid"] != float64(m.UID) ||
			x["date"] != m.Date.UTC().Format("2006-01-02T15:04:05Z") || !slices.Equal(got, keywords) ||
			x["digest"] != manifest.BLAKE3.Sum(m.Stored()).String() {
			t.Errorf("the copy is not the file: %s (flags %q, keywords %v, uid %d)", d[0].Raw, m.Flags, m.Keywords, m.UID)
		}
	}
}
