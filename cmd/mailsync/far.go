package main

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/manifest"
	"mailsync/restore/remote"
	"mailsync/scan"
	"mailsync/scan/budget"
	"mailsync/scan/verify"
)

// scanThere has the host of a store scan it, into its own record, and keeps a
// copy of that record here.
func (a *app) scanThere(ctx context.Context, s *config.Store, repo *manifest.Repo, _ *budget.Set, opt scan.RunOptions, only *matched) (scan.Result, error) {
	p, err := a.peer(ctx, s.Host())
	if err != nil {
		return scan.Result{}, err
	}
	raw, err := p.Do(ctx, taskScan, lookTask{
		Store: a.spec(s, trustStamps), Mailbox: only.globs, MaxDuration: int64(opt.MaxDuration), Rehash: opt.Rehash,
		Fraction: opt.RehashFraction, Adopt: opt.Adopt, Accept: opt.Accept, Reason: opt.Reason,
	}, func(b []byte) error {
		return hear(s.Name, b, opt.Finding, opt.Vanished, func(x *farProgress) {
			opt.Progress.Messages.Store(x.Done)
			opt.Progress.TotalMessages.Store(x.Total)
			opt.Progress.ReadBytes.Store(x.Bytes)
			opt.Progress.Findings.Store(x.Found)
		}, nil)
	})
	if err != nil {
		return scan.Result{}, a.openProblem(s, err, false)
	}
	var end farResult
	if err := remote.Decode(raw, &end); err != nil {
		return scan.Result{}, err
	}
	if end.Matched {
		only.any.Store(true)
	}
	r := end.scan()
	if r.Refused != nil || r.Mailboxes == 0 {
		return r, nil
	}
	return r, a.keepRecord(ctx, s, p, repo, opt.Adopt)
}

// hear takes apart one event of a look.
func hear(store string, b []byte, finding, vanished func(manifest.Finding), progress func(*farProgress), stage func(*farStage)) error {
	var e lookEvent
	if err := remote.Decode(b, &e); err != nil {
		return err
	}
	for _, list := range []struct {
		of   []farFinding
		tell func(manifest.Finding)
	}{{e.Findings, finding}, {e.Vanished, vanished}} {
		for i := range list.of {
			f, err := list.of[i].finding(store)
			if err != nil {
				return err
			}
			list.tell(f)
		}
	}
	if e.Progress != nil && progress != nil {
		progress(e.Progress)
	}
	if e.Stage != nil {
		if stage == nil || e.Stage.ID < uint8(verify.Structure) || e.Stage.ID > uint8(verify.Rest) {
			return fmt.Errorf("%w: stage %d", remote.ErrProtocol, e.Stage.ID)
		}
		stage(e.Stage)
	}
	return nil
}

// verifying is a verification, here or there.
type verifying interface {
	Events(ctx context.Context) iter.Seq2[verify.Event, error]
	Progress() *verify.Progress
	Result() verify.Result
}

// farVerify is a verification by the host of the store.
type farVerify struct {
	p        *remote.Peer
	store    string
	task     lookTask
	only     *matched
	progress verify.Progress
	result   verify.Result
}

// Progress implements verifying.
func (v *farVerify) Progress() *verify.Progress { return &v.progress }

// Result implements verifying.
func (v *farVerify) Result() verify.Result { return v.result }

// Events implements verifying.
func (v *farVerify) Events(ctx context.Context) iter.Seq2[verify.Event, error] {
	return func(yield func(verify.Event, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		var going atomic.Bool
		going.Store(true)
		tell := func(e verify.Event) {
			if going.Load() && !yield(e, nil) {
				going.Store(false)
				cancel(errEnough)
			}
		}
		raw, err := v.p.Do(ctx, taskVerify, v.task, func(b []byte) error {
			return hear(v.store, b,
				func(f manifest.Finding) { tell(verify.Event{Finding: &f}) },
				func(f manifest.Finding) { tell(verify.Event{Vanished: &f}) },
				func(p *farProgress) {
					v.progress.Stage.Store(int32(p.Stage))
					v.progress.Done.Store(p.Done)
					v.progress.Total.Store(p.Total)
					v.progress.Bytes.Store(p.Bytes)
					v.progress.Finding.Store(p.Found)
				},
				func(s *farStage) {
					tell(verify.Event{Stage: &verify.Stage{ID: verify.StageID(s.ID), Counts: s.Counts, Took: time.Duration(s.Took), Known: s.Known}})
				})
		})
		if !going.Load() {
			return
		}
		var end farResult
		if err == nil {
			err = remote.Decode(raw, &end)
		}
		if err != nil {
			yield(verify.Event{}, err)
			return
		}
		if end.Matched {
			v.only.any.Store(true)
		}
		v.result = end.verified()
	}
}

var errEnough = fmt.Errorf("the consumer wants no more")
