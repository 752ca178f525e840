package replay

import (
	"cmp"
	"context"
	"slices"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// bodyTier finds the archived message with the same Message-ID and body, where
// a list or a gateway rewrote From, Date or Subject.
func (l *look) bodyTier(ev *compare.Evidence) *class {
	if ev.Body.IsZero() {
		return nil
	}
	return l.byBody[ev.Body]
}

// noIDTier finds an archived message without Message-ID, to which the server
// may have added one.
func (l *look) noIDTier(ev *compare.Evidence) *class {
	if ev.NoID.IsZero() {
		return nil
	}
	return l.byNoID[ev.NoID]
}

// nearNoID nominates by time and size where the archived message has no
// Message-ID: the server may have added one at delivery, so that no header
// identity can nominate it.
func (l *look) nearNoID(e *manifest.Entry) bool {
	if len(l.noID) == 0 {
		return false
	}
	const skew = int64(15 * time.Minute)
	i, _ := slices.BinarySearchFunc(l.noID, e.MTime-skew, func(c *class, t int64) int { return cmp.Compare(c.items[0].arrival, t) })
	for ; i < len(l.noID); i++ {
		it := l.noID[i].items[0]
		if it.arrival > e.MTime+skew {
			return false
		}
		if e.Size >= it.size-it.size/8-64 && e.Size <= it.size+it.size/8+16<<10 {
			return true
		}
	}
	return false
}

// judge reads the candidates' bodies, each once.
func (l *look) judge() error {
	for _, c := range l.candidates {
		ev, err := l.r.o.Witness.Evidence(l.ctx, l.r.target, l.mailbox, &c.entry, compare.BodyIdentity)
		if err != nil {
			if l.ctx.Err() != nil {
				return context.Cause(l.ctx)
			}
			ev = compare.Evidence{Detail: err.Error()}
		}
		if !ev.Known {
			why := "an encrypted copy cannot be compared"
			if !c.entry.Opaque {
				why = "a copy cannot be read: " + ev.Detail
				l.r.unseen()
			}
			for _, k := range l.byHeader[c.entry.HeaderID] {
				k.unknown = why
			}
			continue
		}
		find := func(m map[manifest.Digest]*class, d manifest.Digest) *class {
			if d.IsZero() {
				return nil
			}
			return m[d]
		}
		for _, k := range []*class{find(l.byExact, ev.Exact), find(l.byDelivery, ev.Delivery), l.bodyTier(&ev), l.noIDTier(&ev)} {
			if k != nil {
				k.same = append(k.same, &c.entry)
				c.used = true
				break
			}
		}
		if c.used {
			continue
		}
		if k := find(l.byID, ev.ID); k != nil {
			// One altered copy explains every version of that Message-ID: which
			// one it came from, nobody can tell.
			for _, k := range l.byHeader[c.entry.HeaderID] {
				if k.items[0].id == ev.ID {
					k.altered = append(k.altered, &c.entry)
				}
			}
		}
	}
	return nil
}
