// Command bench measures the built mailsync beside its peers and beside the
// machine's limits, on the same data and in the same run.
//
//	go build -o bin/mailsync ./cmd/mailsync
//	go run ./cmd/internal/bench -bin bin/mailsync            # everything
//	go run ./cmd/internal/bench -bin bin/mailsync -suite scan,unchanged -n 5
//	go run ./cmd/internal/bench -bin bin/mailsync -quick     # small, a few minutes
//
// A suite is a list of commands. Every repetition runs each of them once, and
// the order turns from repetition to repetition, so that drift of the machine
// hits all alike. Whole processes are timed. The tables give medians, the
// spread, the peak memory of the largest process, and the ratio to mailsync:
// trust the ratios within one table, not absolutes across machines.
//
// The limits are bare programs of this package: reading and hashing and
// nothing else, or the durable sequence of system calls and nothing else. They
// share no code with the product.
//
// Peers that are not installed are left out and named. Cold runs, loop-mounted
// file systems and Dovecot need root.
package main
