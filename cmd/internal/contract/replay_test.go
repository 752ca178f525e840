package contract

import (
	"os"

	"mailsync/cmd/internal/sample"
)

// archive writes what the gateway kept as an mbox and returns its path as an
// argument.
func (l *lab) archive(name string, want func(*sample.Message) bool) string {
	l.t.Helper()
	return l.mbox(name, l.e.Gateway(want))
}

func (l *lab) mbox(name string, mail []sample.Archived) string {
	l.t.Helper()
	f, err := os.Create(l.path(name))
	l.must(err)
	l.must(sample.WriteMbox(f, mail))
	l.must(f.Close())
	return "./" + name
}
