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

// Run implements remote.Host.
func (h *server) Run(ctx context.Context, t *remote.Task) ([]byte, error) {
	do := map[string]func(context.Context, *remote.Task, *lookTask) (*farResult, error){taskScan: h.scan, taskVerify: h.verify}[t.Name]
	if do == nil {
		return nil, fmt.Errorf("%w: task %q is not known here", remote.ErrRefused, t.Name)
	}
	var q lookTask
	if err := remote.Decode(t.Body, &q); err != nil {
		return nil, err
	}
	r, err := do(ctx, t, &q)
	if err != nil {
		return nil, err
	}
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
func (h *server) scan(ctx context.Context, t *remote.Task, q *lookTask) (*farResult, error) {
	if h.readOnly && (q.Accept || q.Adopt) {
		return nil, fmt.Errorf("%w: --accept and --adopt change what is held for the truth, and this is read-only", remote.ErrRefused)
	}
	globs, err := checkGlobs(q.Mailbox)
	if err != nil {
		return nil, err
	}
	sd, err := h.open(&q.Store)
	if err != nil {
		return nil, err
	}
	defer sd.close()
	repo, err := h.a.openRepo(false)
	if err != nil {
		return nil, err
	}
	doubt, err := h.a.doubts(sd.store)
	if err != nil {
		return nil, err
	}
	only := &matched{globs: globs}
	p := new(scan.Progress)
	tell := &teller{task: t}
	stop := tell.progress(ctx, func() farProgress {
		return farProgress{Done: p.Messages.Load(), Total: p.TotalMessages.Load(), Bytes: p.ReadBytes.Load(), Found: p.Findings.Load()}
	})
	defer stop()
	r, err := h.a.runScan(ctx, sd.scanner, repo, scan.RunOptions{
		Mailbox: only.filter(), Rehash: q.Rehash, RehashFraction: q.Fraction, MaxDuration: time.Duration(q.MaxDuration),
		Accept: q.Accept, Reason: q.Reason, Adopt: q.Adopt, Progress: p,
		Finding:  func(f manifest.Finding) { tell.add(&f, false) },
		Vanished: func(f manifest.Finding) { tell.add(&f, true) },
	}, doubt, globs)
	stop()
	if err != nil {
		return nil, err
	}
	if err := tell.end(nil); err != nil {
		return nil, err
	}
	if r.Refused == nil {
		if err := h.a.copyRecord(ctx, sd.store, repo); err != nil {
			return nil, err
		}
	}
	out := farScan(&r)
	out.Matched = only.any.Load()
	return &out, nil
}

// verify verifies a store of this host against the record of this host.
func (h *server) verify(ctx context.Context, t *remote.Task, q *lookTask) (*farResult, error) {
	globs, err := checkGlobs(q.Mailbox)
	if err != nil {
		return nil, err
	}
	sd, err := h.open(&q.Store)
	if err != nil {
		return nil, err
	}
	defer sd.close()
	state, err := h.a.stateDir()
	if err != nil {
		return nil, err
	}
	doubt, err := h.a.doubts(sd.store)
	if err != nil {
		return nil, err
	}
	only := &matched{globs: globs}
	o := verify.Options{
		Mailbox: only.filter(), Quick: q.Quick, MaxDuration: time.Duration(q.MaxDuration),
		Record: sd.base, PlaceDir: filepath.Join(state, "places"), Scope: globs.String(),
	}
	if q.CrashAt != 0 {
		o.CrashAt = time.Unix(0, q.CrashAt)
	}
	v := verify.New(sd.scanner, o)
	tell := &teller{task: t}
	stop := tell.progress(ctx, func() farProgress {
		p := v.Progress()
		return farProgress{int64(p.Stage.Load()), p.Done.Load(), p.Total.Load(), p.Bytes.Load(), p.Finding.Load()}
	})
	defer stop()
	for ev, err := range v.Events(ctx) {
		switch {
		case err != nil:
			h.a.saveDoubts(doubt, none)
			return nil, err
		case ev.Finding != nil:
			doubt.note(ev.Finding)
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
	h.a.saveDoubts(doubt, func(m string) bool { return whole && globs.Match(m) })
	if err := tell.end(nil); err != nil {
		return nil, err
	}
	out := farVerified(&r)
	out.Matched = only.any.Load()
	return &out, nil
}
