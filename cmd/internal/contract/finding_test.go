package contract

import (
	"bytes"
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

// broken is an estate of which everything that can be broken is.
var broken = sample.Options{Seed: 21, Mailboxes: 3, PerMailbox: 110, Size: 3000, Compressed: true}

func (l *lab) vandal(store string) *sample.Vandal {
	return sample.NewVandal(l.e, l.path(store), 5)
}

// told wants exactly one finding about the file of a truth, of that kind.
func (l *lab) told(r *drive.Result, tr sample.Truth, kind manifest.Kind) {
	l.t.Helper()
	var about []drive.Line
	for _, f := range r.Find("finding") {
		same := f.Name() == tr.File || tr.File == ""
		if kind == manifest.DuplicateName { // of two files either is one too many
			same = base(f.Name()) == base(tr.File)
		}
		if f.Mailbox == tr.ByPath && f.Folder == tr.Folder && same && f.Kind == kind.String() {
			about = append(about, f)
		}
	}
	if len(about) != 1 {
		l.t.Errorf("%d findings %v about %s %s %q:%s", len(about), kind, tr.ByPath, tr.Folder, tr.File, raws(about))
		return
	}
	f := about[0]
	if f.Store != "./a" {
		l.t.Errorf("store %q is not as given: %s", f.Store, f.Raw)
	}
	if tr.Kind.Class() == manifest.Damage && tr.Kind == kind && f.Certainty != tr.Certainty.String() {
		l.t.Errorf("%v: certainty %s, want %s: %s", kind, f.Certainty, tr.Certainty, f.Raw)
	}
	if f.Detail == "" {
		l.t.Errorf("no detail: %s", f.Raw)
	}
}

func base(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ":")
	return name
}

func TestEveryKindOfDamageIsFoundWithoutARecord(t *testing.T) {
	l := with(t, broken)
	truth, err := l.vandal("a").BreakAll()
	l.must(err)
	r := l.run(1, "verify", "./a")
	perFile := map[string]int{}
	for _, tr := range truth {
		if !tr.Baseline {
			l.told(r, tr, tr.Kind)
		}
	}
	for _, f := range r.Find("finding") {
		if slices.Contains(damage, f.Kind) {
			perFile[f.Mailbox+f.Folder+f.Name()]++
		}
	}
	for name, n := range perFile {
		if n != 1 {
			t.Errorf("%d damage findings of one file %q", n, name)
		}
	}
}

var damage = strings.Fields("empty nul_filled nul_tail nul_run truncated grown line_count content_changed compressed_corrupt header_broken missing")

func TestEveryKindOfDamageIsFoundWithARecord(t *testing.T) {
	l := with(t, broken)
	l.run(0, "scan", "./a")
	truth, err := l.vandal("a").BreakAll()
	l.must(err)
	r := l.run(1, "verify", "./a", "--crash-at", now())
	want := int64(0)
	for _, tr := range truth {
		l.told(r, tr, tr.Recorded)
		if tr.Recorded.Class() == manifest.Damage {
			want++
		}
	}
	if got := r.Count("damaged") + r.Count("suspect"); got != want {
		t.Errorf("%d damaged and suspect, want %d: %s", got, want, r)
	}
}

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

func TestDisorderAloneExits0AndWithStrict1(t *testing.T) {
	l := with(t, broken)
	truth, err := l.vandal("a").BreakEach(manifest.BadName, manifest.NotRegular, manifest.UIDDuplicate, manifest.KeywordsBroken, manifest.QuotaStale)
	l.must(err)
	r := l.run(0, "verify", "./a")
	for _, tr := range truth {
		l.told(r, tr, tr.Kind)
	}
	if r.Count("disordered") < int64(len(truth)) {
		t.Errorf("%s", r)
	}
	l.run(1, "verify", "./a", "--strict")
	r = l.run(0, "scan", "./a")
	for _, tr := range truth {
		l.told(r, tr, tr.Kind)
	}
	l.run(1, "scan", "./a", "--strict")
}

