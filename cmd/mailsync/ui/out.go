package ui

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Options says how to talk.
type Options struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// What is a terminal; the caller asks the kernel.
	StdinTTY, StdoutTTY, StderrTTY bool

	// Width is the width of the terminal on standard error; 0 = not known.
	Width int

	JSON, Quiet, Verbose bool
	// Journal: standard error goes to the system's journal. What is written there
	// are lines of log/slog with a priority, and no bar is drawn.
	Journal         bool
	Color, Progress When
	NoColor         bool // $NO_COLOR is set, or $TERM is "dumb"
	// Failed is called once, with the first error of standard output: nobody
	// reads the results any more.
	Failed func(error)
}

// Out is standard output and standard error. Its methods may be called by
// several goroutines; a line is written whole or not at all.
type Out struct {
	opt Options
	// Style is for standard output, ErrStyle for standard error.
	Style, ErrStyle Style

	mu      sync.Mutex
	buf     bytes.Buffer
	enc     *json.Encoder
	failed  error
	sinks   []func(line []byte)
	answers *bufio.Reader // of standard input, once somebody was asked
	asking  bool          // a question stands: nothing is drawn over it
	bar     bar           // drawn on standard error; cleared before anything else is printed
	journal *journal      // nil unless Options.Journal
}

// New makes an Out.
func New(opt Options) *Out {
	colour := func(tty bool) Style {
		switch opt.Color {
		case Always:
			return Style{on: true}
		case Never:
			return Style{}
		}
		return Style{on: tty && !opt.NoColor}
	}
	o := &Out{opt: opt, Style: colour(opt.StdoutTTY), ErrStyle: colour(opt.StderrTTY)}
	if opt.Journal {
		o.journal, o.ErrStyle = newJournal(), Style{}
	}
	o.enc = json.NewEncoder(&o.buf)
	o.enc.SetEscapeHTML(false)
	return o
}

// JSON tells whether results are JSON lines.
func (o *Out) JSON() bool { return o.opt.JSON }

// Quiet tells whether only findings and errors are wanted.
func (o *Out) Quiet() bool { return o.opt.Quiet }

// Verbose tells whether more is wanted.
func (o *Out) Verbose() bool { return o.opt.Verbose }

// Interactive tells whether a person can be asked.
func (o *Out) Interactive() bool { return o.opt.StdinTTY && o.opt.StderrTTY && !o.opt.JSON }

// Sink adds a function that is given every line of Record and Log, with its
// newline; it must not keep the bytes.
func (o *Out) Sink(f func(line []byte)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sinks = append(o.sinks, f)
}

// Record writes one JSON object as a line: to standard output with --json, and
// to the sinks.
func (o *Out) Record(v any) { o.line(v, o.opt.JSON, true) }

// Stream writes a line to standard output only, with --json: of things that are
// many and settled.
func (o *Out) Stream(v any) { o.line(v, o.opt.JSON, false) }

// Log writes a line to the sinks only.
func (o *Out) Log(v any) { o.line(v, false, true) }

func (o *Out) line(v any, stdout, log bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	log = log && len(o.sinks) > 0
	if !stdout && !log {
		return
	}
	o.buf.Reset()
	if err := o.enc.Encode(v); err != nil {
		// Only a value that JSON cannot express fails, which is a bug.
		o.fail(fmt.Errorf("encode %T: %w", v, err))
		return
	}
	line := harmless(o.buf.Bytes())
	if stdout {
		o.write(line)
	}
	if log {
		for _, f := range o.sinks {
			f(line)
		}
	}
}

// harmless rewrites the characters that JSON allows unescaped and a terminal
// acts upon or hides (DEL, C1 controls, bidirectional and invisible ones).
func harmless(line []byte) []byte {
	bad := false
	for _, c := range line {
		if c >= 0x7f {
			bad = true
			break
		}
	}
	if !bad {
		return line
	}
	out := make([]byte, 0, len(line)+16)
	for i := 0; i < len(line); {
		r, n := utf8.DecodeRune(line[i:])
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out = append(out, line[i:i+n]...)
		case r <= 0xffff:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
		i += n
	}
	return out
}

