// Package faults lets the system calls of the built mailsync fail, one at a
// time, and kills it in the middle of them.
//
// A Scene is a command on a small store, and what must be true after it,
// whatever has failed in it: nothing claimed that is not done, nothing lost or
// doubled, and the same command without the fault ends in the right state. The
// scenes are run twice over. In the process of cmd/mailsync's tests every call
// fails in every way (restore/place/faulty). Here strace shows which calls the
// built program makes, and then makes them fail, one run for each distinct call
// and role of a path: EIO, ENOSPC, EDQUOT, EACCES, EINTR, or SIGKILL. In every
// run the program must end in time, and must not panic or call itself a bug.
//
// The tests need strace and have the build tag faults:
//
//	go build -o bin/mailsync ./cmd/mailsync
//	go test -tags faults ./cmd/internal/faults
package faults
