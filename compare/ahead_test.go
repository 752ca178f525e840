package compare

import (
	"errors"
	"fmt"
	"testing"
)

func TestListingAhead(t *testing.T) {
	broken := errors.New("broken")
	ended := false
	list := func(n int) func(func(Head, error) bool) {
		return func(yield func(Head, error) bool) {
			ended = false
			defer func() { ended = true }()
			for i := range n {
				if !yield(Head{Name: fmt.Sprint(i)}, nil) {
					return
				}
			}
			yield(Head{}, broken)
		}
	}
	next, stop := ahead(list(3 * aheadBy))
	for i := range 3 * aheadBy {
		if h, err, ok := next(); h.Name != fmt.Sprint(i) || err != nil || !ok {
			t.Fatalf("mailbox %d: %q, %v, %v", i, h.Name, err, ok)
		}
	}
	if _, err, ok := next(); !errors.Is(err, broken) || !ok {
		t.Errorf("its error came as %v, %v", err, ok)
	}
	if _, _, ok := next(); ok {
		t.Error("it goes on after its end")
	}
	stop()

	next, stop = ahead(list(3 * aheadBy)) // more than it may be ahead by
	if h, _, _ := next(); h.Name != "0" {
		t.Errorf("it begins with %q", h.Name)
	}
	stop()
	if !ended {
		t.Error("the listing goes on after stop")
	}
}
