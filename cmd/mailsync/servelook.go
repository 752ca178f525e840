package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"mailsync/manifest"
	"mailsync/restore/remote"
	"mailsync/scan"
	"mailsync/scan/verify"
)

// look is a scan or a verification of a store of this host, for a caller.
type look struct {
	q     *lookTask
	sd    *side
	doubt *doubts
	only  *matched
	tell  *teller
}

// Run implements remote.Host.
func (h *server) Run(ctx context.Context, t *remote.Task) ([]byte, error) {
	do := map[string]func(context.Context, *look) (*farResult, error){taskScan: h.scan, taskVerify: h.verify}[t.Name]
	if do == nil {
		return nil, fmt.Errorf("%w: task %q is not known here", remote.ErrRefused, t.Name)
	}
	l := &look{q: new(lookTask), tell: &teller{task: t}}
	if err := remote.Decode(t.Body, l.q); err != nil {
		return nil, err
	}
	globs, err := checkGlobs(l.q.Mailbox)
	if err != nil {
		return nil, err
	}
	l.only = &matched{globs: globs}
	if l.sd, err = h.open(&l.q.Store); err != nil {
		return nil, err
	}
	defer l.sd.close()
	if l.doubt, err = h.a.doubts(l.sd.store); err != nil {
		return nil, err
	}
	r, err := do(ctx, l)
	if err != nil {
		return nil, err
	}
	r.Matched = l.only.any.Load()
	return remote.Encode(r)
}

// open opens the store of a task, which lies in what is served.
func (h *server) open(spec *remote.Spec) (*side, error) {
	s, err := h.store(spec)
	if err != nil {
		return nil, err
	}
	sd, err := h.a.openAs(s, spec.Name, h.budgets, trust(spec.Files))
	if err != nil {
		return nil, err
	}
	if err := h.inside(sd); err != nil {
		sd.close()
		return nil, err
	}
	return sd, nil
}

// scan scans a store of this host, into the record of this host.
func (h *server) scan(ctx context.Context, l *look) (*farResult, error) {
	q, tell := l.q, l.tell
	if h.readOnly && (q.Accept || q.Adopt) {
		return nil, fmt.Errorf("%w: --accept and --adopt change what is held for the truth, and this is read-only", remote.ErrRefused)
	}
	repo, err := h.a.openRepo(false)
	if err != nil {
		return nil, err
	}
	p := new(scan.Progress)
	stop := tell.progress(ctx, func() farProgress {
		return farProgress{Done: p.Messages.Load(), Total: p.TotalMessages.Load(), Bytes: p.ReadBytes.Load(), Found: p.Findings.Load()}
	})
	defer stop()
	r, err := h.a.runScan(ctx, l.sd.scanner, repo, scan.RunOptions{
		Mailbox: l.only.filter(), Rehash: q.Rehash, RehashFraction: q.Fraction, MaxDuration: time.Duration(q.MaxDuration),
		Accept: q.Accept, Reason: q.Reason, Adopt: q.Adopt, Progress: p,
		Finding:  func(f manifest.Finding) { tell.add(&f, false) },
		Vanished: func(f manifest.Finding) { tell.add(&f, true) },
	}, l.doubt, l.only.globs)
	stop()
	if err != nil {
		return nil, err
	}
	if err := tell.end(nil); err != nil {
		return nil, err
	}
	if r.Refused == nil {
		if err := h.a.copyRecord(ctx, l.sd.store, repo); err != nil {
			return nil, err
		}
	}
	out := farScan(&r)
	return &out, nil
}

// verify verifies a store of this host against the record of this host.
func (h *server) verify(ctx context.Context, l *look) (*farResult, error) {
	q, tell := l.q, l.tell
	state, err := h.a.stateDir()
	if err != nil {
		return nil, err
	}
	o := verify.Options{
		Mailbox: l.only.filter(), Quick: q.Quick, MaxDuration: time.Duration(q.MaxDuration),
		Record: l.sd.base, PlaceDir: filepath.Join(state, "places"), Scope: l.only.globs.String(),
	}
	if q.CrashAt != 0 {
		o.CrashAt = time.Unix(0, q.CrashAt)
	}
	v := verify.New(l.sd.scanner, o)
	stop := tell.progress(ctx, func() farProgress {
		p := v.Progress()
		return farProgress{int64(p.Stage.Load()), p.Done.Load(), p.Total.Load(), p.Bytes.Load(), p.Finding.Load()}
	})
	defer stop()
	for ev, err := range v.Events(ctx) {
		switch {
		case err != nil:
			h.a.saveDoubts(l.doubt, none)
			return nil, err
		case ev.Finding != nil:
			l.doubt.note(ev.Finding)
			tell.add(ev.Finding, false)
		case ev.Vanished != nil:
			tell.add(ev.Vanished, true)
		case ev.Stage != nil:
			st := ev.Stage
			if err := tell.end(&farStage{uint8(st.ID), st.Counts, int64(st.Took), st.Known}); err != nil {
				return nil, err
			}
		}
	}
	stop()
	r := v.Result()
	whole := verifiedWhole(&r, q.Quick)
	h.a.saveDoubts(l.doubt, func(m string) bool { return whole && l.only.globs.Match(m) })
	if err := tell.end(nil); err != nil {
		return nil, err
	}
	out := farVerified(&r)
	return &out, nil
}
