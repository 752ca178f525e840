package main

import (
	"context"
	"fmt"
	"iter"

	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/scan"
)

// unmounted compares the mailboxes that a live target has with those that are
// recorded, before anybody is said to have none: a volume may be missing. A
// store of which half is not there is refused, by the rule by which a scan keeps
// its record; one mailbox that is not there makes the run partial.
func (a *app) unmounted(ctx context.Context, target *side) (lost bool, err error) {
	if target.scanner == nil || target.recorded == nil {
		return false, nil
	}
	next, stop := iter.Pull2(target.scanner.Mailboxes(ctx))
	defer stop()
	live, err, more := next()
	var recorded, gone int64
	for h, rerr := range target.recorded.Mailboxes(ctx) {
		if rerr != nil {
			return false, a.storeProblem(target.store.Name, rerr)
		}
		for more && err == nil && manifest.CompareMailboxes(live.Name, h.Name) < 0 {
			live, err, more = next()
		}
		if err != nil {
			return false, a.storeProblem(target.store.Name, err)
		}
		recorded++
		if more && live.Name == h.Name {
			continue
		}
		gone++
		if gone <= manyLines {
			a.out.Record(ui.UnknownOf(target.store.Name, h.Name, "it is recorded, and no mailbox is there any more", h.Messages))
			a.out.Warn("%s is recorded, and not there: is everything mounted?", ui.Name(h.Name))
		}
	}
	if gone > 0 && (gone == recorded || gone*2 >= recorded && gone > 1) {
		return true, &ui.Problem{
			What: "store " + target.store.Name, Why: fmt.Errorf("%w: of %d recorded mailboxes %d are not there", scan.ErrHalfGone, recorded, gone),
			Code: exitPartial, Hint: "is everything mounted? Nothing was delivered",
		}
	}
	return gone > 0, nil
}
