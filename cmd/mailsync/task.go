package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/manifest"
	"mailsync/restore/remote"
	"mailsync/scan"
	"mailsync/scan/verify"
)

// The tasks that one host does for another, as docs/protocol.md lists them, and
// what passes meanwhile. This file has what both ends share.
const (
	taskScan   = "scan"
	taskVerify = "verify"
)

// lookTask asks for a scan or a verification of one store.
type lookTask struct {
	Store       remote.Spec `cbor:"1,keyasint"`
	Mailbox     []string    `cbor:"2,keyasint,omitempty"` // patterns
	MaxDuration int64       `cbor:"3,keyasint,omitempty"` // nanoseconds
	Rehash      bool        `cbor:"4,keyasint,omitempty"`
	Fraction    float64     `cbor:"5,keyasint,omitempty"`
	Adopt       bool        `cbor:"6,keyasint,omitempty"`
	Accept      bool        `cbor:"7,keyasint,omitempty"`
	Reason      string      `cbor:"8,keyasint,omitempty"`
	Quick       bool        `cbor:"9,keyasint,omitempty"`
	CrashAt     int64       `cbor:"10,keyasint,omitempty"` // nanoseconds since 1970
}

// checkGlobs checks patterns that came from another host.
func checkGlobs(list []string) (config.Globs, error) {
	for _, g := range list {
		if err := config.CheckGlob(g); err != nil {
			return nil, fmt.Errorf("%w: %w", remote.ErrProtocol, err)
		}
	}
	return list, nil
}

// lookEvent is what a look tells while it goes on.
type lookEvent struct {
	Findings []farFinding `cbor:"1,keyasint,omitempty"`
	Vanished []farFinding `cbor:"2,keyasint,omitempty"`
	Stage    *farStage    `cbor:"3,keyasint,omitempty"`
	Progress *farProgress `cbor:"4,keyasint,omitempty"`
}

type farFinding struct {
	_                     struct{} `cbor:",toarray"`
	Mailbox, Folder, File string
	Kind, Certainty       uint8
	Detail                string
}

func farFindingOf(f *manifest.Finding) farFinding {
	return farFinding{Mailbox: f.Mailbox, Folder: f.Folder, File: f.File, Kind: uint8(f.Kind), Certainty: uint8(f.Certainty), Detail: f.Detail}
}

func (f *farFinding) finding(store string) (manifest.Finding, error) {
	out := manifest.Finding{
		Store: store, Mailbox: f.Mailbox, Folder: f.Folder, File: f.File,
		Kind: manifest.Kind(f.Kind), Certainty: manifest.Certainty(f.Certainty), Detail: f.Detail,
	}
	if !out.Kind.Valid() || out.Kind == manifest.NoKind || out.Certainty > manifest.Proof {
		return out, fmt.Errorf("%w: a finding of kind %d", remote.ErrProtocol, f.Kind)
	}
	return out, nil
}

type farStage struct {
	ID     uint8       `cbor:"1,keyasint"`
	Counts scan.Counts `cbor:"2,keyasint"`
	Took   int64       `cbor:"3,keyasint"`
	Known  string      `cbor:"4,keyasint"`
}

// farProgress is where a look is; the meaning of its numbers is that of
// scan.Progress or verify.Progress.
type farProgress struct {
	Stage, Done, Total, Bytes, Found int64
}

// farResult is how a look ended.
type farResult struct {
	Counts   scan.Counts `cbor:"1,keyasint"`
	Partial  [][2]string `cbor:"2,keyasint,omitempty"` // mailbox, why
	Partials int64       `cbor:"3,keyasint,omitempty"`
	Refused  string      `cbor:"4,keyasint,omitempty"`
	HalfGone bool        `cbor:"5,keyasint,omitempty"` // Refused is scan.ErrHalfGone
	Crashed  bool        `cbor:"6,keyasint,omitempty"`
	Resumed  bool        `cbor:"7,keyasint,omitempty"`
	TimeUp   bool        `cbor:"8,keyasint,omitempty"`
	Accepted int64       `cbor:"9,keyasint,omitempty"`
	Crash    int64       `cbor:"10,keyasint,omitempty"`
	Missing  int64       `cbor:"11,keyasint,omitempty"`
	Matched  bool        `cbor:"13,keyasint,omitempty"` // a mailbox matched the patterns
}

