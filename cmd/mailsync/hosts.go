package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/restore/archive"
	"mailsync/restore/remote"
	"mailsync/scan"
)

// This file reaches other hosts: by the operator's own ssh, which knows their
// keys, agents and jump hosts.

// errorClasses are errors of rooms that restore/remote does not know; they keep
// their meaning, and so their exit code, over the wire.
var errorClasses = []remote.Class{
	{Name: "no_store", Err: scan.ErrNoStore},
	{Name: "scan_config", Err: scan.ErrConfig},
	{Name: "scan_other_filesystem", Err: scan.ErrOtherFilesystem},
	{Name: "half_gone", Err: scan.ErrHalfGone},
	{Name: "incomplete", Err: scan.ErrIncomplete},
	{Name: "newer", Err: manifest.ErrNewer},
	{Name: "no_archive", Err: archive.ErrNoInput},
}

// hosts are the connections of one run: one a host, whatever the number of its
// stores.
type hosts struct {
	mu   sync.Mutex
	list map[string]*farHost
}

// farHost is a connection that was asked for.
type farHost struct {
	once   sync.Once
	peer   *remote.Peer
	err    error
	cmd    *exec.Cmd
	talked chan struct{} // its standard error has ended
}

// peer returns the connection to a host.
func (a *app) peer(ctx context.Context, host string) (*remote.Peer, error) {
	a.hosts.mu.Lock()
	if a.hosts.list == nil {
		a.hosts.list = map[string]*farHost{}
	}
	h := a.hosts.list[host]
	if h == nil {
		h = &farHost{}
		a.hosts.list[host] = h
	}
	a.hosts.mu.Unlock()
	h.once.Do(func() { h.err = h.connect(ctx, a, host) })
	return h.peer, h.err
}

// sshCommand is how a host is reached, without the host.
func (a *app) sshCommand() []string {
	words := slices.Clone(a.cfg.SSH)
	if a.flags.ssh != "" {
		words = config.Words{a.flags.ssh}
	}
	if len(words) == 1 {
		words = strings.Fields(words[0])
	}
	if len(words) == 0 {
		return []string{"ssh"}
	}
	return words
}

// connect starts ssh and greets what answers.
func (h *farHost) connect(ctx context.Context, a *app, host string) error {
	words := append(a.sshCommand(), host, "mailsync serve --stdio")
	h.cmd = exec.Command(words[0], words[1:]...)
	in, err := h.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	complaints, err := h.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := h.cmd.Start(); err != nil {
		return &ui.Problem{What: "host " + host, Why: err, Code: exitUnavailable, Hint: "--ssh CMD and ssh_command name the program that reaches other hosts"}
	}
	said := &complaint{a: a, host: host}
	h.talked = make(chan struct{})
	go func() {
		defer close(h.talked)
		said.read(complaints)
	}()
	network := a.cfg.Network
	if a.flags.limitNetwork > 0 {
		network = a.flags.limitNetwork
	}
	pipe := &remote.Pipe{Reader: out, Writer: in, Closer: func() error { return errors.Join(in.Close(), out.Close()) }}
	first, cancel := context.WithTimeoutCause(ctx, greeting, fmt.Errorf("%w: no answer within %s", remote.ErrLost, ui.Duration(greeting)))
	defer cancel()
	h.peer, err = remote.Connect(first, pipe, remote.Options{
		Program: strings.ReplaceAll(buildInfo().Version, " ", "_"), Name: host, BytesPerSec: int64(network), Classes: errorClasses, Spill: spill,
	})
	if err == nil {
		said.forward()
		return nil
	}
	h.wait()
	if cancelled(ctx) != nil {
		return context.Cause(ctx)
	}
	return unreachable(host, err, said.last())
}

// unreachable says why a host cannot be talked to, and what to try.
func unreachable(host string, err error, said string) error {
	p := &ui.Problem{What: "host " + host, Why: err, Code: exitUnavailable, Hint: "does this work by hand: ssh " + host + " mailsync version"}
	if said != "" {
		p.Why = fmt.Errorf("%w: %s", err, said)
	}
	if errors.Is(err, remote.ErrVersion) {
		p.Hint = "install the same mailsync on both hosts"
	}
	return p
}

// wait ends the child. It has lost its standard input by then, which ends it;
// if not, it is made to end.
func (h *farHost) wait() {
	select {
	case <-h.talked:
	case <-time.After(lastWord):
		_ = h.cmd.Process.Kill()
	}
	_ = h.cmd.Wait() // closes what it had to say
	<-h.talked
}

// lastWord is how long a child may take to end; greeting, how long it may take
// to answer: somebody may have to type a password first.
const (
	lastWord = 5 * time.Second
	greeting = 2 * time.Minute
)

// closeHosts hangs up everywhere.
func (a *app) closeHosts() {
	a.hosts.mu.Lock()
	defer a.hosts.mu.Unlock()
	for _, h := range a.hosts.list {
		if h.peer != nil {
			_ = h.peer.Close()
			h.wait()
		}
	}
	a.hosts.list = nil
}

// complaint is what ssh, or the shell there, says on standard error. Until the
// connection stands it explains a failure; then it is passed on, escaped.
type complaint struct {
	a    *app
	host string

	mu    sync.Mutex
	open  bool
	lines []string
}

// maxComplaint bounds a line, in bytes, and the lines that are kept.
const (
	maxComplaint = 1 << 10
	maxLines     = 20
)

func (c *complaint) read(r io.Reader) {
	in := bufio.NewReaderSize(r, maxComplaint)
	for {
		line, err := in.ReadSlice('\n')
		if text := strings.TrimSpace(string(line)); text != "" {
			c.line(text)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (c *complaint) line(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open {
		c.a.out.Warn("%s: %s", ui.Escape(c.host), ui.Escape(text))
		return
	}
	if len(c.lines) < maxLines {
		c.lines = append(c.lines, text)
	}
}

// forward passes on what was and will be said.
func (c *complaint) forward() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = true
	for _, l := range c.lines {
		c.a.out.Warn("%s: %s", ui.Escape(c.host), ui.Escape(l))
	}
	c.lines = nil
}

// last is the last thing that was said.
func (c *complaint) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lines) == 0 {
		return ""
	}
	return c.lines[len(c.lines)-1]
}

// spec describes a store of another host to that host.
func (a *app) spec(s *config.Store, t trust) remote.Spec {
	l := a.limits(s)
	alg := s.Digest.Alg
	if alg == manifest.NoAlg {
		alg = a.cfg.Digest.Alg
	}
	spec := remote.Spec{
		Name: s.Name, Path: s.Dir(), Layout: s.Layout, Control: s.Control, Index: s.Index, UTF8: s.UTF8,
		FailureDomain: s.FailureDomain, Role: s.Role.String(),
		Readers: l.Readers, BytesPerSec: l.BytesPerSec, FilesPerSec: int(l.FilesPerSec), Latency: int64(l.Target),
		Files: t == trustFiles,
	}
	if alg != manifest.NoAlg {
		spec.Digest = alg.String()
	}
	if s.Folders == config.FS {
		spec.Folders = "fs"
	}
	return spec
}
