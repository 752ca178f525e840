package remote

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A limited link takes as long as its rate says, both directions together, and
// whoever waits for it is let go when it is closed.
func TestLimitNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, size = 100_000, 1_000_000
		var sent bytes.Buffer
		m := newMeter(&Pipe{Reader: bytes.NewReader(make([]byte, size)), Writer: &sent, Closer: func() error { return nil }}, rate)
		began := time.Now()
		both := make(chan error, 2)
		go func() {
			_, err := io.Copy(io.Discard, m)
			both <- err
		}()
		go func() {
			_, err := m.Write(make([]byte, size))
			both <- err
		}()
		if err := errors.Join(<-both, <-both); err != nil {
			t.Fatal(err)
		}
		// One slice is free: the limiter begins with it.
		least := time.Duration(2*size-slice) * time.Second / rate
		if took := time.Since(began); took < least || took > least+least/100 {
			t.Errorf("%d bytes took %s, at %d a second that is %s", 2*size, took, rate, least)
		}
		if sent.Len() != size || m.in.Load() != size || m.sent.Load() != size {
			t.Errorf("%d bytes passed; counted %d in, %d out", sent.Len(), m.in.Load(), m.sent.Load())
		}
		go func() {
			_, err := m.Write(make([]byte, size))
			both <- err
		}()
		synctest.Wait()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := <-both; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("a write that waited: %v", err)
		}
	})
}
