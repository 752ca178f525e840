// Package hostile attacks the built mailsync: trees in which users have
// planted links, pipes, devices and names, records, journals, plans and
// configurations with bytes flipped or cut off, archives that want to escape
// or to fill the memory.
//
// Every attack has an expected set of exit codes. In all of them the program
// must end in time, must not panic, must keep its JSON and its summary whole,
// must not print a control character, and must leave everything outside the
// store as it was: a secret that lies there may not turn up in any output,
// record, copy or digest.
//
// The tests need no root; as root they do more (devices, foreign owners,
// mounts). They have the build tag hostile:
//
//	go build -o bin/mailsync ./cmd/mailsync
//	go test -tags hostile ./cmd/internal/hostile
package hostile
