// Package ssh runs mailsync against stores that it reaches through a real
// OpenSSH: a server of its own on the loopback address, with its own keys and
// configuration and a forced command, and the ssh of this host as its client.
//
// The client's ProxyCommand is the test itself: a relay that gives the way a
// delay and a rate, counts what passes, and cuts it. So the link can be long,
// narrow and broken without rights over the network. It also kills either side
// after so many bytes.
//
// The tests need ssh, sshd, ssh-keygen and flock(1), and have the build tag ssh:
//
//	go build -o bin/mailsync ./cmd/mailsync
//	go test -tags ssh ./cmd/internal/ssh
package ssh
