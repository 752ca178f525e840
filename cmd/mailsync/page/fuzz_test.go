package page

import (
	"io"
	"strings"
	"testing"
)

// FuzzRead: whatever a log holds, the page is made or the log refused, and
// nothing of it becomes markup.
func FuzzRead(f *testing.F) {
	f.Add(finding1 + "\n")
	f.Add(`{"v":1,"type":"hour","hour":"2026-11-22T01:00:00Z","archived":1}` + "\n" + `{"v":1,"type":"summary","command":"audit","exit":1,"counts":{}}` + "\n")
	f.Add(`{"v":1,"type":"finding","store":"<script>fuzz","mailbox":"a","kind":"empty"}` + "\n")
	f.Add("\x00\xff")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		p, err := r.HTML("fuzz")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(p), "<script>fuzz") {
			t.Fatal("a name became markup")
		}
		if err := r.Text(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}
