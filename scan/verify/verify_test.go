package verify_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailsync/manifest"
	"mailsync/scan/verify"
)

// injury is one way to harm a sound message.
type injury struct {
	name string
	do   func(e *estate, path, body string) // to a message that is there and recorded
	// what is found, with a record and without one; "" = nothing.
	with, without string
}

var injuries = []injury{
	{"empty", func(e *estate, p, _ string) { e.write(p, "") }, "empty proof", "empty proof"},
	{"NUL-filled", func(e *estate, p, b string) { e.write(p, strings.Repeat("\x00", len(b))) }, "nul_filled proof", "nul_filled proof"},
	{"NUL tail", func(e *estate, p, b string) { e.write(p, b[:len(b)-600]+strings.Repeat("\x00", 600)) }, "nul_tail proof", "nul_tail proof"},
	{"NUL run", func(e *estate, p, b string) { e.write(p, b[:400]+strings.Repeat("\x00", 600)+b[1000:]) }, "nul_run proof", "nul_run proof"},
	{"truncated", func(e *estate, p, b string) { e.write(p, b[:len(b)/2]) }, "truncated proof", "truncated proof"},
	{"grown", func(e *estate, p, b string) { e.write(p, b+"more\n") }, "grown proof", "grown proof"},
	{"lines joined", func(e *estate, p, b string) {
		i := strings.LastIndex(b[:len(b)-1], "\n")
		e.write(p, b[:i]+" "+b[i+1:])
	}, "line_count proof", "line_count proof"},
	{"a flipped bit", func(e *estate, p, b string) { e.write(p, b[:len(b)-3]+"?"+b[len(b)-2:]) }, "content_changed proof", ""},
	{"another message's bytes", func(e *estate, p, b string) { e.write(p, strings.Replace(b, "Subject: ", "Subject; ", 1)) }, "content_changed proof", ""},
}

// Every injury is found, with and without a record, once, and nothing is
// invented about the messages beside it.
func TestEveryInjuryIsFound(t *testing.T) {
	for _, in := range injuries {
		for _, baseline := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/record=%v", in.name, baseline), func(t *testing.T) {
				e := newEstate(t)
				e.box("u", "Sent")
				body := text("victim", 3000)
				for i := range 5 {
					e.put("u/cur", fmt.Sprintf("%d.M1P1.h", i), text(fmt.Sprint(i), 500), ":2,S")
				}
				e.put("u/new", "8.M1P1.h", text("8", 500), "")
				path := e.put("u/.Sent/cur", "9.M1P1.h", body, ":2,S")
				e.age(48 * time.Hour)
				if baseline {
					e.scan()
				}
				st, err := os.Stat(e.at(path))
				e.check(err)
				in.do(e, path, body)
				e.check(os.Chtimes(e.at(path), st.ModTime(), st.ModTime()))
				out := e.verify(verify.Options{}, baseline)
				want := in.without
				if baseline {
					want = in.with
				}
				lines := []string{}
				if want != "" {
					lines = append(lines, want+" u Sent "+strings.TrimPrefix(path, "u/.Sent/"))
				}
				if d := cmp.Diff(lines, out.lines()); d != "" {
					t.Errorf("findings (-want +got):\n%s", d)
				}
				r := out.result
				if r.Damaged != int64(len(lines)) || r.Suspect != 0 || r.Messages != 7 || r.Folders != 2 || r.Mailboxes != 1 || r.Vanished != 0 || !r.Complete || len(r.Partial) > 0 {
					t.Errorf("result: %+v", r)
				}
				if len(out.stages) != 3 {
					t.Errorf("%d stages", len(out.stages))
				}
			})
		}
	}
}

