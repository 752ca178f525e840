// Package ssh runs mailsync against stores that it reaches through a real
// OpenSSH: a server of its own on the loopback address, with its own keys and
// configuration and a forced command, and the ssh of this host as its client.
//
// The client's ProxyCommand is the test itself: a relay that gives the way a
// delay and a rate, counts what passes, and cuts it. So the link can be long,
// narrow and broken without rights over the network.
//
// The tests need ssh, sshd and ssh-keygen, and have the build tag ssh:
//
//	go build -o bin/mailsync ./cmd/mailsync
//	go test -tags ssh ./cmd/internal/ssh
package ssh
