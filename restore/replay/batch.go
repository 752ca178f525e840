package replay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/archive"
)

// delivering is one stretch of the verdicts: the bytes of what is to be
// delivered are fetched from the archive, then the actions carried out.
type delivering struct {
	r       *Run
	n       int   // verdicts
	err     error // why it could not be fetched
	items   []deliverItem
	bytes   int64
	made    *folders // over all stretches
	results map[int]*restore.Action
	bodies  map[string]body
	senders map[string]string // by position
	// envelopes of the actions, for what goes through a server
	envelopes map[string]Envelope
	buf       []byte
	free      chan<- []byte // takes buf back
	file      *os.File
	size      int64
}

type deliverItem struct {
	n    int // in the stretch
	v    verdict
	into string
}

// body is where a message's bytes lie: in buf, or in file.
type body struct {
	spilled bool
	off, n  int64
}

func (b *delivering) add(n int, v verdict, into string) {
	b.items = append(b.items, deliverItem{n: n, v: v, into: into})
	b.bytes += v.size
}

// close frees what holds the bytes; the results stay.
func (b *delivering) close() {
	if b.free != nil {
		b.free <- b.buf[:0]
		b.free, b.buf = nil, nil
	}
	if b.file != nil {
		b.file.Close()
		b.file = nil
	}
}

func (b *delivering) deliver(ctx context.Context, d Deliverer) error {
	if len(b.items) == 0 {
		return nil
	}
	var actions []restore.Action
	byKey := make(map[string][]int, len(b.items))
	b.envelopes = make(map[string]Envelope, len(b.items))
	for _, it := range b.items {
		if b.results[it.n] != nil {
			continue // its bytes could not be fetched
		}
		actions = append(actions, b.r.mkdirs(&it.v, it.into, b.made)...)
		a := b.r.action(&it.v, it.into)
		k := actionKey(&a)
		byKey[k] = append(byKey[k], it.n)
		b.envelopes[k] = Envelope{Sender: b.senders[it.v.pos], Recipient: it.v.recipient}
		actions = append(actions, a)
	}
	run := ""
	if n, ok := d.(interface{ ID() string }); ok {
		run = n.ID()
	}
	var done []delivered
	var failure error
	for a, err := range d.Deliver(ctx, actions, b) {
		if err != nil {
			failure = err
			break
		}
		k := actionKey(&a)
		waiting := byKey[k]
		if a.Op == restore.Mkdir || len(waiting) == 0 {
			continue
		}
		byKey[k] = waiting[1:]
		result := a
		b.results[waiting[0]] = &result
		b.r.progress.Done.Add(1)
		if a.State == restore.Done {
			done = append(done, delivered{mailbox: a.Ref.Mailbox, digest: a.Post.Digest, at: b.r.o.Now.Unix(), run: run})
		}
	}
	if err := b.r.o.Ledger.add(done); err != nil {
		return errors.Join(failure, err)
	}
	if failure != nil {
		return failure
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, left := range byKey {
		for _, n := range left {
			b.results[n] = &restore.Action{Op: restore.Add, State: restore.Failed, Detail: "nothing was told about this delivery"}
		}
	}
	return nil
}

// fetch reads the stretch's messages in the order of the archive, so that a
// compressed file is read once a stretch.
func (b *delivering) fetch(ctx context.Context, cursor *archive.Cursor) error {
	b.results = make(map[int]*restore.Action, len(b.items))
	if need := min(b.bytes, b.r.o.Memory); int64(cap(b.buf)) < need {
		b.buf = make([]byte, 0, need)
	}
	b.bodies, b.senders = make(map[string]body, len(b.items)), make(map[string]string, len(b.items))
	order := make([]int, len(b.items))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return cmp.Compare(b.items[x].v.seq, b.items[y].v.seq) })
	for _, i := range order {
		it := &b.items[i]
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, ok := b.bodies[it.v.pos]; ok {
			continue
		}
		fail := func(why string) {
			b.results[it.n] = &restore.Action{
				Op: restore.Add, Ref: manifest.Ref{Mailbox: it.v.mailbox, Folder: it.into}, State: restore.Failed, Detail: why,
			}
		}
		pos, err := archive.ParsePosition(it.v.pos)
		if err != nil {
			return err
		}
		m, err := cursor.Get(ctx, pos)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			fail("the archive has changed: " + err.Error())
			continue
		}
		b.senders[it.v.pos] = strings.Clone(m.Sender)
		if err := b.keep(it, m); err != nil {
			return err
		}
		if got := b.bodies[it.v.pos]; got.n != it.v.size {
			fail("the archive has changed since it was read")
		}
	}
	return nil
}

// keep copies a message: small ones to memory, large ones to a temporary file.
func (b *delivering) keep(it *deliverItem, m *archive.Message) error {
	if p, ok := m.Bytes(); ok && int64(len(b.buf)+len(p)) <= b.r.o.Memory {
		b.bodies[it.v.pos] = body{off: int64(len(b.buf)), n: int64(len(p))}
		b.buf = append(b.buf, p...)
		return nil
	}
	if b.file == nil {
		f, err := restore.TempFile()
		if err != nil {
			return err
		}
		b.file = f
	}
	n, err := io.Copy(io.NewOffsetWriter(b.file, b.size), m.Open())
	if err != nil {
		return fmt.Errorf("spool for delivery: %w", err)
	}
	b.bodies[it.v.pos] = body{spilled: true, off: b.size, n: n}
	b.size += n
	return nil
}

// Open implements restore.Source for the messages of the batch. The deliverer
// compares what it reads with the digest of the plan.
func (b *delivering) Open(_ context.Context, a *restore.Action) (io.ReadCloser, error) {
	_, pos, _ := bytes.Cut([]byte(a.From), []byte{0})
	x, ok := b.bodies[string(pos)]
	if !ok {
		return nil, fmt.Errorf("%w: not fetched", archive.ErrPosition)
	}
	if x.spilled {
		return io.NopCloser(io.NewSectionReader(b.file, x.off, x.n)), nil
	}
	return io.NopCloser(bytes.NewReader(b.buf[x.off : x.off+x.n])), nil
}
