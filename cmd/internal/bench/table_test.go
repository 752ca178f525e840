package main

import "testing"

// A machine that is twice as slow in one repetition changes no pairwise ratio.
func TestPairwiseRatiosOutliveADriftingMachine(t *testing.T) {
	t.Parallel()
	runs := func(walls ...float64) (list []measured) {
		for i, w := range walls {
			list = append(list, measured{Rep: i, Wall: w})
		}
		return list
	}
	subject, other := runs(1, 10, 1), runs(2, 20, 2)
	if got := pairwise(subject, other); got != 2 {
		t.Errorf("%v times as fast, want 2", got)
	}
	if got := pairwise(subject, other[1:2]); got != 2 {
		t.Errorf("one repetition in common: %v, want 2", got)
	}
	other[0].Rep, other[1].Rep, other[2].Rep = 7, 8, 9
	if got := pairwise(subject, other); got != 0 {
		t.Errorf("no repetition in common: %v, want 0", got)
	}
	for i := range subject {
		subject[i].Units, other[i].Units, other[i].Rep = 300, 100, i
	}
	if got := pairwise(subject, other); got != 6 {
		t.Errorf("three times the messages in half the time: %v, want 6", got)
	}
}