func TestSoundStoresGiveNoFinding(t *testing.T) {
	e := newEstate(t)
	e.box("u", "Sent", "Archive.2026")
	var names []string
	for i := range 20 {
		names = append(names, e.put("u/cur", fmt.Sprintf("%d.M1P1.h", i), text(fmt.Sprint(i), 100*i), ":2,S"))
	}
	e.uidlist("u", names...)
	for i := range 20 {
		plain := text(fmt.Sprint("z", i), 2000)
		e.write("u/.Sent/cur/"+base(fmt.Sprintf("%d.M2P2.h", i), plain)+":2,S", zipped(plain))
	}
	crlf := strings.ReplaceAll(text("crlf", 900), "\n", "\r\n")
	e.put("u/.Archive.2026/cur", "3.M3P3.h", crlf, ":2,")
	e.write("u/.Archive.2026/cur/4.nosize", text("nosize", 10))
	e.write("u/.Archive.2026/cur/5.noend", strings.TrimSuffix(text("noend", 10), "\n"))
	e.box("empty")
	e.age(time.Hour)
	for _, baseline := range []bool{false, true} {
		if baseline {
			e.scan()
		}
		out := e.verify(verify.Options{}, baseline)
		if d := cmp.Diff([]string{}, out.lines()); d != "" {
			t.Errorf("record %v: %s", baseline, d)
		}
		r := out.result
		if r.Messages != 43 || r.ReadBytes != r.Bytes || r.Mailboxes != 2 || r.Damaged+r.Suspect+r.Disordered+r.Unreadable+r.Vanished != 0 {
			t.Errorf("record %v: everything must be read once: %+v", baseline, r)
		}
	}
}

// verify never launders: what it finds it finds again, until it is mended.
func TestNothingIsLaundered(t *testing.T) {
	e := newEstate(t)
	e.box("u")
	body := text("a", 800)
	path := e.put("u/cur", "1.M1P1.h", body, ":2,S")
	e.age(time.Hour)
	e.scan()
	e.write(path, strings.Replace(body, "line", "lime", 1))
	for range 3 {
		out := e.verify(verify.Options{}, true)
		if len(out.findings) != 1 || out.findings[0].Kind != manifest.ContentChanged {
			t.Fatalf("findings: %v", out.lines())
		}
		e.now = e.now.Add(time.Hour)
	}
	e.write(path, body)
	if out := e.verify(verify.Options{}, true); len(out.findings) != 0 {
		t.Errorf("mended, and still: %v", out.lines())
	}
}

func TestMissing(t *testing.T) {
	cases := []struct {
		name      string
		listed    bool // still in the server's UID list
		crash     bool // --crash-at after the scan
		boot      bool // the host was started since, without a clean stop
		stop      bool // and was stopped in good order before
		moved     bool // its bytes are in another folder under another name
		kind      string
		vanishing int64
	}{
		{name: "still listed", listed: true, kind: "missing suspicion"},
		{name: "no evidence", vanishing: 1},
		{name: "crash-at", crash: true, kind: "missing suspicion"},
		{name: "a crash that the record shows", boot: true, kind: "missing suspicion"},
		{name: "a reboot after a clean stop", boot: true, stop: true, vanishing: 1},
		{name: "moved", moved: true},
		{name: "moved, after a crash", moved: true, crash: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := newEstate(t)
			e.box("u", "Trash")
			var names []string
			for i := range 6 {
				names = append(names, e.put("u/cur", fmt.Sprintf("%d.M1P1.h", i), text(fmt.Sprint(i), 500), ":2,S"))
			}
			e.uidlist("u", names...)
			e.age(2 * time.Hour)
			e.scan()
			body, err := os.ReadFile(e.at(names[2]))
			e.check(err)
			e.check(os.Remove(e.at(names[2])))
			if !c.listed {
				e.uidlist("u", append(append([]string{}, names[:2]...), names[3:]...)...)
				// The next UID must not go down.
				list, err := os.ReadFile(e.at("u/dovecot-uidlist"))
				e.check(err)
				e.write("u/dovecot-uidlist", strings.Replace(string(list), " N6 ", " N9 ", 1))
			}
			if c.moved {
				e.put("u/.Trash/cur", "77.M1P1.h", string(body), ":2,S")
			}
			o := verify.Options{}
			if c.crash {
				o.CrashAt = e.now
			}
			if c.boot {
				if c.stop {
					e.stopped()
				}
				e.boot, e.since = "boot-2", e.now
			}
			e.now = e.now.Add(time.Hour)
			out := e.verify(o, true)
			want := []string{}
			if c.kind != "" {
				want = append(want, c.kind+" u INBOX "+strings.TrimPrefix(names[2], "u/"))
			}
			if d := cmp.Diff(want, out.lines()); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
			if out.result.Vanished != c.vanishing || int64(len(out.vanished)) != c.vanishing {
				t.Errorf("vanished: %d, listed %d", out.result.Vanished, len(out.vanished))
			}
			if out.result.Crashed != (c.crash || (c.boot && !c.stop)) {
				t.Errorf("crashed: %v", out.result.Crashed)
			}
			if out.result.Missing != int64(len(want)) || out.result.Suspect != int64(len(want)) {
				t.Errorf("result: %+v", out.result)
			}
		})
	}
}

