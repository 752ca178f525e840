package compare

import "iter"

// aheadBy is how many mailboxes a listing may be ahead of the comparison.
const aheadBy = 256

// puller makes a listing one that is asked for each mailbox.
type puller = func(iter.Seq2[Head, error]) (next func() (Head, error, bool), stop func())

// ahead is iter.Pull2 of a listing that meanwhile goes on by itself: the stamps
// of one store need not wait for those of another. next and stop are for one
// goroutine. When stop returns the listing has ended.
func ahead(list iter.Seq2[Head, error]) (next func() (Head, error, bool), stop func()) {
	type item struct {
		head Head
		err  error
	}
	items := make(chan item, aheadBy)
	quit := make(chan struct{})
	go func() {
		defer close(items)
		for h, err := range list {
			select {
			case items <- item{h, err}:
			case <-quit:
				return
			}
		}
	}()
	next = func() (Head, error, bool) {
		i, ok := <-items
		return i.head, i.err, ok
	}
	stop = func() {
		close(quit)
		for range items { // until it has ended
		}
	}
	return next, stop
}