// maxFarPartial is how many reasons travel.
const maxFarPartial = 100

func farScan(r *scan.Result) farResult {
	out := farResult{Counts: r.Counts, Partials: r.Partials, Crashed: r.Crashed, Resumed: r.Resumed, TimeUp: r.TimeUp, Accepted: r.Accepted}
	for i, p := range r.Partial {
		if i == maxFarPartial {
			break
		}
		out.Partial = append(out.Partial, [2]string{p.Mailbox, clip(p.Err.Error())})
	}
	if r.Refused != nil {
		out.Refused, out.HalfGone = clip(r.Refused.Error()), errors.Is(r.Refused, scan.ErrHalfGone)
	}
	return out
}

func (f *farResult) scan() scan.Result {
	r := scan.Result{Counts: f.Counts, Partials: f.Partials, Crashed: f.Crashed, Resumed: f.Resumed, TimeUp: f.TimeUp, Accepted: f.Accepted}
	for _, p := range f.Partial {
		r.Partial = append(r.Partial, scan.Partial{Mailbox: p[0], Err: errors.New(p[1])})
	}
	if f.Refused != "" {
		r.Refused = errors.New(f.Refused)
		if f.HalfGone {
			r.Refused = fmt.Errorf("%w: %s", scan.ErrHalfGone, f.Refused)
		}
	}
	return r
}

func farVerified(r *verify.Result) farResult {
	out := farResult{
		Counts: r.Counts, Partials: r.Partials, Crashed: r.Crashed, Resumed: r.Resumed, TimeUp: r.Ended, Missing: r.Missing,
	}
	if !r.Crash.IsZero() {
		out.Crash = r.Crash.UnixNano()
	}
	for i, p := range r.Partial {
		if i == maxFarPartial {
			break
		}
		out.Partial = append(out.Partial, [2]string{"", clip(p)})
	}
	if r.Refused {
		out.Refused = "refused"
	}
	return out
}

func (f *farResult) verified() verify.Result {
	r := verify.Result{
		Counts: f.Counts, Partials: f.Partials, Crashed: f.Crashed, Resumed: f.Resumed, Ended: f.TimeUp, Missing: f.Missing,
		Refused: f.Refused != "", Complete: true,
	}
	if f.Crash != 0 {
		r.Crash = time.Unix(0, f.Crash)
	}
	for _, p := range f.Partial {
		r.Partial = append(r.Partial, p[1])
	}
	return r
}

func clip(s string) string { return s[:min(len(s), 1000)] }

// teller sends events, and progress now and then. What belongs together, the
// findings of one mailbox, leaves together.
type teller struct {
	task *remote.Task
	mu   sync.Mutex
	held lookEvent
	box  string
	err  error
}

func (t *teller) send(e *lookEvent) {
	p, err := remote.Encode(e)
	if err == nil {
		err = t.task.Event(p)
	}
	if t.err == nil {
		t.err = err
	}
}

// add takes up a finding, or something that vanished.
func (t *teller) add(f *manifest.Finding, vanished bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.Mailbox != t.box || len(t.held.Findings)+len(t.held.Vanished) >= maxHeld {
		t.flush()
		t.box = f.Mailbox
	}
	x := farFindingOf(f)
	x.Detail = clip(x.Detail)
	if vanished {
		t.held.Vanished = append(t.held.Vanished, x)
	} else {
		t.held.Findings = append(t.held.Findings, x)
	}
}

// maxHeld bounds the findings of one event.
const maxHeld = 20

func (t *teller) flush() {
	if len(t.held.Findings)+len(t.held.Vanished) > 0 {
		t.send(&t.held)
		t.held = lookEvent{}
	}
}

// end sends what is left, and returns what went wrong.
func (t *teller) end(stage *farStage) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	if stage != nil {
		t.send(&lookEvent{Stage: stage})
	}
	return t.err
}

// progress tells every half second where the work is, until stop is called.
func (t *teller) progress(ctx context.Context, now func() farProgress) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				p := now()
				t.mu.Lock()
				t.send(&lookEvent{Progress: &p})
				t.mu.Unlock()
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
