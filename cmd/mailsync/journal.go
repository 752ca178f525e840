package main

import (
	"fmt"
	"os"
	"syscall"

	"mailsync/cmd/mailsync/ui"
)

// underJournal tells whether a file is the stream to the system's journal that
// systemd opened for this process: $JOURNAL_STREAM names its device and inode
// (systemd.exec(5)). A file to which the process was redirected since is none.
func underJournal(f *os.File, getenv func(string) string) bool {
	stream := getenv("JOURNAL_STREAM")
	if stream == "" {
		return false
	}
	st, err := f.Stat()
	if err != nil {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", sys.Dev, sys.Ino)
}

// toJournal tells whether standard error is written for a journal: --journal,
// else where it goes.
func (a *app) toJournal() bool {
	return a.flags.journal == ui.Always || a.flags.journal == ui.Auto && a.std.journal
}
