// Package link is what lies between two hosts, for tests and benchmarks: a way
// with a delay, a rate and loss, and an OpenSSH server at its far end, with
// keys and a configuration of its own.
//
// A Wire is two network namespaces whose only devices are joined here, packet
// by packet: what the kernel's netem does, for kernels that have none. TCP runs
// over it as over any other way, and answers a loss as it does there. It needs
// root and /dev/net/tun.
//
// A Relay needs no rights: it is the ProxyCommand of an ssh, and carries bytes
// instead of packets. It can break the way, or kill either end, after so many
// bytes. Loss over TCP is a stall of everything behind it, and that is what a
// relay can do.
package link
