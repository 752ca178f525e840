package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mailsync/compare"
	"mailsync/compare/comparetest"
	"mailsync/restore"
	"mailsync/restore/remote"
)

// host serves fake stores by their paths.
type host struct {
	stores map[string]*comparetest.Store
	mail   map[string][]byte // messages by file name
	run    func(ctx context.Context, t *remote.Task) ([]byte, error)

	slow time.Duration // how long it takes to open a store

	mu     sync.Mutex
	opened int
	closed int
}

func (h *host) OpenStore(_ context.Context, s remote.Spec) (*remote.Served, error) {
	h.mu.Lock()
	h.opened++
	h.mu.Unlock()
	time.Sleep(h.slow)
	st := h.stores[s.Path]
	if st == nil {
		return nil, fmt.Errorf("%w: %s", remote.ErrRefused, s.Path)
	}
	return &remote.Served{Source: st, Witness: st, Messages: h, Close: func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.closed++
		return nil
	}}, nil
}

func (h *host) Run(ctx context.Context, t *remote.Task) ([]byte, error) { return h.run(ctx, t) }

// Open implements restore.Source.
func (h *host) Open(_ context.Context, a *restore.Action) (io.ReadCloser, error) {
	p, ok := h.mail[string(a.FromName)]
	if !ok {
		return nil, fmt.Errorf("message %q: %w", a.FromName, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(p)), nil
}

// SmallFile implements restore.SmallFiles.
func (h *host) SmallFile(_ context.Context, _ *restore.Action, name string) ([]byte, error) {
	p, ok := h.mail[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return p, nil
}

func spillIn(t testing.TB) func() (compare.Spill, error) {
	dir := t.TempDir()
	return func() (compare.Spill, error) { return os.CreateTemp(dir, "spill") }
}

// pair joins two ends by a socket pair, and ends both with the test.
func pair(t testing.TB, call, serve remote.Options) *remote.Peer {
	t.Helper()
	here, there := sockets(t)
	if serve.Spill == nil {
		serve.Spill = spillIn(t)
	}
	call.Program, serve.Program = "test", "test"
	served := make(chan error, 1)
	go func() { served <- remote.Serve(context.Background(), there, serve) }()
	p, err := remote.Connect(t.Context(), here, call)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Errorf("the serving end: %v", err)
		}
	})
	return p
}

// sockets returns the two ends of a connected pair of sockets.
func sockets(t testing.TB) (here, there net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if here, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if there, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}

func open(t testing.TB, p *remote.Peer, name, path string) *remote.Store {
	t.Helper()
	s, err := p.Open(t.Context(), remote.Spec{Name: name, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var errOdd = errors.New("something of no class")
