package manifest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, n := range []int{0, 1, 2, 50, 3000} {
		mb, list := sample("anna", n, 7)
		gone := sampleAbsences(list[:n/2])
		data := encode(t, mb, list, gone)
		got, entries, absences, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(mb, got); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(list, entries); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(gone, absences); d != "" {
			t.Error(d)
		}
	}
}
