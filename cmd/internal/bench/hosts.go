package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"mailsync/cmd/internal/link"
)

// longLink is the way of the link suite: 20 ms there and back, 100 Mbit/s.
var longLink = link.Way{Delay: 10 * time.Millisecond, Rate: 12_500_000}

// hosts are two hosts with a long link between them, and a real OpenSSH. The
// far one's mailsync and its rsync are reached by keys of their own.
type hosts struct {
	b      *bench
	wire   *link.Wire // nil: a relay takes its place
	server *link.Server
	dir    string
	state  string   // of mailsync on the far host
	ssh    []string // to mailsync there
	shell  []string // to a shell there
}

const farHost = "spare1"

// newHosts makes them. The far one keeps its records under a name.
func (b *bench) newHosts(name string) (*hosts, error) {
	for _, p := range link.Programs {
		if _, err := link.Look(p); err != nil {
			return nil, fmt.Errorf("%w: %w", errSkipped, err)
		}
	}
	h := &hosts{b: b, state: b.path("state-link-far-" + name)}
	var err error
	if h.dir, err = os.MkdirTemp("", "bench-link"); err != nil {
		return nil, err
	}
	o := link.ServerOptions{Dir: h.dir, Keys: []string{
		fmt.Sprintf(`command="env MAILSYNC_STATE=%s MAILSYNC_CONFIG=%s %s serve --stdio",restrict`, h.state, os.DevNull, b.bin),
		`restrict`,
	}}
	h.wire, err = link.NewWire(longLink)
	switch {
	case errors.Is(err, link.ErrNoWire):
		h.wire = nil
		fmt.Printf("over a relay of bytes: %v\n\n", err)
	case err != nil:
		return nil, err
	default:
		fmt.Println("over two network namespaces; packets are delayed, paced and counted between them, IP headers and all (netem's work, without netem)")
		fmt.Println()
		o.On, o.Address, o.Probe = h.wire.Far(), link.FarAddr, h.wire.Near()
	}
	if h.server, err = link.Start(o); err != nil {
		h.close()
		return nil, err
	}
	if h.ssh, err = h.client(0); err == nil {
		h.shell, err = h.client(1)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// client returns the words that reach the far host with a key.
func (h *hosts) client(key int) ([]string, error) {
	var proxy []string
	if h.wire == nil {
		r := link.Relay{Delay: longLink.Delay, Rate: longLink.Rate, Count: h.count()}
		proxy = append([]string{h.b.self, "relay"}, r.Args(h.server.Addr)...)
	}
	words, err := h.server.Client(farHost, key, proxy)
	if err == nil && h.wire != nil {
		words = append(h.wire.Near(), words...)
	}
	return words, err
}

func (h *hosts) close() {
	if h.server != nil {
		h.server.Close()
	}
	if h.wire != nil {
		h.wire.Close()
	}
	_ = os.RemoveAll(h.dir)
}

// far is a path of the far host.
func (h *hosts) far(path string) string { return farHost + ":" + path }

// mailsync is a command of the near host.
func (h *hosts) mailsync(args ...string) []string {
	return h.b.mailsync(append(args, "--ssh", strings.Join(h.ssh, " "))...)
}

// rsync is one, too.
func (h *hosts) rsync(args string) []string {
	return []string{"rsync -e '" + strings.Join(h.shell, " ") + "' " + args + " >/dev/null"}
}

func (h *hosts) count() string { return h.dir + "/count" }

// quiet waits until nothing passes any more, and tells how much has.
func (h *hosts) quiet() (bytes int64) {
	last := int64(-1)
	for {
		switch {
		case h.wire != nil:
			in, out := h.wire.Bytes()
			bytes = in + out
		default:
			var in, out int64
			p, _ := os.ReadFile(h.count())
			_, _ = fmt.Sscan(string(p), &in, &out)
			bytes = in + out
		}
		if bytes == last {
			return bytes
		}
		last = bytes
		time.Sleep(150 * time.Millisecond)
	}
}

// counted has a job remember how much it moved over the link, both ways.
func (h *hosts) counted(j job, moved map[string][]int64) job {
	before, after := j.before, j.after
	var start int64
	j.before = func(rep int) error {
		if before != nil {
			if err := before(rep); err != nil {
				return err
			}
		}
		if h.wire == nil { // each connection counts for itself
			return os.WriteFile(h.count(), nil, 0o600)
		}
		start = h.quiet()
		return nil
	}
	j.after = func(rep int, m *measured) error {
		m.Bytes = h.quiet() - start
		moved[j.name] = append(moved[j.name], m.Bytes)
		if after != nil {
			return after(rep, m)
		}
		return nil
	}
	return j
}