func TestASoundStoreIsClean(t *testing.T) {
	opt := broken
	opt.Odd, opt.Shared = true, true
	l := with(t, opt)
	r := l.run(0, "verify", "./a")
	l.where(r, "finding", 0, nil)
	r = l.run(0, "scan", "./a")
	l.where(r, "finding", 0, nil)
	l.counts(r, map[string]int64{"mailboxes": 3, "folders": 15, "messages": int64(l.e.Count()), "damaged": 0, "suspect": 0, "disordered": 0, "unreadable": 0, "vanished": 0})
	if r.Count("bytes") != r.Count("read_bytes") {
		t.Errorf("a first scan reads every byte of messages once: %s", r)
	}
	size := int64(0)
	for m := range l.e.Messages() {
		size += int64(len(m.Stored()))
	}
	l.counts(r, map[string]int64{"bytes": size})
	r = l.run(0, "verify", "./a")
	l.where(r, "finding", 0, nil)
}

// one is an estate with one message to be broken in a special way.
func (l *lab) one() *sample.Message {
	l.t.Helper()
	for m := range l.e.Messages() {
		if ordinary(m) && len(m.Bytes()) > 9000 {
			return m
		}
	}
	l.t.Fatal("no such message")
	return nil
}

func body(p []byte) int { return bytes.Index(p, []byte("\n\n")) + 2 }

// The first kind that applies names the finding, the others are in its detail.
func TestOneFileGivesOneFindingByPriority(t *testing.T) {
	for _, c := range []struct {
		name   string
		record bool
		harm   func([]byte) []byte
		kind   string
		also   []string
		sure   string
	}{
		{"empty before truncated", false, func(p []byte) []byte { return nil }, "empty", []string{"truncated"}, "proof"},
		{"nul_filled before truncated", false, func(p []byte) []byte { return make([]byte, len(p)/2) }, "nul_filled", []string{"truncated"}, "proof"},
		{"nul_tail before truncated", false, func(p []byte) []byte { p = p[:len(p)-10]; clear(p[len(p)-700:]); return p }, "nul_tail", []string{"truncated"}, "proof"},
		{"nul_tail before grown", false, func(p []byte) []byte { return append(p, make([]byte, 4096)...) }, "nul_tail", []string{"grown"}, "proof"},
		{"truncated before nul_run", false, func(p []byte) []byte { clear(p[body(p) : body(p)+600]); return p[:len(p)-20] }, "truncated", []string{"nul_run"}, "proof"},
		{"grown before nul_run", false, func(p []byte) []byte { clear(p[body(p) : body(p)+600]); return append(p, "x\n"...) }, "grown", []string{"nul_run"}, "proof"},
		{"nul_run before content_changed", true, func(p []byte) []byte { clear(p[body(p) : body(p)+600]); return p }, "nul_run", []string{"content_changed"}, "proof"},
		{"line_count before content_changed", true, func(p []byte) []byte { p[body(p)+2] = '\n'; return p }, "line_count", []string{"content_changed"}, "proof"},
		{"content_changed before header_broken", true, func(p []byte) []byte {
			for i := range p[:body(p)-2] {
				if p[i] != '\n' {
					p[i] = '%'
				}
			}
			return p
		}, "content_changed", []string{"header_broken"}, "proof"},
		{"a NUL tail from a page boundary", false, func(p []byte) []byte { clear(p[8192:]); return p }, "nul_tail", nil, "proof"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := with(t, sample.Options{Seed: 31, Mailboxes: 1, PerMailbox: 8, Size: 12000, Spread: -1})
			if c.record {
				l.run(0, "scan", "./a")
			}
			m := l.one()
			path := m.Path(l.path("a"))
			l.rewrite(path, c.harm(m.Stored()))
			r := l.run(1, "verify", "./a")
			f := l.where(r, "finding", 1, nil)
			if len(f) != 1 {
				return
			}
			if f[0].Kind != c.kind || f[0].Certainty != c.sure {
				t.Errorf("%s %s, want %s %s: %s", f[0].Kind, f[0].Certainty, c.kind, c.sure, f[0].Raw)
			}
			for _, k := range c.also {
				if !strings.Contains(f[0].Detail, k) {
					t.Errorf("the detail does not name %s: %s", k, f[0].Raw)
				}
			}
		})
	}
}

func (l *lab) rewrite(path string, p []byte) {
	l.t.Helper()
	fi, err := os.Stat(path)
	l.must(err)
	l.must(os.WriteFile(path, p, 0o600))
	l.must(os.Chtimes(path, time.Time{}, fi.ModTime()))
}

