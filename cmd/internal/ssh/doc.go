// Package ssh runs mailsync against stores that it reaches through a real
// OpenSSH: a server of its own on the loopback address, with its own keys and
// configuration and a forced command, and the ssh of this host as its client.
//
// What lies between is cmd/internal/link: mostly the client's ProxyCommand, the
// test itself, which gives the way a delay and a rate, counts what passes, cuts
// it, and kills either side after so many bytes; for lost packets two network
// namespaces, which need root.
//
// The tests need ssh, sshd, ssh-keygen and flock(1), and have the build tag ssh:
//
//	go build -o bin/mailsync ./cmd/mailsync
//	go test -tags ssh ./cmd/internal/ssh
package ssh