// A scan after the crash, which knew nothing of it, takes what the crash took
// for the course of things. Who names the crash is told of it all the same.
func TestMissingSinceACrashThatAScanFollowed(t *testing.T) {
	cases := []struct {
		name   string
		crash  time.Duration // after the first scan
		moved  bool          // into another folder, before the second scan
		copied bool          // an equal message was in another folder all the time
		want   int
	}{
		{name: "between the scans", crash: time.Hour, want: 1},
		{name: "before the first scan", crash: -2 * time.Hour},
		{name: "after the second scan", crash: 3 * time.Hour},
		{name: "moved meanwhile", crash: time.Hour, moved: true},
		{name: "a copy that was there before", crash: time.Hour, copied: true, want: 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := newEstate(t)
			// The clock of the host is that of its files.
			e.now = time.Now().Add(-time.Hour)
			e.box("u", "Trash")
			body := text("a", 800)
			e.put("u/cur", "1.M1P1.h", text("b", 900), ":2,S")
			path := e.put("u/cur", "2.M1P1.h", body, ":2,S")
			if c.copied {
				e.put("u/.Trash/cur", "3.M1P1.h", body, ":2,S")
				e.now = time.Now().Add(time.Hour)
			}
			first := e.now
			e.scan()
			e.check(os.Remove(e.at(path)))
			if c.moved {
				e.put("u/.Trash/cur", "4.M1P1.h", body, ":2,S")
			}
			e.now = first.Add(2 * time.Hour)
			e.scan()
			e.now = first.Add(4 * time.Hour)
			out := e.verify(verify.Options{CrashAt: first.Add(c.crash)}, true)
			want := []string{}
			if c.want > 0 {
				want = append(want, "missing suspicion u INBOX "+strings.TrimPrefix(path, "u/"))
			}
			if d := cmp.Diff(want, out.lines()); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
			if r := out.result; r.Missing != int64(c.want) || r.Suspect != int64(c.want) {
				t.Errorf("result: %+v", r)
			}
		})
	}
}

// The stages come in their order, and each tells what is its own.
func TestStages(t *testing.T) {
	e := newEstate(t)
	e.box("u")
	body := text("old", 900)
	old := e.put("u/cur", "1.M1P1.h", body, ":2,S")
	e.age(48 * time.Hour)
	e.scan()
	e.write(old, strings.Replace(body, "line", "lime", 1)) // in place, and old by its stamps
	st := e.now.Add(-40 * 24 * time.Hour)
	e.check(os.Chtimes(e.at(old), st, st))
	fresh := text("new", 900)
	e.write("u/new/"+base("2.M1P1.h", fresh), fresh[:300])
	e.write("u/cur/"+base("3.M1P1.h", fresh)+":2,S", "")
	e.write("u/tmp/4.left", "x")
	e.check(os.Chtimes(e.at("u/tmp/4.left"), st, st))

	quick := e.verify(verify.Options{Quick: true}, true)
	if len(quick.stages) != 2 || quick.result.Damaged < 2 {
		t.Errorf("quick: %+v", quick.order)
	}
	out := e.verify(verify.Options{}, true)
	pos := func(part string) int {
		for i, l := range out.order {
			if strings.Contains(l, part) {
				return i
			}
		}
		t.Errorf("no %q in %q", part, out.order)
		return -1
	}
	if !(pos("empty proof") < pos("== structure") && pos("== structure") < pos("truncated proof") && pos("truncated proof") < pos("== crash window") && pos("content_changed") >= 0) {
		t.Errorf("order: %q", out.order)
	}
	for _, s := range out.stages {
		if s.Known == "" {
			t.Errorf("stage %s says nothing", s.ID)
		}
	}
}

