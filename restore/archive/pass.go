package archive

import (
	"context"
	"errors"
	"fmt"

	"mailsync/manifest"
)

// errStop ends a pass because its consumer has enough.
var errStop = errors.New("stopped")

// pass is one walk over an archive, or over one file of it.
type pass struct {
	a       *Archive
	ctx     context.Context
	yield   func(Item, error) bool
	formats []format
	spool   spool
	scratch []byte   // for what is rewritten on the way: unstuffed, unquoted
	buffers [][]byte // windows of each depth, kept between files
	chunk   int      // the most that a window reads at first; 0 = all that it has room for
	told    int      // how deep inside of containers a broken stream was reported; 0 = none since the last message
	lost    error    // the host of the archive does not answer any more: nothing that is read is to be believed
	msg     Message
}

func (a *Archive) pass(ctx context.Context, yield func(Item, error) bool) *pass {
	return &pass{a: a, ctx: ctx, yield: yield, formats: formats(), spool: spool{max: a.opts.MaxMessage}}
}

func (p *pass) close() { p.spool.close() }

// cause is the reason why the context ended.
func (p *pass) cause() error {
	if err := context.Cause(p.ctx); err != nil {
		return err
	}
	return nil
}

// buffer hands out the window buffer of a depth: files follow each other and
// need no new one each.
func (p *pass) buffer(depth int) []byte {
	if depth < len(p.buffers) && p.buffers[depth] != nil {
		b := p.buffers[depth]
		p.buffers[depth] = nil
		return b
	}
	return nil
}

// release takes a buffer back, unless one message made it large.
func (p *pass) release(depth int, b []byte) {
	for len(p.buffers) <= depth {
		p.buffers = append(p.buffers, nil)
	}
	if len(b) <= 2<<20 {
		p.buffers[depth] = b
	}
}

// windowMax bounds what a window holds: one message in memory and its
// surroundings.
func (p *pass) windowMax() int { return int(p.a.opts.Memory) + 64<<10 }

// emit completes a message and hands it to the consumer.
func (p *pass) emit(in *input, m *Message) error {
	if p.ctx.Err() != nil {
		return p.cause()
	}
	if p.lost != nil {
		return p.lost
	}
	m.direct, p.told = in.plain != nil, 0
	if !p.complete(in, m) {
		return p.refuse(m.Pos, fmt.Sprintf("a field of the archive in front of the message is longer than %d bytes", maxPrefixField))
	}
	if m.crowded {
		return p.refuse(m.Pos, crowded)
	}
	if isReport(m) {
		if told, err := p.journal(m); err != nil || told {
			return err
		}
	}
	if !p.yield(Item{Message: m}, nil) {
		return errStop
	}
	return nil
}

func (p *pass) finding(pos Position, kind manifest.Kind, detail string) error {
	if p.ctx.Err() != nil {
		return p.cause()
	}
	f := &manifest.Finding{Store: p.a.opts.Name, File: pos.String(), Kind: kind, Certainty: manifest.NotKnown, Detail: detail}
	return p.tell(f)
}

func (p *pass) tell(f *manifest.Finding) error {
	if p.lost != nil {
		return p.lost
	}
	if !p.yield(Item{Finding: f}, nil) {
		return errStop
	}
	return nil
}

func (p *pass) truncated(pos Position, detail string) error {
	return p.finding(pos, manifest.ArchiveTruncated, detail)
}

// damaged refuses a file whose own checks prove it damaged: what was read of it
// before may be damaged too. It is told from what is merely refused by being a
// proof.
func (p *pass) damaged(pos Position, detail string) error {
	if p.ctx.Err() != nil {
		return p.cause()
	}
	return p.tell(&manifest.Finding{
		Store: p.a.opts.Name, File: pos.String(), Kind: manifest.ArchiveRefused, Certainty: manifest.Proof, Detail: detail,
	})
}

func (p *pass) refuse(pos Position, detail string) error {
	return p.finding(pos, manifest.ArchiveRefused, detail)
}

// tooLarge is the finding for a message beyond MaxMessage.
func (p *pass) tooLarge(pos Position) error {
	return p.refuse(pos, fmt.Sprintf("a message larger than %d bytes", p.a.opts.MaxMessage))
}