// Without sizes in the name and without a record nothing confirms a NUL run.
func TestUnconfirmedNULRunsAreSuspicions(t *testing.T) {
	l := bare(t)
	for _, sub := range []string{"cur", "new", "tmp"} {
		l.must(os.MkdirAll(l.path("a", "x", sub), 0o755))
	}
	head := "From: a@example.org\nDate: Tue, 14 Nov 2023 22:13:20 +0000\nMessage-ID: <1@example.org>\n\n"
	nul := func(n int) string { return strings.Repeat("\x00", n) }
	l.put("a/x/cur/1700000001.M1P1.h:2,S", head+"hello\n"+nul(600))
	l.put("a/x/cur/1700000002.M1P1.h:2,S", head+"hello\n"+nul(600)+"\nbye\n")
	l.put("a/x/cur/1700000003.M1P1.h:2,S", head+"a short run of NULs:"+nul(20)+"\nbye\n")
	l.put("a/x/cur/1700000004.M1P1.h:2,S", nul(300))
	l.put("a/x/cur/1700000005.M1P1.h:2,S", "")
	l.put("a/x/cur/1700000006.M1P1.h:2,S", "no header at all, and it never ends")
	r := l.run(1, "verify", "./a")
	got := map[string]string{}
	for _, f := range r.Find("finding") {
		got[f.Name()[4:14]] = f.Kind + " " + f.Certainty
	}
	for k, want := range map[string]string{
		"1700000001": "nul_tail suspicion", "1700000002": "nul_run suspicion", "1700000003": "",
		"1700000004": "nul_filled proof", "1700000005": "empty proof", "1700000006": "header_broken suspicion",
	} {
		if got[k] != want {
			t.Errorf("%s: %q, want %q", k, got[k], want)
		}
	}
}

// A record is not overwritten by what was damaged since.
func TestAScanNeverLaundersDamage(t *testing.T) {
	l := with(t, broken)
	l.run(0, "scan", "./a")
	v := l.vandal("a")
	truth, err := v.BreakEach(manifest.ContentChanged, manifest.Truncated, manifest.NULTail)
	l.must(err)
	for range 2 {
		r := l.run(1, "scan", "./a", "--rehash")
		for _, tr := range truth {
			l.told(r, tr, tr.Recorded)
		}
		r = l.run(1, "verify", "./a")
		for _, tr := range truth {
			l.told(r, tr, tr.Recorded)
		}
	}
	// A replaced file, a new inode with new times, is the same message.
	tr := truth[0]
	p := l.read(tr.Path)
	l.must(os.Remove(tr.Path))
	l.must(os.WriteFile(tr.Path, p, 0o600))
	l.told(l.run(1, "scan", "./a"), tr, manifest.ContentChanged)
	// What heals is sound again.
	for _, tr := range truth {
		l.rewrite(tr.Path, tr.Message.Stored())
	}
	l.where(l.run(0, "scan", "./a", "--rehash"), "finding", 0, nil)
}

func TestAcceptedChangesAreTheNewTruth(t *testing.T) {
	l := with(t, broken)
	l.run(0, "scan", "./a")
	tr, err := l.vandal("a").Break(manifest.ContentChanged)
	l.must(err)
	l.run(1, "verify", "./a")
	l.run(0, "scan", "./a", "--accept", "--reason", "virus cut out", "--rehash")
	l.where(l.run(0, "verify", "./a"), "finding", 0, nil)
	_ = tr
}

// Only the server's own list and the absence of a request make it missing.
func TestMissingNeedsTheServersListOrACrash(t *testing.T) {
	l := with(t, broken)
	l.run(0, "scan", "./a")
	m := l.lose("a", 1, ordinary)[0]
	r := l.run(1, "verify", "./a")
	f := l.where(r, "finding", 1, nil)
	if len(f) == 1 && (f[0].Kind != "missing" || f[0].Certainty != "suspicion" || f[0].File != m.File() || f[0].Mailbox != m.ByPath) {
		t.Errorf("%s", f[0].Raw)
	}
	// Without evidence either way it has vanished.
	l = with2(t, sample.Options{Seed: 21, Mailboxes: 3, PerMailbox: 110, Size: 1500, Bare: true})
	l.run(0, "scan", "./a")
	crash := now()
	m = l.lose("a", 1, ordinary)[0]
	r = l.run(0, "verify", "./a")
	l.where(r, "finding", 0, nil)
	l.counts(r, map[string]int64{"vanished": 1, "suspect": 0})
	if r = l.run(0, "verify", "./a", "-v"); len(r.Find("vanished")) != 1 || r.Find("vanished")[0].File != m.File() {
		t.Errorf("-v does not list what has vanished: %s", r)
	}
	r = l.run(1, "verify", "./a", "--crash-at", crash)
	if f = l.where(r, "finding", 1, nil); len(f) == 1 && (f[0].Kind != "missing" || f[0].Certainty != "suspicion") {
		t.Errorf("%s", f[0].Raw)
	}
}

