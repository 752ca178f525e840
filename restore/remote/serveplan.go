package remote

import (
	"bufio"
	"encoding/json"
	"fmt"
	"time"

	"mailsync/restore"
)

// write answers the methods of a Host that may be written into.
func (s *served) write(h Writable, r *reply, q *request, in *input) error {
	switch q.Method {
	case methodPlan:
		return s.plan(h, r, q.Body)
	case methodUndo:
		return s.undo(h, r, q.Body)
	case methodRuns:
		return s.runs(h, r)
	}
	return s.run(h, r, q.Body, in)
}

// plan makes a plan and sends it.
func (s *served) plan(h Writable, r *reply, body []byte) error {
	var q restoration
	if err := Decode(body, &q); err != nil {
		return err
	}
	x, err := q.received(s.p)
	if err != nil {
		return err
	}
	progress := new(restore.PlanProgress)
	made := make(chan struct{})
	told := make(chan error, 1)
	go func() { told <- r.planning(progress, made) }()
	plan, err := h.Plan(r.ctx, x, progress)
	close(made)
	if terr := <-told; err == nil && terr != nil {
		err = terr
	}
	if plan != nil {
		defer plan.Close()
	}
	if err != nil {
		return err
	}
	if err := r.sendPlan(plan.Plan); err != nil {
		return err
	}
	return r.sendValue(frameItem, planItem{Made: true, Matched: plan.Matched, Left: plan.Left})
}

// planning tells every half second how far a plan is, until it is made.
func (r *reply) planning(p *restore.PlanProgress, made <-chan struct{}) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-made:
			return nil
		case <-tick.C:
			if err := r.sendValue(frameItem, planItem{Messages: p.Messages.Load()}); err != nil {
				return err
			}
			if err := r.flush(); err != nil {
				return err
			}
		}
	}
}

// sendPlan sends a plan as data.
func (r *reply) sendPlan(plan *restore.Plan) error {
	pk := newPacker()
	defer pk.release()
	out := bufio.NewWriterSize(&data{f: r.frames, pack: pk.pack}, maxData)
	if _, err := plan.WriteTo(out); err != nil {
		return err
	}
	return out.Flush()
}

// undo plans the taking back of a run of this host and sends the plan.
func (s *served) undo(h Writable, r *reply, body []byte) error {
	var q Undo
	if err := Decode(body, &q); err != nil {
		return err
	}
	if !restore.ValidRunID(q.Run) {
		return fmt.Errorf("%w: %q", restore.ErrNoRun, q.Run)
	}
	plan, info, err := h.PlanUndo(r.ctx, &q)
	if err != nil {
		return err
	}
	defer plan.Close()
	if err := r.sendPlan(plan); err != nil {
		return err
	}
	p, err := json.Marshal(info)
	if err != nil {
		return err
	}
	return r.sendValue(frameItem, planItem{Made: true, Matched: true, Run: p})
}

// runs tells of the runs of this host.
func (s *served) runs(h Writable, r *reply) error {
	list, err := h.Runs(r.ctx)
	if err != nil {
		return err
	}
	for i := range list {
		p, err := json.Marshal(list[i])
		if err != nil {
			return err
		}
		if len(p) > maxRun {
			list[i].Args, list[i].Error = nil, clip(list[i].Error, 1000)
			if p, err = json.Marshal(list[i]); err != nil {
				return err
			}
		}
		if err := r.sendValue(frameItem, runsItem{Run: p}); err != nil {
			return err
		}
	}
	return nil
}

func clip(s string, n int) string { return s[:min(len(s), n)] }
