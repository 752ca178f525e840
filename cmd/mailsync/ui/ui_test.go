package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
)

func TestHuman(t *testing.T) {
	for got, want := range map[string]string{
		Count(0): "0", Count(999): "999", Count(1000): "1,000", Count(-1234567): "-1,234,567",
		Plural(1, "message"): "1 message", Plural(0, "mailbox"): "0 mailboxes", Plural(2, "copy"): "2 copies",
		Bytes(999): "999 B", Bytes(1000): "1.00 kB", Bytes(12_345_678): "12.3 MB", Bytes(999_600): "1.00 MB", Bytes(5e18): "5.00 EB",
		Duration(400 * time.Millisecond): "0.4 s", Duration(12 * time.Second): "12 s",
		Duration(200 * time.Second): "3 min 20 s", Duration(2*time.Hour + 5*time.Minute): "2 h 5 min",
		Duration(76 * time.Hour): "3 d 4 h", Duration(time.Minute): "1 min",
		List([]string{"a"}, "and"): "a", List([]string{"a", "b", "c"}, "and"): "a, b and c",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTable(t *testing.T) {
	got := Table{{"name", ">n"}, {"Entwürfe", "7"}, {"日本", "1,000"}}.Lines(Style{}, 0)
	want := []string{"name          n", "Entwürfe      7", "日本      1,000"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// out returns an Out that writes into two buffers.
func out(o Options) (*Out, *bytes.Buffer, *bytes.Buffer) {
	var stdout, stderr bytes.Buffer
	o.Stdout, o.Stderr = &stdout, &stderr
	return New(o), &stdout, &stderr
}

// The lines have the fields of the contract, in a fixed order, and nothing in
// them that a terminal acts upon.
func TestRecords(t *testing.T) {
	o, stdout, _ := out(Options{JSON: true})
	good := manifest.BLAKE3.Sum([]byte("x"))
	f := manifest.Finding{Store: "./a", Mailbox: "m", Folder: "INBOX", File: "cur/1:2,S", Kind: manifest.Truncated, Certainty: manifest.Proof, Detail: "short"}
	o.Record(FindingOf(&f))
	f.File, f.Mailbox = "cur/\xff\x1b", "m\u009b\u202e"
	o.Record(FindingOf(&f))
	e := &manifest.Entry{Folder: "INBOX", Sub: manifest.Cur, Name: "1:2,S", Flags: "S", Size: 3, Digest: good, MTime: 1e18}
	d := compare.Difference{Mailbox: "m", Folder: "INBOX", Kind: compare.Missing, Copies: []compare.Copy{{Entry: e}, {}, {Unknown: "EIO"}}, Good: []int{0}, Reason: "r"}
	o.Record(DifferenceOf(&d, []string{"a", "b", "c"}))
	act := restore.Action{Op: restore.Add, Ref: manifest.Ref{Mailbox: "m", Folder: "INBOX"}, Post: restore.Ground{Sub: manifest.Cur, Name: []byte("1:2,S"), Digest: good}, From: "b", State: restore.Done}
	o.Record(ActionOf(&act))
	s := SummaryOf("diff")
	s.Counts["messages"] = 1
	o.Record(s)
	want := `{"v":1,"type":"finding","store":"./a","mailbox":"m","folder":"INBOX","file":"cur/1:2,S","kind":"truncated","certainty":"proof","detail":"short"}
{"v":1,"type":"finding","store":"./a","mailbox":"m\u009b\u202e","folder":"INBOX","file_b64":"Y3VyL/8b","kind":"truncated","certainty":"proof","detail":"short"}
{"v":1,"type":"difference","mailbox":"m","folder":"INBOX","kind":"missing","copies":{"a":{"file":"cur/1:2,S","digest":"` + good.String() + `","size":3,"flags":"S","keywords":[],"uid":0,"date":"2001-09-09T01:46:40Z"},"b":null,"c":{"unknown":"EIO"}},"good":["a"],"reason":"r"}
{"v":1,"type":"action","op":"add","mailbox":"m","folder":"INBOX","file":"cur/1:2,S","digest":"` + good.String() + `","from":"b","state":"done","detail":""}
{"v":1,"type":"summary","command":"diff","run":"","complete":false,"exit":0,"seconds":0,"counts":{"messages":1}}
`
	if d := cmp.Diff(want, stdout.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for line := range strings.Lines(stdout.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
		if harmful(strings.TrimSuffix(line, "\n")) {
			t.Errorf("harmful: %q", line)
		}
	}
	o.Print("never")
	o.Say("never")
	if strings.Contains(stdout.String(), "never") {
		t.Error("text for people among JSON lines")
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("m\x1b", "cur/\xff", "\u202e\U000e0041")
	f.Fuzz(func(t *testing.T, mailbox, file, detail string) {
		o, stdout, _ := out(Options{JSON: true})
		fd := manifest.Finding{Mailbox: mailbox, File: file, Detail: detail}
		o.Record(FindingOf(&fd))
		line := strings.TrimSuffix(stdout.String(), "\n")
		var back struct {
			File    *string `json:"file"`
			FileB64 []byte  `json:"file_b64"`
		}
		if err := json.Unmarshal([]byte(line), &back); err != nil || harmful(line) {
			t.Fatalf("%q: %v", line, err)
		}
		got := string(back.FileB64)
		if back.File != nil {
			got = *back.File
		}
		if got != file {
			t.Errorf("file %q came back as %q", file, got)
		}
	})
}

type brokenPipe struct{ n int }

func (b *brokenPipe) Write(p []byte) (int, error) {
	b.n++
	return 0, os.ErrClosed
}

// A reader that goes away is noticed once, and nothing is written after it.
func TestOutputFails(t *testing.T) {
	w := &brokenPipe{}
	var got []error
	o := New(Options{Stdout: w, Stderr: &bytes.Buffer{}, Failed: func(err error) { got = append(got, err) }})
	o.Print("a")
	o.Print("b")
	if len(got) != 1 || !errors.Is(o.Err(), os.ErrClosed) || w.n != 1 {
		t.Errorf("reported %v, Err %v, %d writes", got, o.Err(), w.n)
	}
}

func TestQuietAndColour(t *testing.T) {
	o, stdout, stderr := out(Options{Quiet: true, Color: Always})
	o.Say("explanation")
	o.Table(Table{{"x"}})
	o.Note("note")
	o.Print("finding")
	o.Problem("scan", errors.New("broken \x1b[2J"), "mend it")
	if stdout.String() != "finding\n" {
		t.Errorf("stdout %q", stdout)
	}
	want := "\x1b[31mmailsync scan: \x1b[0mbroken \\x1b[2J\n  \x1b[2mhint: \x1b[0mmend it\n"
	if d := cmp.Diff(want, stderr.String()); d != "" {
		t.Error(d)
	}
	for _, opt := range []Options{{Color: Auto}, {Color: Never, StdoutTTY: true}, {Color: Auto, StdoutTTY: true, NoColor: true}} {
		if o, _, _ := out(opt); o.Style.Red("x") != "x" {
			t.Errorf("%+v paints", opt)
		}
	}
}

func TestAsk(t *testing.T) {
	ctx := context.Background()
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "yes": true, "n\n": false, "\n": false, "yup\n": false} {
		o, _, stderr := out(Options{Stdin: strings.NewReader(answer), StdinTTY: true, StderrTTY: true})
		got, err := o.Confirm(ctx, "Apply?")
		if got != want || err != nil || !strings.Contains(stderr.String(), "Apply? [y/N]") {
			t.Errorf("answer %q: %v, %v (asked %q)", answer, got, err, stderr)
		}
	}
	for name, c := range map[string]struct {
		opt  Options
		want error
	}{
		"no terminal": {Options{Stdin: strings.NewReader("y\n")}, ErrNotAsked},
		"json":        {Options{Stdin: strings.NewReader("y\n"), StdinTTY: true, StderrTTY: true, JSON: true}, ErrNotAsked},
		"end of file": {Options{Stdin: strings.NewReader(""), StdinTTY: true, StderrTTY: true}, ErrNoAnswer},
	} {
		o, _, _ := out(c.opt)
		if ok, err := o.Confirm(ctx, "Apply?"); ok || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	two, _, _ := out(Options{Stdin: strings.NewReader("Recovered Mail \ny\n"), StdinTTY: true, StderrTTY: true})
	if a, err := two.Ask(ctx, "Folder?"); a != "Recovered Mail" || err != nil {
		t.Errorf("first answer %q, %v", a, err)
	}
	if ok, err := two.Confirm(ctx, "Apply?"); !ok || err != nil {
		t.Errorf("second answer %v, %v", ok, err)
	}
	cause := errors.New("interrupted")
	cancelled, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	o, _, _ := out(Options{Stdin: r, StdinTTY: true, StderrTTY: true})
	if _, err := o.Ask(cancelled, "Apply?"); !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSnapshotPlain(t *testing.T) {
	s := Snapshot{Stage: "reading", Done: 250, Total: 1000, Unit: "message", Bytes: 2_000_000, Found: 1, FoundAs: "finding", Throttle: "the device is busy"}
	want := "reading: 250 of 1,000 messages, 2.00 MB (200 kB/s), 1 finding, 10 s, about 30 s left, the device is busy"
	if got := s.Plain(10 * time.Second); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := (Snapshot{Stage: "listing", Unit: "mailbox"}).Plain(0); got != "listing: 0 mailboxes, 0.0 s" {
		t.Errorf("got %q", got)
	}
}

// SIGUSR1 is answered with one plain line, whatever --progress says, and
// nothing is drawn into a pipe.
func TestProgressPoke(t *testing.T) {
	for _, p := range []When{Auto, Never} {
		lines := make(chan string, 8)
		o := New(Options{Stdout: &bytes.Buffer{}, Stderr: lineWriter(lines), Progress: p})
		poke := make(chan struct{})
		stop := o.Progress(context.Background(), poke, func() Snapshot { return Snapshot{Stage: "reading", Done: 3, Unit: "message"} })
		poke <- struct{}{}
		if got := <-lines; !strings.HasPrefix(got, "reading: 3 messages") || strings.ContainsAny(got, "\r\x1b") {
			t.Errorf("progress %s: %q", p, got)
		}
		stop()
		stop()
	}
}

type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// A drawn bar is wiped before a line is printed, so that the line stands alone.
func TestBarGivesWay(t *testing.T) {
	o, stdout, stderr := out(Options{StderrTTY: true})
	o.bar.draw(o.opt.Stderr, Snapshot{Stage: "reading", Done: 1, Total: 10, Unit: "message"}, 80)
	if !strings.Contains(stderr.String(), "reading") {
		t.Fatalf("nothing drawn: %q", stderr)
	}
	o.Print("finding")
	if stdout.String() != "finding\n" || o.bar.drawn || !strings.HasSuffix(stderr.String(), "\r") {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
	// An unknown total, and a total of zero, draw too.
	o.bar.draw(o.opt.Stderr, Snapshot{Stage: "listing"}, 80)
	o.bar.clear(o.opt.Stderr)
}

// However long the words and numbers are, a frame fits a line: one that wraps
// could not be wiped.
func TestBarFits(t *testing.T) {
	for _, width := range []int{60, 80, 120} {
		o, _, stderr := out(Options{StderrTTY: true})
		s := Snapshot{
			Stage: "looking at mailboxes", Done: 123_456_789, Total: 987_654_321, Unit: "message",
			Bytes: 653_000_000_000, Found: 12345, FoundAs: "finding", Throttle: "the device is far slower than its peers",
		}
		for range 3 {
			s.Done++
			o.bar.draw(o.opt.Stderr, s, width)
		}
		for frame := range strings.SplitSeq(stderr.String(), "\r") {
			if n := uniseg.StringWidth(frame); n > width {
				t.Errorf("width %d: a frame of %d columns: %q", width, n, frame)
			}
		}
	}
}

// Errors that were joined read as one line, and nothing is said twice.
func TestOneline(t *testing.T) {
	full := errors.New("write /var/lib/mailsync/x: no space left on device")
	for _, c := range []struct {
		err  error
		want string
	}{
		{full, "write /var/lib/mailsync/x: no space left on device"},
		{errors.Join(full, errors.New("close: no space")), "write /var/lib/mailsync/x: no space left on device; close: no space"},
		{&Problem{What: "store a", Why: errors.Join(full, full)}, "store a: write /var/lib/mailsync/x: no space left on device"},
		{errors.New("  two\t words \n\n and more\n"), "two words; and more"},
	} {
		if got := Oneline(c.err, 500); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
