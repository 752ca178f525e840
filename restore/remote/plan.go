package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"mailsync/restore"
)

// planItem tells how far a plan is; the last one, behind the plan's data, has Made.
type planItem struct {
	Messages int64  `cbor:"1,keyasint,omitempty"` // compared so far
	Made     bool   `cbor:"2,keyasint,omitempty"`
	Matched  bool   `cbor:"3,keyasint,omitempty"` // a mailbox matched the patterns
	Run      []byte `cbor:"4,keyasint,omitempty"` // of an undo: the run, as JSON
	Left     bool   `cbor:"5,keyasint,omitempty"` // as of Planned
}

// runsItem is one run, as JSON.
type runsItem struct {
	Run []byte `cbor:"1,keyasint"`
}

// maxRun bounds a run that is told, in bytes; maxRuns, how many are.
const (
	maxRun  = 64 << 10
	maxRuns = 1 << 20
)

// Plan has the host of the target make a plan. It needs no more of the other
// end than it has sent: the caller closes it.
func (p *Peer) Plan(ctx context.Context, r *Restoration, progress *restore.PlanProgress) (*Planned, error) {
	q, err := r.wire()
	if err != nil {
		return nil, err
	}
	plan, last, err := p.plan(ctx, methodPlan, q, progress)
	if err != nil {
		return nil, err
	}
	return &Planned{Plan: plan, Matched: last.Matched, Left: last.Left}, nil
}

// PlanUndo has the other host plan the taking back of one of its runs:
// restore.ErrNoRun, restore.ErrNotUndoable, restore.ErrBusy.
func (p *Peer) PlanUndo(ctx context.Context, u *Undo) (*restore.Plan, restore.RunInfo, error) {
	var info restore.RunInfo
	plan, last, err := p.plan(ctx, methodUndo, u, nil)
	if err != nil {
		return nil, info, err
	}
	if info, err = runInfo(last.Run); err == nil && info.ID != u.Run {
		err = fmt.Errorf("%w: run %q was asked for", ErrProtocol, u.Run)
	}
	if err != nil {
		_ = plan.Close()
		return nil, info, err
	}
	return plan, info, nil
}

// plan reads a plan and what is said around it.
func (p *Peer) plan(ctx context.Context, method string, body any, progress *restore.PlanProgress) (*restore.Plan, *planItem, error) {
	a, err := p.ask(ctx, method, 0, body)
	if err != nil {
		return nil, nil, err
	}
	defer a.close()
	d := &dataReader{a: a}
	for {
		if err := d.fill(); err == nil {
			break // the plan begins
		} else if !errors.Is(err, io.EOF) || d.item == nil {
			return nil, nil, ended(err)
		}
		var x planItem
		if err := Decode(d.item, &x); err != nil {
			return nil, nil, err
		}
		if x.Made {
			return nil, nil, fmt.Errorf("%w: a plan that was not sent", ErrProtocol)
		}
		if progress != nil {
			progress.Messages.Store(x.Messages)
		}
		d = &dataReader{a: a}
	}
	plan, err := restore.ReadPlan(d, true)
	if err != nil {
		return nil, nil, err
	}
	last := new(planItem)
	if d.item == nil {
		err = fmt.Errorf("%w: a plan lacks its end", ErrProtocol)
	} else if err = Decode(d.item, last); err == nil && !last.Made {
		err = fmt.Errorf("%w: a plan does not end where it should", ErrProtocol)
	}
	if err == nil {
		err = a.finish()
	}
	if err != nil {
		_ = plan.Close()
		return nil, nil, err
	}
	return plan, last, nil
}

func runInfo(p []byte) (restore.RunInfo, error) {
	var info restore.RunInfo
	if len(p) > maxRun {
		return info, fmt.Errorf("%w: a run of %d bytes", ErrProtocol, len(p))
	}
	if err := json.Unmarshal(p, &info); err != nil {
		return info, fmt.Errorf("%w: a run: %w", ErrProtocol, err)
	}
	if !restore.ValidRunID(info.ID) {
		return info, fmt.Errorf("%w: a run %q", ErrProtocol, info.ID)
	}
	return info, nil
}

// Runs tells of the runs of the other host, the oldest first.
func (p *Peer) Runs(ctx context.Context) ([]restore.RunInfo, error) {
	a, err := p.ask(ctx, methodRuns, 0, struct{}{})
	if err != nil {
		return nil, err
	}
	defer a.close()
	var out []restore.RunInfo
	for {
		kind, raw, err := a.next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		var x runsItem
		if kind != frameItem || len(out) == maxRuns {
			return nil, fmt.Errorf("%w: a list of runs that is none", ErrProtocol)
		}
		if err := Decode(raw, &x); err != nil {
			return nil, err
		}
		info, err := runInfo(x.Run)
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
}
