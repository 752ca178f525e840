package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"mailsync/manifest/durable"
)

// A plan file is a sealed durable.Journal of kind "plan": a header, then for
// each mailbox its forecast and ground and its actions, then a trailer. Every
// record is checked before it is used; a file that is cut short has no seal.
const (
	planKind    = "plan"
	planVersion = 1
	planRecordX = durable.MaxRecordLimit // a UID list of a million lines is one action
)

const (
	planHead    byte = 1
	planBox     byte = 2
	planAction  byte = 3
	planTrailer byte = 4
)

func planOptions() durable.JournalOptions {
	return durable.JournalOptions{Kind: planKind, Version: planVersion, MaxRecord: planRecordX}
}

type planTail struct {
	Records  int64    `json:"records"`
	Forecast Forecast `json:"forecast"`
}

type boxRecord struct {
	Box    *MailboxForecast `json:"box"`
	Ground *boxGround       `json:"ground,omitempty"`
}

func encodePlan(rec *planRecord) ([]byte, error) {
	if rec.action != nil {
		e := encoder{b: make([]byte, 0, 256)}
		e.byte(planAction)
		e.action(rec.action)
		return e.b, nil
	}
	p, err := json.Marshal(boxRecord{rec.box, rec.ground})
	return append([]byte{planBox}, p...), err
}

func decodePlan(p []byte) (*planRecord, error) {
	if len(p) == 0 {
		return nil, errCodec
	}
	switch p[0] {
	case planAction:
		d := decoderOver(p[1:])
		a := new(Action)
		d.action(a)
		return &planRecord{action: a}, d.end()
	case planBox:
		var b boxRecord
		if err := json.Unmarshal(p[1:], &b); err != nil {
			return nil, fmt.Errorf("%w: %w", errCodec, err)
		}
		if b.Box == nil {
			return nil, errCodec
		}
		return &planRecord{box: b.Box, ground: b.Ground}, nil
	}
	return nil, errCodec
}

// Save writes the plan to a file, durably, replacing one that is there.
func (p *Plan) Save(path string) error {
	return savePlan(path, p.header, &p.forecast, p.store.records(context.Background()))
}

// SavePlan writes a plan of actions that were decided elsewhere (replay).
// Counts of the forecast are those of the actions.
func SavePlan(path string, h PlanHeader, actions iter.Seq2[Action, error]) error {
	h.ID = newRunID(h.Made)
	var f Forecast
	recs := func(yield func(*planRecord, error) bool) {
		var b MailboxForecast
		for a, err := range actions {
			if err != nil {
				yield(nil, err)
				return
			}
			if a.Ref.Mailbox != b.Mailbox {
				f.add(&b)
				b = MailboxForecast{Mailbox: a.Ref.Mailbox}
			}
			b.action(&a)
			if !yield(&planRecord{action: &a}, nil) {
				return
			}
		}
		f.add(&b)
	}
	return savePlan(path, h, &f, recs)
}

func savePlan(path string, h PlanHeader, f *Forecast, recs iter.Seq2[*planRecord, error]) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	temp := fmt.Sprintf("%s.%d.tmp", path, os.Getpid())
	if err := writePlan(temp, h, f, recs); err != nil {
		_ = os.Remove(temp)
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	return durable.SyncDir(nil, filepath.Dir(path))
}

func writePlan(path string, h PlanHeader, f *Forecast, recs iter.Seq2[*planRecord, error]) error {
	_ = os.Remove(path)
	j, err := durable.OpenJournal(path, planOptions())
	if err != nil {
		return err
	}
	err = fillPlan(j, h, f, recs)
	return errors.Join(err, j.Close())
}

func fillPlan(j *durable.Journal, h PlanHeader, f *Forecast, recs iter.Seq2[*planRecord, error]) error {
	p, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := j.Append(append([]byte{planHead}, p...)); err != nil {
		return err
	}
	tail := planTail{}
	var group [][]byte
	size := 0
	for rec, err := range recs {
		if err != nil {
			return err
		}
		p, err := encodePlan(rec)
		if err != nil {
			return err
		}
		tail.Records++
		group = append(group, p)
		if size += len(p); size > 256<<10 {
			if err := j.Append(group...); err != nil {
				return err
			}
			group, size = group[:0], 0
		}
	}
	tail.Forecast = *f
	if p, err = json.Marshal(tail); err != nil {
		return err
	}
	return j.Append(append(group, append([]byte{planTrailer}, p...))...)
}

// LoadPlan opens a plan that Save or SavePlan has written and checks all of
// it: ErrPlan, ErrNewer.
func LoadPlan(path string) (*Plan, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	return loadPlan(planFile{path: path, name: path})
}

func loadPlan(file planFile) (*Plan, error) {
	p := &Plan{store: file, strict: true}
	head, tail := false, (*planTail)(nil)
	n := int64(0)
	var end durable.Tail
	for rec, err := range durable.Recover(file.path, planOptions(), &end) {
		if err != nil {
			return nil, planError(file.name, err)
		}
		switch {
		case len(rec.Data) == 0 || head == (rec.Data[0] == planHead) || tail != nil:
			return nil, fmt.Errorf("%w: %s: record %d is out of place", ErrPlan, file.name, rec.Seq)
		case !head:
			head = true
			err = json.Unmarshal(rec.Data[1:], &p.header)
		case rec.Data[0] == planTrailer:
			tail = new(planTail)
			err = json.Unmarshal(rec.Data[1:], tail)
		default:
			n++
			_, err = decodePlan(rec.Data)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: record %d: %w", ErrPlan, file.name, rec.Seq, err)
		}
	}
	if tail == nil || !end.Sealed || end.Torn > 0 || tail.Records != n {
		return nil, fmt.Errorf("%w: %s: it is cut short, or something was written behind its end", ErrPlan, file.name)
	}
	p.forecast = tail.Forecast
	return p, nil
}

func planError(path string, err error) error {
	switch {
	case errors.Is(err, durable.ErrNewer):
		return fmt.Errorf("%w: plan %s", ErrNewer, path)
	case errors.Is(err, durable.ErrCorrupt):
		return fmt.Errorf("%w: %s: %w", ErrPlan, path, err)
	case errors.Is(err, fs.ErrNotExist):
		return err
	}
	return fmt.Errorf("plan %s: %w", path, err)
}

// planFile is the store of a loaded plan.
type planFile struct {
	path string // under which it can be opened
	name string // in errors
}

func (f planFile) close() error { return nil }

func (f planFile) records(ctx context.Context) iter.Seq2[*planRecord, error] {
	return func(yield func(*planRecord, error) bool) {
		whole := false
		for rec, err := range durable.Recover(f.path, planOptions(), nil) {
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			} else if err != nil {
				err = planError(f.name, err)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if len(rec.Data) > 0 && rec.Data[0] == planHead {
				continue
			}
			if len(rec.Data) > 0 && rec.Data[0] == planTrailer {
				whole = true
				continue
			}
			x, err := decodePlan(rec.Data)
			if err != nil {
				yield(nil, fmt.Errorf("%w: %s: %w", ErrPlan, f.name, err))
				return
			}
			if !yield(x, nil) {
				return
			}
		}
		if !whole {
			yield(nil, fmt.Errorf("%w: %s: it changed while it was read", ErrPlan, f.name))
		}
	}
}
