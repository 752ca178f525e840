package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"mailsync/manifest"
	"mailsync/restore/archive"
	"mailsync/scan/message"
)

// collected is the archive, read once.
type collected struct {
	items    *tape // one record a message
	findings *tape // of the archive, encoded
	survey   *archive.Survey
	addrs    map[string]struct{}
	damaged  map[string]bool // files of the archive that are damaged, not merely cut
	trouble  bool            // there are findings
	own      string          // the only address that a Maildir archive's delivery fields name: its own
}

// maxEnvelope bounds the addresses of one message, in bytes, so that its record
// stays below maxRecord.
const maxEnvelope = maxRecord / 4

const (
	batchMessages = 64
	batchBytes    = 2 << 20
)

// batch is some messages on their way to a worker: copies, since the stream
// moves on.
type batch struct {
	buf   []byte
	items []item
	spans [][2]int
}

// collect reads the archive: each message's digest, identities and envelope go
// to the tape. Workers compute while the archive is being read.
func (r *Run) collect(ctx context.Context) (*collected, error) {
	c := &collected{
		items: newTape(), findings: newTape(), survey: &archive.Survey{},
		addrs: map[string]struct{}{}, damaged: map[string]bool{},
	}
	g, gctx := errgroup.WithContext(ctx)
	// Batches go round: a pool would lose their buffers at each collection.
	work, free := make(chan *batch, r.o.Workers), make(chan *batch, 2*r.o.Workers+1)
	for range cap(free) {
		free <- &batch{}
	}
	var mu sync.Mutex
	for range r.o.Workers {
		g.Go(func() error {
			var e enc
			x := message.NewIdentifier(message.Limits{})
			defer x.Close()
			for b := range work {
				for i := range b.items {
					p := b.buf[b.spans[i][0]:b.spans[i][1]]
					if err := r.identify(x, &b.items[i], nil, p); err != nil {
						return err
					}
				}
				mu.Lock()
				for i := range b.items {
					e.b = e.b[:0]
					e.item(&b.items[i])
					if err := c.items.add(e.b); err != nil {
						mu.Unlock()
						return err
					}
				}
				mu.Unlock()
				b.buf, b.items, b.spans = b.buf[:0], b.items[:0], b.spans[:0]
				if cap(b.buf) > 2*batchBytes {
					b.buf = nil // one large message must not be kept for ever
				}
				free <- b
			}
			return nil
		})
	}
	own := ownAddress{}
	g.Go(func() error {
		defer close(work)
		large := message.NewIdentifier(message.Limits{})
		defer large.Close()
		b := <-free
		send := func() error {
			select {
			case work <- b:
			case <-gctx.Done():
				return context.Cause(gctx)
			}
			select {
			case b = <-free:
				return nil
			case <-gctx.Done():
				return context.Cause(gctx)
			}
		}
		var seq uint64
		for got, err := range r.o.Archive.Messages(gctx) {
			if err != nil {
				return err
			}
			c.survey.Add(got)
			if f := got.Finding; f != nil {
				if err := c.finding(f); err != nil {
					return err
				}
				continue
			}
			m := got.Message
			it := item{seq: seq, pos: m.Pos.String(), size: m.Size(), arrival: nanos(m.Arrival)}
			seq++
			names := 0
			for _, x := range m.Recipients {
				names += len(x.Addr) + len(x.Original)
			}
			if names > maxEnvelope {
				if err := c.finding(&manifest.Finding{
					Store: r.o.Archive.Name(), File: it.pos, Kind: manifest.ArchiveRefused,
					Detail: fmt.Sprintf("%d recipients: more than can be held", len(m.Recipients)),
				}); err != nil {
					return err
				}
				continue
			}
			for _, x := range m.Recipients {
				it.to = append(it.to, recipient{addr: x.Addr, original: x.Original, how: x.How, blocked: x.Blocked})
			}
			own.see(m)
			r.progress.Done.Add(1)
			r.progress.Bytes.Add(m.Size())
			p, inMemory := m.Bytes()
			if !inMemory {
				// Larger than memory: identified while the stream waits.
				if err := r.identify(large, &it, m.Open(), nil); err != nil {
					return err
				}
				var e enc
				e.item(&it)
				mu.Lock()
				err := c.items.add(e.b)
				mu.Unlock()
				if err != nil {
					return err
				}
				continue
			}
			b.spans = append(b.spans, [2]int{len(b.buf), len(b.buf) + len(p)})
			b.buf = append(b.buf, p...)
			b.items = append(b.items, it)
			if len(b.items) >= batchMessages || len(b.buf) >= batchBytes {
				if err := send(); err != nil {
					return err
				}
			}
		}
		if len(b.items) > 0 {
			return send()
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		c.close()
		return nil, err
	}
	if ctx.Err() != nil {
		c.close()
		return nil, context.Cause(ctx)
	}
	c.own = own.address()
	c.survey.End()
	return c, nil
}

func (c *collected) close() {
	c.items.close()
	c.findings.close()
}

func (c *collected) finding(f *manifest.Finding) error {
	c.trouble = true
	if f.Kind == manifest.ArchiveRefused && f.Certainty == manifest.Proof {
		if p, err := archive.ParsePosition(f.File); err == nil && len(c.damaged) < 1<<16 {
			c.damaged[p.File] = true
		}
	}
	var e enc
	encodeFinding(&e, f)
	return c.findings.add(e.b)
}

func encodeFinding(e *enc, f *manifest.Finding) {
	e.str(f.Store)
	e.str(f.File)
	e.b = append(e.b, byte(f.Kind), byte(f.Certainty))
	e.str(f.Detail)
}

func decodeFinding(rec []byte) (*manifest.Finding, error) {
	d := newDec(rec)
	f := &manifest.Finding{Store: d.str(), File: d.str()}
	f.Kind, f.Certainty = manifest.Kind(d.byte()), manifest.Certainty(d.byte())
	f.Detail = d.str()
	if d.bad {
		return nil, errRecord
	}
	return f, nil
}

// identify computes digest and identities of one message: what rd gives, or p
// where rd is nil (an empty message has no bytes to point at).
func (r *Run) identify(x *message.Identifier, it *item, rd io.Reader, p []byte) error {
	var id message.Identity
	var err error
	if rd == nil {
		it.digest = r.o.Alg.Sum(p)
		id, err = x.Identify(p)
	} else {
		h := r.o.Alg.New()
		rd = io.TeeReader(rd, h)
		if id, err = x.Read(rd); !readFailed(err) {
			// What was not needed belongs to the digest.
			if _, rest := io.Copy(io.Discard, rd); rest != nil {
				err = rest
			}
		}
		it.digest.Alg = r.o.Alg
		h.Sum(it.digest.Sum[:0])
	}
	if readFailed(err) {
		return fmt.Errorf("archive %s, %s: %w", r.o.Archive.Name(), it.pos, err)
	}
	it.exact, it.delivery, it.body, it.id, it.noID, it.header = id.Exact, id.Delivery, id.Body, id.ID, id.NoID, id.HeaderID
	it.messageID, it.hasID = id.MessageID, id.MessageID != ""
	return nil
}

// readFailed tells an error of the reader from one that says what the message
// is like: an identity without digests is one that matches nothing.
func readFailed(err error) bool {
	return err != nil && !errors.Is(err, message.ErrLimit) && !errors.Is(err, message.ErrTruncated) && !errors.Is(err, message.ErrCorrupt)
}

// ownAddress finds the archive's own address. The delivery fields of a Maildir
// name the mailbox that the Maildir belongs to: where all of its messages name
// the same one, that is the archive, not a recipient.
type ownAddress struct {
	addr string
	many bool
}

func (o *ownAddress) see(m *archive.Message) {
	if m.Format != "maildir" {
		return
	}
	for _, r := range m.Recipients {
		if r.How != archive.OriginalTo && r.How != archive.DeliveredTo {
			continue
		}
		switch {
		case o.addr == "":
			o.addr = strings.Clone(r.Addr)
		case !strings.EqualFold(o.addr, r.Addr):
			o.many = true
		}
	}
}

func (o *ownAddress) address() string {
	if o.many {
		return ""
	}
	return o.addr
}
