package lmtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// ErrTarget reports an address that is neither a socket nor a host and a port.
var ErrTarget = errors.New("bad LMTP address")

// ErrUnreachable reports a server that cannot be reached, or not any more.
var ErrUnreachable = errors.New("the LMTP server cannot be reached")

// Target is the address of a server.
type Target struct {
	network, address string
}

// ParseTarget reads "/path/to/socket", "unix:/path/to/socket" or "host:port";
// an IPv6 address stands in brackets. Errors wrap ErrTarget.
func ParseTarget(s string) (Target, error) {
	if p := strings.TrimPrefix(s, "unix:"); strings.HasPrefix(p, "/") {
		return Target{"unix", p}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return Target{}, fmt.Errorf("%w %q: /path/to/socket or host:port is needed", ErrTarget, s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Target{}, fmt.Errorf("%w %q: the port must be a number", ErrTarget, s)
	}
	return Target{"tcp", s}, nil
}

// String is the address as dialled.
func (t Target) String() string { return t.address }

// dial connects.
func (t Target) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: 20 * time.Second}
	return d.DialContext(ctx, t.network, t.address)
}
