package remote_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/yamux"

	"mailsync/compare/comparetest"
	"mailsync/restore/remote"
)

// What serves says who it is, even to a caller that hangs up at once.
func TestServeGreetsFirst(t *testing.T) {
	for range 100 {
		var said bytes.Buffer
		conn := &remote.Pipe{Reader: strings.NewReader(""), Writer: &said, Closer: func() error { return nil }}
		err := remote.Serve(t.Context(), conn, remote.Options{Program: "test"})
		if !errors.Is(err, remote.ErrLost) || said.String() != "mailsync 1-1 test serve\n" {
			t.Fatalf("%q, %v", said.String(), err)
		}
	}
}

// ownTime runs a test in a bubble of its own time, in a process of its own: the
// multiplexer keeps timers for the next connection, and no timer may go from one
// bubble into another. A goroutine that is left behind fails the test.
func ownTime(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	const alone = "REMOTE_TEST_ALONE"
	if os.Getenv(alone) == t.Name() {
		synctest.Test(t, f)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	c.Env = append(os.Environ(), alone+"="+t.Name())
	out, err := c.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
}

// joined joins two ends by a pipe without a buffer, in a bubble of its own time.
func joined(t *testing.T, call, serve remote.Options) (p *remote.Peer, served <-chan error) {
	t.Helper()
	here, there := net.Pipe()
	call.Program, serve.Program = "test", "test"
	end := make(chan error, 1)
	go func() { end <- remote.Serve(context.Background(), there, serve) }()
	p, err := remote.Connect(context.Background(), here, call)
	if err != nil {
		t.Fatal(err)
	}
	return p, end
}

// silent is a peer that says one line, which may be none, and then neither
// reads nor writes.
func silent(first string) net.Conn {
	here, there := net.Pipe()
	go func() {
		_, _ = bufio.NewReader(there).ReadString('\n')
		_, _ = io.WriteString(there, first)
	}()
	return here
}

// A caller that never says who it is does not keep the serving end.
func TestNoGreeting(t *testing.T) {
	ownTime(t, func(t *testing.T) {
		err := remote.Serve(context.Background(), silent(""), remote.Options{Program: "test"})
		if !errors.Is(err, remote.ErrLost) {
			t.Error(err)
		}
	})
}

// A caller that has fallen silent is gone, and nothing waits for it.
func TestSilentCaller(t *testing.T) {
	ownTime(t, func(t *testing.T) {
		if err := remote.Serve(context.Background(), silent("mailsync 1-1 test call\n"), remote.Options{Program: "test"}); err != nil {
			t.Error(err)
		}
	})
}

// A serving end that has fallen silent is lost, and nothing waits for it.
func TestSilentHost(t *testing.T) {
	ownTime(t, func(t *testing.T) {
		p, err := remote.Connect(context.Background(), silent("mailsync 1-1 test serve\n"), remote.Options{Program: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Open(context.Background(), remote.Spec{Name: "b", Path: "/b"}); !errors.Is(err, remote.ErrLost) {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// pinging is a serving end that keeps the connection alive, takes requests, and
// answers none.
func pinging(t *testing.T) net.Conn {
	here, there := net.Pipe()
	go func() {
		_, _ = bufio.NewReader(io.LimitReader(there, int64(len("mailsync 1-1 test call\n")))).ReadString('\n')
		_, _ = io.WriteString(there, "mailsync 1-1 test serve\n")
		c := quiet()
		c.ConnectionWriteTimeout = time.Minute
		s, err := yamux.Server(there, c)
		if err != nil {
			t.Error(err)
			return
		}
		for {
			stream, err := s.AcceptStream()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, stream) }()
		}
	}()
	return here
}

// A serving end that answers pings and no request is lost, whatever it is asked.
func TestHostThatOnlyPings(t *testing.T) {
	ownTime(t, func(t *testing.T) {
		p, err := remote.Connect(context.Background(), pinging(t), remote.Options{Program: "test"})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := p.Open(context.Background(), remote.Spec{Name: "b", Path: "/b"}); !errors.Is(err, remote.ErrLost) {
			t.Error(err)
		}
		if _, err := p.Do(context.Background(), "x", nil, func([]byte) error { return nil }); !errors.Is(err, remote.ErrLost) {
			t.Error(err)
		}
		if took := time.Since(began); took > 3*time.Minute {
			t.Errorf("given up after %s", took)
		}
		// A caller that is ended does not wait for that.
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, errOdd)
		defer cancel()
		began = time.Now()
		if _, err := p.Do(ctx, "x", nil, nil); !errors.Is(err, errOdd) || time.Since(began) > 2*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A host that needs long to open a store says that it is at work, and is waited
// for.
func TestSlowHost(t *testing.T) {
	ownTime(t, func(t *testing.T) {
		h := &host{stores: map[string]*comparetest.Store{"/b": comparetest.New("b")}, slow: 3 * time.Hour}
		p, served := joined(t, remote.Options{}, remote.Options{Host: h})
		if _, err := p.Open(context.Background(), remote.Spec{Name: "b", Path: "/b"}); err != nil {
			t.Error(err)
		}
		if err := errors.Join(p.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
}

// No more stores are opened than may be open, also where all are asked for at
// once.
func TestManyStores(t *testing.T) {
	ownTime(t, func(t *testing.T) {
		h := &host{stores: map[string]*comparetest.Store{"/b": comparetest.New("b")}, slow: time.Minute}
		p, served := joined(t, remote.Options{}, remote.Options{Host: h})
		ends := make(chan error)
		for range 100 {
			go func() {
				_, err := p.Open(context.Background(), remote.Spec{Name: "b", Path: "/b"})
				ends <- err
			}()
		}
		open, refused := 0, 0
		for range 100 {
			switch err := <-ends; {
			case err == nil:
				open++
			case errors.Is(err, remote.ErrRefused):
				refused++
			default:
				t.Error(err)
			}
		}
		if open != 64 || refused != 36 || h.opened != 64 {
			t.Errorf("%d are open, %d refused, %d were opened", open, refused, h.opened)
		}
		if err := errors.Join(p.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
}

// More requests than are answered at once wait for their turn, however long
// that is.
func TestRequestsWaitForTheirTurn(t *testing.T) {
	ownTime(t, func(t *testing.T) {
		h := &host{run: func(ctx context.Context, _ *remote.Task) ([]byte, error) {
			time.Sleep(10 * time.Minute)
			return []byte("done"), ctx.Err()
		}}
		p, served := joined(t, remote.Options{}, remote.Options{Host: h})
		ends := make(chan error)
		const many = 300
		for range many {
			go func() {
				_, err := p.Do(context.Background(), "x", nil, func([]byte) error { return nil })
				ends <- err
			}()
		}
		for range many {
			if err := <-ends; err != nil {
				t.Error(err)
			}
		}
		if err := errors.Join(p.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
}