// Every kind of disorder is found, and is no damage.
func TestDisorder(t *testing.T) {
	body := text("a", 700)
	cases := []struct {
		kind     manifest.Kind
		baseline bool
		do       func(e *estate)
		also     []string // other kinds that come with it
	}{
		{kind: manifest.DuplicateName, do: func(e *estate) {
			e.put("u/cur", "1.M1P1.h", body, ":2,S")
			e.put("u/cur", "1.M1P1.h", body, ":2,")
		}},
		{kind: manifest.BadName, do: func(e *estate) { e.write("u/cur/1.a\nb", body) }},
		{kind: manifest.NotRegular, do: func(e *estate) { e.check(os.Mkdir(e.at("u/cur/9.directory"), 0o700)) }},
		{kind: manifest.StaleTmp, do: func(e *estate) {
			e.write("u/tmp/1.partial", "Fr")
			e.now = e.now.Add(100 * time.Hour) // its ctime cannot be set back
		}},
		{kind: manifest.UIDListBroken, do: func(e *estate) { e.write("u/dovecot-uidlist", "3 V7 N9\nnonsense\n") }},
		{kind: manifest.UIDDuplicate, do: func(e *estate) {
			name := filepath.Base(e.put("u/cur", "1.M1P1.h", body, ""))
			e.write("u/dovecot-uidlist", fmt.Sprintf("3 V7 N9\n1 :%s\n2 :%s\n", name, name))
		}},
		{kind: manifest.UIDNextLow, baseline: true, do: func(e *estate) { e.write("u/dovecot-uidlist", "3 V77 N2\n") }},
		{kind: manifest.KeywordsBroken, do: func(e *estate) { e.write("u/dovecot-keywords", "no number\n") }},
		{kind: manifest.QuotaStale, do: func(e *estate) {
			e.put("u/cur", "1.M1P1.h", body, ":2,S")
			e.write("u/maildirsize", "10000000S,1000C\n  99999  77\n")
		}},
	}
	for _, c := range cases {
		t.Run(c.kind.String(), func(t *testing.T) {
			e := newEstate(t)
			e.box("u")
			e.uidlist("u", "1.x", "2.x", "3.x")
			e.age(time.Hour)
			if c.baseline {
				e.scan()
			}
			c.do(e)
			out := e.verify(verify.Options{}, c.baseline)
			if len(out.findings) != 1 || out.findings[0].Kind != c.kind {
				t.Errorf("findings: %q", out.lines())
			}
			if r := out.result; r.Disordered != 1 || r.Damaged+r.Suspect+r.Unreadable != 0 || len(r.Partial) > 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// What only reading tells, without a record: compressed mail and headers.
func TestStreamsAndHeaders(t *testing.T) {
	e := newEstate(t)
	e.box("u")
	plain := text("z", 3000)
	sound := zipped(plain)
	e.write("u/cur/"+base("1.sound", plain)+":2,S", sound)
	e.write("u/cur/"+base("2.cut", plain)+":2,S", sound[:len(sound)-20])
	e.write("u/cur/"+base("3.flipped", plain)+":2,S", sound[:40]+"\xff\xff"+sound[42:])
	e.write("u/cur/4.noheader", strings.Repeat("just a line without a field\n", 40))
	e.age(time.Hour)
	out := e.verify(verify.Options{}, false)
	want := []string{
		"compressed_corrupt proof u INBOX cur/" + base("2.cut", plain) + ":2,S",
		"compressed_corrupt proof u INBOX cur/" + base("3.flipped", plain) + ":2,S",
		"header_broken suspicion u INBOX cur/4.noheader",
	}
	if d := cmp.Diff(want, out.lines()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestWrongSizeNameIsNoDamage(t *testing.T) {
	e := newEstate(t)
	e.box("u")
	body := text("a", 700)
	path := e.put("u/cur", "1.M1P1.h", body, ":2,S")
	crlf := strings.ReplaceAll(body, "\n", "\r\n")
	e.write(path, crlf) // line ends were converted: the size is that of W=
	e.age(time.Hour)
	out := e.verify(verify.Options{}, false)
	want := []string{"wrong_size_name proof u INBOX cur/" + filepath.Base(path)}
	if d := cmp.Diff(want, out.lines()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if out.result.Damaged+out.result.Suspect != 0 || out.result.Disordered != 1 {
		t.Errorf("%+v", out.result)
	}
}

func TestStrandedTmp(t *testing.T) {
	e := newEstate(t)
	e.box("u", "Sent")
	whole, copied := text("stranded", 600), text("delivered", 600)
	e.write("u/tmp/1.a", whole)
	e.write("u/tmp/2.b", copied)
	e.put("u/.Sent/cur", "3.c", copied, ":2,S")
	e.age(100 * time.Hour)
	e.since = time.Now() // ctime cannot be set: the host was started after all of it
	out := e.verify(verify.Options{}, false)
	got := out.lines()
	n := 0
	for _, l := range got {
		if strings.HasPrefix(l, "stranded_tmp") {
			n++
			if !strings.HasSuffix(l, "tmp/1.a") {
				t.Errorf("stranded: %s", l)
			}
		}
	}
	if n != 1 {
		t.Errorf("findings: %q", got)
	}
}