// with2 is with for a second lab of one test.
func with2(t *testing.T, opt sample.Options) *lab {
	t.Helper()
	dir := t.TempDir()
	l := &lab{t: t, dir: dir, e: sample.New(opt), bin: drive.Bin{Path: binary, State: filepath.Join(dir, "state"), Dir: dir, Limit: time.Minute}}
	l.write(l.e, "a")
	return l
}

func TestNamesThatAreNotUTF8ComeInBase64(t *testing.T) {
	l := with(t, sample2)
	m := l.e.Boxes[0].Folders[0].Messages[0]
	l.must(os.WriteFile(filepath.Join(l.path("a"), l.e.Boxes[0].Path, "cur", "1700000009.M1P1.\xff\xfehost:2,S"), nil, 0o600))
	r := l.run(1, "verify", "./a")
	f := l.where(r, "finding", 1, func(f *drive.Line) bool { return f.Kind == "empty" })
	if len(f) == 1 && (f[0].FileB64 == "" || strings.Contains(f[0].Raw, `"file":`) || f[0].Name() != "cur/1700000009.M1P1.\xff\xfehost:2,S") {
		t.Errorf("%s", f[0].Raw)
	}
	_ = m
}

func TestUnreadableIsUnknownAndExits3(t *testing.T) {
	if os.Getuid() == 0 {
		l := with(t, sample2)
		// root reads everything: a mailbox whose cur is a file cannot be listed.
		m := l.e.Boxes[1].Folders[0]
		cur := filepath.Join(l.path("a"), l.e.Boxes[1].Path, m.Dir, "cur")
		l.run(0, "scan", "./a")
		l.must(os.Rename(cur, l.path("aside")))
		l.must(os.WriteFile(cur, nil, 0o600))
		r := l.run(3, "verify", "./a")
		l.where(r, "finding", 0, func(f *drive.Line) bool { return f.Kind == "missing" })
		return
	}
	l := with(t, sample2)
	m := l.lose("a", 0, nil)
	_ = m
	for m := range l.e.Messages() {
		l.must(os.Chmod(m.Path(l.path("a")), 0))
		r := l.run(3, "verify", "./a")
		if f := l.where(r, "finding", 1, nil); len(f) == 1 && (f[0].Kind != "unreadable" || f[0].Certainty != "unknown") {
			t.Errorf("%s", f[0].Raw)
		}
		l.counts(r, map[string]int64{"unreadable": 1})
		l.run(3, "scan", "./a")
		break
	}
}

func TestQuickStopsAfterTheSecondStage(t *testing.T) {
	l := with(t, broken)
	r := l.run(0, "verify", "./a", "--quick")
	if n := len(r.Find("stage")); n != 2 {
		t.Errorf("%d stages: %s", n, r)
	}
	if n := len(l.run(0, "verify", "./a").Find("stage")); n != 3 {
		t.Errorf("%d stages of a whole verify", n)
	}
}

func TestARunThatEndedEarlyExits3(t *testing.T) {
	l := with(t, broken)
	l.run(3, "scan", "./a", "--max-duration", "1ns")
	l.run(3, "verify", "./a", "--max-duration", "1ns")
}

func TestPartialGoesBeforeFindings(t *testing.T) {
	l := with(t, broken)
	_, err := l.vandal("a").BreakEach(manifest.Empty)
	l.must(err)
	cur := filepath.Join(l.path("a"), l.e.Boxes[1].Path, "cur")
	l.run(1, "scan", "./a")
	l.must(os.Rename(cur, l.path("aside")))
	l.must(os.WriteFile(cur, nil, 0o600))
	r := l.run(3, "verify", "./a")
	l.where(r, "finding", 1, func(f *drive.Line) bool { return f.Kind == "empty" })
}
