package ui

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/rivo/uniseg"
	"github.com/schollz/progressbar/v3"
)

// Snapshot is where a run is. It is taken by a ticker, never per message.
type Snapshot struct {
	Stage    string // what is being done: "reading", "structure", "applying"
	Done     int64  // of Total; what is counted is Unit
	Total    int64  // 0 = not known
	Unit     string // "message", "mailbox"
	Bytes    int64  // read or written so far
	Found    int64  // findings so far
	FoundAs  string // "finding", "difference"
	Throttle string // why it is slower than it could be, "" = it is not
}

// Plain writes a snapshot as one line for a log.
func (s Snapshot) Plain(elapsed time.Duration) string {
	var b strings.Builder
	b.WriteString(Escape(s.Stage))
	b.WriteString(": ")
	if s.Total > 0 {
		fmt.Fprintf(&b, "%s of %s", Count(s.Done), Plural(s.Total, s.Unit))
	} else {
		b.WriteString(Plural(s.Done, s.Unit))
	}
	if s.Bytes > 0 {
		fmt.Fprintf(&b, ", %s", Bytes(s.Bytes))
		if sec := elapsed.Seconds(); sec >= 1 {
			fmt.Fprintf(&b, " (%s/s)", Bytes(int64(float64(s.Bytes)/sec)))
		}
	}
	if s.Found > 0 {
		fmt.Fprintf(&b, ", %s", Plural(s.Found, s.FoundAs))
	}
	fmt.Fprintf(&b, ", %s", Duration(elapsed))
	if s.Total > 0 && s.Done > 0 && s.Done < s.Total {
		left := time.Duration(float64(elapsed) / float64(s.Done) * float64(s.Total-s.Done))
		fmt.Fprintf(&b, ", about %s left", Duration(left))
	}
	if s.Throttle != "" {
		fmt.Fprintf(&b, ", %s", Escape(s.Throttle))
	}
	return b.String()
}

// Between ticks of the bar, between plain lines, and between those of a journal,
// which are kept.
const (
	barEvery     = 200 * time.Millisecond
	lineEvery    = 30 * time.Second
	journalEvery = 5 * time.Minute
)

// bar is what is drawn on a terminal. Its methods are called with Out.mu held.
type bar struct {
	p     *progressbar.ProgressBar
	frame bytes.Buffer
	total int64
	drawn bool
	began time.Time
}

// draw draws one frame, at most width columns wide (0 = 80): a line that wraps
// could not be wiped.
func (b *bar) draw(w io.Writer, s Snapshot, width int) {
	if width <= 0 {
		width = 80
	}
	if b.began.IsZero() {
		b.began = time.Now()
	}
	total := s.Total
	if total <= 0 {
		total = -1
	}
	if b.p == nil || b.total != total {
		b.clear(w)
		b.total = total
		b.p = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(&b.frame),
			progressbar.OptionSetWidth(12),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetElapsedTime(true),
			progressbar.OptionSpinnerType(14),
			progressbar.OptionSetSpinnerChangeInterval(0), // else a goroutine of its own draws
			progressbar.OptionClearOnFinish(),
			progressbar.OptionUseANSICodes(false),
		)
	}
	text := Escape(s.Stage)
	if s.Bytes > 0 {
		text += " " + Bytes(s.Bytes)
		if sec := time.Since(b.began).Seconds(); sec >= 1 {
			text += ", " + Bytes(int64(float64(s.Bytes)/sec)) + "/s"
		}
	}
	if s.Found > 0 {
		text += ", " + Plural(s.Found, s.FoundAs)
	}
	if s.Throttle != "" {
		text += " (" + Escape(s.Throttle) + ")"
	}
	// Bar, percentage, counts and times take what is left of the line.
	rest := 12 + 14 + 2*len(Count(max(s.Done, s.Total))) + 16
	if room := max(width-rest-1, 8); uniseg.StringWidth(text) > room {
		text = Escape(s.Stage)
		if s.Bytes > 0 && uniseg.StringWidth(text)+len(Bytes(s.Bytes))+1 <= room {
			text += " " + Bytes(s.Bytes)
		}
		if uniseg.StringWidth(text) > room {
			text = text[:min(len(text), room)]
		}
	}
	b.p.Describe(text)
	b.frame.Reset() // Describe draws, too; one frame a tick is enough
	done := s.Done
	if total > 0 {
		// At its end the bar would finish and stay; the run says when it ends.
		done = min(done, total-1)
	}
	_ = b.p.Set64(done)
	b.flush(w)
	b.drawn = true
}

// clear wipes the bar off the terminal.
func (b *bar) clear(w io.Writer) {
	if b.drawn {
		b.frame.Reset()
		_ = b.p.Clear()
		b.flush(w)
		b.drawn = false
	}
}

func (b *bar) flush(w io.Writer) {
	// Nothing can be done about a standard error that takes no more.
	_, _ = w.Write(b.frame.Bytes())
	b.frame.Reset()
}

// Progress shows where a run is until stop is called: a bar on a terminal, a
// plain line every 30 s elsewhere (every 5 minutes in a journal), and a plain
// line whenever poke receives (the operator sent SIGUSR1). look is called from one goroutine.
func (o *Out) Progress(ctx context.Context, poke <-chan struct{}, look func() Snapshot) (stop func()) {
	drawBar := !o.opt.Journal && (o.opt.Progress == Always || o.opt.Progress != Never && o.opt.StderrTTY && !o.opt.Quiet)
	lines := o.opt.Progress != Never && !o.opt.Quiet
	every := lineEvery
	switch {
	case drawBar:
		every = barEvery
	case o.opt.Journal:
		every = journalEvery
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		began := time.Now()
		line := func() {
			s, took := look(), time.Since(began)
			if o.opt.Journal {
				o.log(slog.LevelInfo, "progress", s.attrs(took)...)
				return
			}
			o.stderr(s.Plain(took))
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-poke:
				line()
			case <-tick.C:
				switch {
				case drawBar:
					s := look()
					o.mu.Lock()
					if !o.asking {
						o.bar.draw(o.opt.Stderr, s, o.opt.Width)
					}
					o.mu.Unlock()
				case lines:
					line()
				}
			}
		}
	})
	var once sync.Once
	return func() {
		once.Do(func() {
			cancel()
			wg.Wait()
			o.mu.Lock()
			o.bar.clear(o.opt.Stderr)
			o.bar = bar{}
			o.mu.Unlock()
		})
	}
}
