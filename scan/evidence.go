package scan

import (
	"context"
	"fmt"
	"io"
	"sync"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
	"mailsync/scan/message"
)

// Evidence implements compare.Witness. It reads the copy that entry
// describes; a copy that cannot be read answers with Known false.
func (s *Scanner) Evidence(ctx context.Context, store, mailbox string, entry *manifest.Entry, kind compare.EvidenceKind) (compare.Evidence, error) {
	ev := compare.Evidence{Kind: kind}
	if store != s.cfg.Name {
		return ev, nil
	}
	f, err := s.openMessage(ctx, mailbox, entry.Sub, entry.Name, func() (*door, error) { return s.enterFolder(ctx, mailbox, entry.Folder) })
	if err != nil {
		return unknown(ctx, ev, err)
	}
	defer f.Close()
	if hollowed(f.File) != nil {
		return unknown(ctx, ev, errHollow)
	}
	switch kind {
	case compare.BodyIdentity:
		id, err := identify(f.File)
		if err != nil {
			return unknown(ctx, ev, err)
		}
		ev.Exact, ev.Delivery, ev.ID = id.Exact, id.Delivery, id.ID
		ev.Body, ev.NoID = id.Body, id.NoID
		ev.Known = !id.Opaque
		return ev, nil
	case compare.DKIMBody:
		d, err := message.DKIMBody(f, message.Limits{})
		if err != nil {
			return unknown(ctx, ev, err)
		}
		ev.Known, ev.Holds = true, compare.Tri(d.Holds)
		ev.Detail = fmt.Sprintf("%d of %d DKIM body hashes verify", d.Verified, d.Whole)
		return ev, nil
	case compare.OwnProofs:
		return s.ownProofs(ctx, f, ev)
	}
	return ev, nil
}

// identifier is what computing one identity needs, kept for the next.
type identifier struct {
	x   *message.Identifier
	buf []byte
}

var identifiers = sync.Pool{New: func() any {
	return &identifier{x: message.NewIdentifier(message.Limits{}), buf: make([]byte, 128<<10)}
}}

// identify computes the identities of a message: from memory where it is
// small, as nearly all are.
func identify(f *beneath.File) (message.Identity, error) {
	i := identifiers.Get().(*identifier)
	defer identifiers.Put(i)
	if size := f.Opened().Size; size < int64(len(i.buf)) {
		n, err := f.ReadAt(i.buf, 0)
		if err != io.EOF {
			if err == nil {
				err = errMoving
			}
			return message.Identity{}, err
		}
		return i.x.Identify(i.buf[:n])
	}
	return i.x.Read(f)
}

func unknown(ctx context.Context, ev compare.Evidence, err error) (compare.Evidence, error) {
	if ctx.Err() != nil {
		return ev, context.Cause(ctx)
	}
	ev.Detail = err.Error()
	return ev, nil
}

// ownProofs judges a copy by nothing but its own name and bytes.
func (s *Scanner) ownProofs(ctx context.Context, f *openMessage, ev compare.Evidence) (compare.Evidence, error) {
	x := message.NewExaminer(message.Limits{})
	defer x.Close()
	x.Reset(s.cfg.Alg)
	buf := make([]byte, 64<<10)
	for off := int64(0); ; {
		n, err := f.ReadAt(buf, off)
		_, _ = x.Write(buf[:n])
		off += int64(n)
		if err != nil {
			if off != f.Opened().Size {
				return unknown(ctx, ev, err)
			}
			break
		}
		if ctx.Err() != nil {
			return ev, context.Cause(ctx)
		}
	}
	facts := x.Finish()
	n := maildir.ParseName(f.Name())
	v := message.Damage(&facts, &message.Claim{S: n.S, W: n.W, HasS: n.HasS, HasW: n.HasW})
	ev.Known, ev.Finding, ev.Detail = true, v.Kind, v.Detail
	switch {
	case v.Kind.Class() == manifest.Damage && v.Certainty == manifest.Proof:
		ev.Holds = compare.No
	case v.Kind != manifest.NoKind || v.Opaque || v.Unchecked != "":
		ev.Holds = compare.Maybe
	case n.HasS || facts.Encoding.Compressed():
		ev.Holds = compare.Yes
	}
	return ev, nil
}
