package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/remote"
)

// connect joins two hosts by a pair of sockets that a test may cut, and returns
// what waits for the far end to be done.
func connect(t testing.TB, far *machine) (p *remote.Peer, cut func(), served <-chan error) {
	t.Helper()
	here, there := sockets(t)
	end := make(chan error, 1)
	go func() {
		end <- remote.Serve(context.Background(), there, remote.Options{Program: "test", Host: far, Spill: spillIn(t)})
	}()
	p, err := remote.Connect(t.Context(), here, remote.Options{Program: "test", Spill: spillIn(t)})
	if err != nil {
		t.Fatal(err)
	}
	return p, func() { _ = here.Close() }, end
}

// fillEstate gives the near host a store that the far one has lost half of.
func fillEstate(near, far *machine) {
	for n := range 40 {
		box := []string{"a", "b", "c"}[n%3]
		near.put("backup", box, n, ":2,S")
		if n%2 == 0 || n < 3 {
			far.put("spare", box, n, ":2,S")
		}
	}
}

// holds checks that everything that was told as done is there.
func (m *machine) holds(store string, list []restore.Action) {
	m.t.Helper()
	tree := m.tree(store)
	for _, a := range list {
		if a.State == restore.Done && a.Op == restore.Add && tree[filepath.Join(a.Ref.Mailbox, a.Post.Sub.String(), string(a.Post.Name))] == "" {
			m.t.Errorf("%q was told as done, and is not there", a.Post.Name)
		}
	}
}

// The connection breaks while one message after the other is on its way. What was
// told as done is there, the run there has ended as interrupted, and the same again
// loses and doubles nothing.
func TestCutInTheMiddle(t *testing.T) {
	for _, at := range []int64{1, 3, 6, 9, 14, 18} {
		near, far := &machine{t: t, dir: t.TempDir()}, &machine{t: t, dir: t.TempDir()}
		fillEstate(near, far)
		p, cut, served := connect(t, far)
		var asked atomic.Int64
		near.before = func(*restore.Action) {
			if asked.Add(1) == at {
				cut()
			}
		}
		e := &estate{t: t, near: near, far: far, p: p}
		plan, done, err := e.plan("spare", "backup")
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.apply(t.Context(), plan, "spare", "restore", "", restore.BySource{"backup": near.source("backup")})
		if err != nil || !errors.Is(r.err, remote.ErrLost) {
			t.Errorf("%v, %v", r.err, err)
		}
		done()
		_ = p.Close()
		<-served // the run there has ended
		far.holds("spare", r.actions)
		runs, err := restore.Runs(nil, far.state())
		if err != nil || len(runs) != 1 || runs[0].How != restore.HowInterrupted || !runs[0].Resumable || runs[0].Counts.Done < int64(r.done()) {
			t.Fatalf("cut at %d: %+v, %v", at, runs, err)
		}
		near.before = nil
		p, _, served = connect(t, far)
		e.p = p
		e.restore("spare", "backup")
		if d := cmp.Diff(near.tree("backup"), far.tree("spare")); d != "" {
			t.Errorf("cut at %d, and again:\n%s", at, d)
		}
		_ = p.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
}

// A run that is cancelled ends in order: what was in flight is heard of, its
// journal says interrupted, and the rest is counted as planned.
func TestCancelledThere(t *testing.T) {
	near, far := &machine{t: t, dir: t.TempDir()}, &machine{t: t, dir: t.TempDir()}
	fillEstate(near, far)
	e := &estate{t: t, near: near, far: far}
	e.p = pair(t, remote.Options{Spill: spillIn(t)}, remote.Options{Host: far})
	plan, done, err := e.plan("spare", "backup")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	enough := fmt.Errorf("%w: enough", context.Canceled)
	ctx, cancel := context.WithCancelCause(t.Context())
	var asked atomic.Int64
	near.before = func(*restore.Action) {
		if asked.Add(1) == 7 {
			cancel(enough)
		}
	}
	r, err := e.apply(ctx, plan, "spare", "restore", "", restore.BySource{"backup": near.source("backup")})
	if err != nil || !errors.Is(r.err, enough) {
		t.Errorf("%v, %v", r.err, err)
	}
	far.holds("spare", r.actions)
	if n := int64(len(r.actions)) + r.counts.Planned; n != plan.Forecast().Actions || r.counts.Planned == 0 {
		t.Errorf("%d actions were told, and %d not begun, of %d", len(r.actions), r.counts.Planned, plan.Forecast().Actions)
	}
	runs, err := e.p.Runs(t.Context())
	if err != nil || len(runs) != 1 || runs[0].How != restore.HowInterrupted || runs[0].Counts.Done != int64(r.done()) {
		t.Errorf("%+v, %v: %d were told", runs, err, r.done())
	}
	near.before = nil
	e.restore("spare", "backup")
	if d := cmp.Diff(near.tree("backup"), far.tree("spare")); d != "" {
		t.Errorf("again:\n%s", d)
	}
}

// What replay decides message by message is delivered there, in as many calls as
// it takes, in one run.
func TestDeliverThere(t *testing.T) {
	e := newEstate(t)
	e.far.put("spare", "a", 0, ":2,S")
	run, err := e.p.Begin(t.Context(), &remote.RunOptions{Target: remote.Spec{Name: "far:spare", Path: "spare"}, Command: "replay"})
	if err != nil {
		t.Fatal(err)
	}
	src := restore.BySource{"archive": texts{}}
	for part := range 3 {
		var list []restore.Action
		for n := part * 10; n < part*10+10; n++ {
			list = append(list, delivery(n+1))
		}
		done := 0
		for a, err := range run.Deliver(t.Context(), list, src) {
			if err != nil {
				t.Fatal(err)
			}
			if a.State == restore.Done {
				done++
			}
		}
		if done != 10 {
			t.Errorf("part %d: %d done", part, done)
		}
	}
	if err := run.End(nil); err != nil {
		t.Error(err)
	}
	if n := len(e.far.tree("spare")); n != 31 {
		t.Errorf("%d messages", n)
	}
	list, err := restore.Runs(nil, e.far.state())
	if err != nil || len(list) != 1 || list[0].How != restore.HowComplete || list[0].Counts.Done != 30 || list[0].ID != run.ID() {
		t.Errorf("%+v, %v", list, err)
	}
}

// delivery delivers message n of an archive.
func delivery(n int) restore.Action {
	text := []byte(mailText(n))
	return restore.Action{
		Op: restore.Add, State: restore.Planned, Ref: manifest.Ref{Mailbox: "a", Folder: "INBOX"}, Date: time.Unix(1700000000, 0),
		Post: restore.Ground{Sub: manifest.New, Size: int64(len(text)), Digest: manifest.BLAKE3.Sum(text)},
		From: "archive\x00" + strconv.Itoa(n),
	}
}

// texts is an archive: a source of messages by number.
type texts struct{}

// Open implements restore.Source.
func (texts) Open(_ context.Context, a *restore.Action) (io.ReadCloser, error) {
	_, at, _ := strings.Cut(a.From, "\x00")
	n, err := strconv.Atoi(at)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(strings.NewReader(mailText(n))), nil
}
