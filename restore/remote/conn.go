package remote

import (
	"context"
	"io"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// Pipe joins the two directions of a pipe, as those of a child process.
type Pipe struct {
	io.Reader
	io.Writer
	Closer func() error
}

// Close implements io.Closer.
func (p *Pipe) Close() error { return p.Closer() }

// meter counts what passes, and holds it back where it is more than is allowed
// in a second: both directions together.
type meter struct {
	io.ReadWriteCloser
	limit    *rate.Limiter // nil: none
	ctx      context.Context
	cancel   context.CancelFunc
	in, sent atomic.Int64
}

// slice is how much passes at once where the rate is limited.
const slice = 16 << 10

func newMeter(conn io.ReadWriteCloser, bytesPerSec int64) *meter {
	m := &meter{ReadWriteCloser: conn}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if bytesPerSec > 0 {
		m.limit = rate.NewLimiter(rate.Limit(bytesPerSec), slice)
	}
	return m
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	if m.limit != nil && len(p) > slice {
		p = p[:slice]
	}
	n, err := m.ReadWriteCloser.Read(p)
	m.in.Add(int64(n))
	if m.limit != nil && n > 0 {
		if werr := m.limit.WaitN(m.ctx, n); werr != nil && err == nil {
			err = io.ErrClosedPipe
		}
	}
	return n, err
}

// Write implements io.Writer.
func (m *meter) Write(p []byte) (n int, err error) {
	for len(p) > 0 || n == 0 {
		part := p
		if m.limit != nil {
			part = p[:min(len(p), slice)]
			if m.limit.WaitN(m.ctx, len(part)) != nil {
				return n, io.ErrClosedPipe
			}
		}
		k, err := m.ReadWriteCloser.Write(part)
		n += k
		m.sent.Add(int64(k))
		if err != nil {
			return n, err
		}
		if p = p[k:]; len(p) == 0 {
			break
		}
	}
	return n, nil
}

// Close implements io.Closer.
func (m *meter) Close() error {
	m.cancel()
	return m.ReadWriteCloser.Close()
}
