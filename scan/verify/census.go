package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"mailsync/manifest"
	"mailsync/scan"
)

// target is one mailbox to verify.
type target struct {
	name     string
	checked  int64 // oldest complete read that is recorded, unix seconds; 0 = never
	recorded int64 // messages
	bad      bool  // it could not be looked at; no later stage tries again
	packed   bool  // its files are compressed or encrypted: sizes in names say nothing about files
}

// census finds the mailboxes, and refuses a store that looks empty or half
// gone before anything is concluded from it.
func (v *Verification) census(ctx context.Context) error {
	var found []target
	for h, err := range v.s.Mailboxes(ctx) {
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !errors.Is(err, scan.ErrIncomplete) {
				return err
			}
			v.partial(err.Error())
			break
		}
		if v.wants(h.Name) {
			found = append(found, target{name: h.Name})
		}
	}
	var lost []string
	if v.o.Record != nil {
		var boxes, gone int64
		i := 0
		for h, err := range v.o.Record.Heads(ctx) {
			if err != nil {
				return fmt.Errorf("the record of the store: %w", err)
			}
			if !v.wants(h.Name) || !h.Gone.IsZero() {
				continue
			}
			boxes++
			for i < len(found) && manifest.CompareMailboxes(found[i].name, h.Name) < 0 {
				i++
			}
			if i < len(found) && found[i].name == h.Name {
				found[i].checked, found[i].recorded = h.Checked, h.Messages
				continue
			}
			gone++
			if len(lost) < maxPartials {
				lost = append(lost, h.Name)
			}
		}
		// The rule by which a scan keeps its record.
		if boxes > 0 && (len(found) == 0 || gone*2 >= boxes && gone > 1) {
			v.result.Refused = true
			v.partial(fmt.Sprintf("%s: of %d recorded mailboxes %d are not there (is everything mounted?)", scan.ErrHalfGone, boxes, gone))
			return nil
		}
		v.result.Partials += gone - int64(len(lost))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v.targets, v.lost = found, lost
	for _, name := range lost {
		v.partial(fmt.Sprintf("mailbox %q: %s", name, lostMailbox))
	}
	return nil
}

const lostMailbox = "it is recorded, and no mailbox is there any more"

// losses makes what is told of recorded mailboxes that are not there: they are
// unknown, for they may be gone with their disk.
func (v *Verification) losses() *outcome {
	o := &outcome{at: -1}
	for _, name := range v.lost {
		o.findings = append(o.findings, manifest.Finding{
			Store: v.s.Config().Name, Mailbox: name, Kind: manifest.Unreadable, Detail: lostMailbox,
		})
	}
	return o
}

func (v *Verification) wants(name string) bool { return v.o.Mailbox == nil || v.o.Mailbox(name) }

// order sorts the targets for a stage: as listings come, and in the last stage
// never-checked and oldest-checked first.
func (v *Verification) order(id StageID) {
	slices.SortFunc(v.targets, func(a, b target) int {
		if id == Rest {
			if c := cmp.Compare(a.checked, b.checked); c != 0 {
				return c
			}
		}
		return manifest.CompareMailboxes(a.name, b.name)
	})
}
