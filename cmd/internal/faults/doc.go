// Package faults lets the system calls of the built mailsync fail, one at a
// time, and kills it in the middle of them.
//
// strace shows which calls a command makes on a small store, and then makes
// them fail, one run for each distinct call, role and moment: EIO, ENOSPC,
// EACCES, or SIGKILL. In every run the program must end in time, must not
// panic or call itself a bug, and must not claim success for what it has not
// done; afterwards the same command without the fault must end in the right
// state, with nothing lost and nothing doubled.
//
// The tests need strace and have the build tag faults:
//
//	go build -o bin/mailsync ./cmd/mailsync
//	go test -tags faults ./cmd/internal/faults
package faults