// Print writes a line of results for people, also with --quiet. With --json
// it does nothing. The text must be escaped already.
func (o *Out) Print(line string) {
	if o.opt.JSON {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bar.clear(o.opt.Stderr)
	o.write([]byte(line + "\n"))
}

// Text writes a sentence of the results, as Print, and breaks it between words
// where the terminal is narrower. What follows a break is indented by hang
// columns, or as its beginning is.
func (o *Out) Text(hang int, line string) { o.Print(wrap(line, o.width(), hang)) }

// width is how wide what goes to standard output may be; 0 = any width.
func (o *Out) width() int {
	if !o.opt.StdoutTTY {
		return 0
	}
	return o.opt.Width
}

// Say writes a sentence that explains or sums up; --quiet and --json silence it.
func (o *Out) Say(format string, args ...any) {
	if o.opt.Quiet {
		return
	}
	o.Text(0, fmt.Sprintf(format, args...))
}

// Command writes a command that can be pasted: it is never broken. --quiet and
// --json silence it.
func (o *Out) Command(line string) {
	if !o.opt.Quiet {
		o.Print("  " + o.Style.Cyan(line))
	}
}

// Detail writes a line that only --verbose asks for.
func (o *Out) Detail(format string, args ...any) {
	if o.opt.Verbose {
		o.Print(fmt.Sprintf(format, args...))
	}
}

// Table writes a table; --quiet and --json silence it.
func (o *Out) Table(t Table) {
	if o.opt.Quiet || o.opt.JSON {
		return
	}
	for _, l := range t.Lines(o.Style, o.width()) {
		o.Print(l)
	}
}

// Raw writes bytes to standard output as they are: exports.
func (o *Out) Raw(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bar.clear(o.opt.Stderr)
	o.write(p)
}

// Note writes a line to standard error; --quiet silences it.
func (o *Out) Note(format string, args ...any) {
	switch {
	case o.opt.Quiet:
	case o.opt.Journal:
		o.log(slog.LevelInfo, fmt.Sprintf(format, args...))
	default:
		o.stderr(fmt.Sprintf(format, args...))
	}
}

// Warn writes a warning to standard error, also with --quiet.
func (o *Out) Warn(format string, args ...any) {
	if o.opt.Journal {
		o.log(slog.LevelWarn, fmt.Sprintf(format, args...))
		return
	}
	o.stderr(o.ErrStyle.Yellow("warning: ") + fmt.Sprintf(format, args...))
}

// Problem writes an error and its hint to standard error. command is "" where
// the command line names none that there is.
func (o *Out) Problem(command string, err error, hint string) {
	if o.opt.Journal {
		var attrs []slog.Attr
		if command != "" {
			attrs = append(attrs, slog.String("command", command))
		}
		if hint != "" {
			attrs = append(attrs, slog.String("hint", hint))
		}
		o.log(slog.LevelError, errorText(err), attrs...)
		return
	}
	o.stderr(o.ErrStyle.Red(strings.TrimSpace("mailsync "+command)+": ") + errorText(err))
	if hint != "" {
		for _, l := range strings.Split(hint, "\n") {
			o.stderr("  " + o.ErrStyle.Dim("hint: ") + EscapeText(l))
		}
	}
}

func errorText(err error) string {
	const limit = 4000
	return Oneline(err, limit)
}

func (o *Out) stderr(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bar.clear(o.opt.Stderr)
	if o.opt.StderrTTY && !strings.Contains(line, "hint: ") { // hints hold commands that are pasted
		line = wrap(line, o.opt.Width, 2)
	}
	// Nothing can be done about a standard error that takes no more.
	_, _ = io.WriteString(o.opt.Stderr, line+"\n")
}

// Err returns the first error of standard output.
func (o *Out) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// write writes whole lines. o.mu is held.
func (o *Out) write(p []byte) {
	if o.failed != nil {
		return
	}
	if _, err := o.opt.Stdout.Write(p); err != nil {
		o.fail(err)
	}
}

func (o *Out) fail(err error) {
	if o.failed != nil {
		return
	}
	o.failed = err
	if o.opt.Failed != nil {
		o.opt.Failed(err)
	}
}
