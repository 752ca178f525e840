package ui

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// journal writes lines for a log and not for a person: those of log/slog's text
// handler, with the priority in front that sd-daemon(3) defines (<3> error to
// <7> debug), by which journalctl -p selects and paints. The journal adds the
// time; nothing here does. Its methods are called with Out.mu held.
type journal struct {
	line bytes.Buffer
	text *slog.TextHandler
}

func newJournal() *journal {
	j := &journal{}
	j.text = slog.NewTextHandler(&j.line, &slog.HandlerOptions{Level: slog.LevelDebug})
	return j
}

// priority is that of syslog(3).
func priority(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

func (j *journal) write(w io.Writer, level slog.Level, msg string, attrs ...slog.Attr) {
	j.line.Reset()
	fmt.Fprintf(&j.line, "<%d>", priority(level))
	r := slog.NewRecord(time.Time{}, level, msg, 0) // no time: the journal has its own
	r.AddAttrs(attrs...)
	// Both write into memory, then to a standard error that may take no more.
	_ = j.text.Handle(context.Background(), r)
	_, _ = w.Write(j.line.Bytes())
}

// attrs are a snapshot's fields in a log.
func (s Snapshot) attrs(elapsed time.Duration) []slog.Attr {
	out := []slog.Attr{slog.String("stage", s.Stage), slog.Int64("done", s.Done)}
	if s.Total > 0 {
		out = append(out, slog.Int64("total", s.Total))
	}
	out = append(out, slog.String("unit", s.Unit), slog.Int64("bytes", s.Bytes))
	if s.Found > 0 {
		out = append(out, slog.Int64("found", s.Found), slog.String("found_as", s.FoundAs))
	}
	out = append(out, slog.Int64("seconds", int64(elapsed.Seconds())))
	if s.Throttle != "" {
		out = append(out, slog.String("throttle", s.Throttle))
	}
	return out
}

// Ended writes how a run ended, where standard error goes to a journal: one line
// by which a log can be searched. Elsewhere the sentences before it say it.
func (o *Out) Ended(s *Summary) {
	if !o.opt.Journal {
		return
	}
	level := slog.LevelInfo
	switch {
	case s.Exit > 3: // EX__BASE of sysexits.h and later: it failed, or a signal ended it
		level = slog.LevelError
	case s.Exit > 0:
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.String("command", s.Command), slog.Int("exit", s.Exit), slog.Bool("complete", s.Complete), slog.Float64("seconds", s.Seconds)}
	for _, x := range [][2]string{{"run", s.Run}, {"log", s.Log}} {
		if x[1] != "" {
			attrs = append(attrs, slog.String(x[0], x[1]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Counts)) {
		if n := s.Counts[name]; n != 0 {
			attrs = append(attrs, slog.Int64(name, n))
		}
	}
	o.log(level, "ended", attrs...)
}

// log writes a line to a standard error that goes to a journal.
func (o *Out) log(level slog.Level, msg string, attrs ...slog.Attr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.journal.write(o.opt.Stderr, level, msg, attrs...)
}
