package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
)

// Store is a store of the other end. It implements compare.Summed and
// compare.Witness; Messages is its restore.Source.
type Store struct {
	p      *Peer
	id     uint64
	info   compare.Info
	opened opened
}

// Open opens a store of the other end.
func (p *Peer) Open(ctx context.Context, s Spec) (*Store, error) {
	st := &Store{p: p}
	if err := p.one(ctx, methodOpen, 0, s, &st.opened); err != nil {
		return nil, err
	}
	st.id, st.info = st.opened.Store, st.opened.Info.info()
	// The name is the caller's own word.
	st.info.Name = s.Name
	return st, nil
}

// Close closes the store at the other end.
func (s *Store) Close() error {
	return s.p.one(context.Background(), methodClose, s.id, struct{}{}, nil)
}

// Info implements compare.Source.
func (s *Store) Info() compare.Info { return s.info }

// Mailboxes implements compare.Source.
func (s *Store) Mailboxes(ctx context.Context) iter.Seq2[compare.Head, error] {
	return s.Parts(ctx, []compare.Run{{From: 0, To: manifest.Shards}})
}

// Sums implements compare.Summed.
func (s *Store) Sums(ctx context.Context, runs []compare.Run) ([]compare.Sum, error) {
	var list []sum
	if err := s.p.one(ctx, methodSums, s.id, runsOf(runs), &list); err != nil {
		return nil, err
	}
	if len(list) != len(runs) {
		return nil, fmt.Errorf("%w: %d sums of %d runs", ErrProtocol, len(list), len(runs))
	}
	out := make([]compare.Sum, len(list))
	for i, x := range list {
		if len(x.ID) != len(out[i].ID) || x.Mailboxes < 0 || x.Messages < 0 {
			return nil, fmt.Errorf("%w: a sum of %d bytes", ErrProtocol, len(x.ID))
		}
		copy(out[i].ID[:], x.ID)
		out[i].Known, out[i].Mailboxes, out[i].Messages = x.Known, x.Mailboxes, x.Messages
	}
	return out, nil
}

// Parts implements compare.Summed. It refuses mailboxes of other parts than
// those that were asked for, or out of order.
func (s *Store) Parts(ctx context.Context, runs []compare.Run) iter.Seq2[compare.Head, error] {
	return func(yield func(compare.Head, error) bool) {
		if len(runs) == 0 {
			return
		}
		last, at := "", 0
		for h, err := range s.heads(ctx, methodHeads, runsOf(runs)) {
			var out compare.Head
			if err == nil {
				out, err = h.head()
			}
			if err == nil {
				no := manifest.ShardOf(out.Name)
				for at < len(runs) && no >= runs[at].To {
					at++
				}
				if at == len(runs) || no < runs[at].From || last != "" && manifest.CompareMailboxes(last, out.Name) >= 0 {
					err = fmt.Errorf("%w: mailbox %q is out of place", ErrProtocol, out.Name)
				}
				last = out.Name
			}
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

func (h *head) head() (compare.Head, error) {
	out := compare.Head{Name: h.Name, Messages: max(h.Messages, -1), Damaged: max(h.Damaged, -1)}
	var err error
	if h.Name == "" || len(h.Name) > manifest.MaxFolderName {
		return out, fmt.Errorf("%w: a mailbox' name of %d bytes", ErrProtocol, len(h.Name))
	}
	if out.State, err = h.State.digest(); err != nil {
		return out, err
	}
	out.Content, err = h.Content.digest()
	return out, err
}

// heads yields what a listing method answers.
func (s *Store) heads(ctx context.Context, method string, body any) iter.Seq2[*head, error] {
	return func(yield func(*head, error) bool) {
		a, err := s.p.ask(ctx, method, s.id, body)
		if err != nil {
			yield(nil, err)
			return
		}
		defer a.close()
		for {
			kind, p, err := a.next()
			if errors.Is(err, io.EOF) {
				return
			}
			var list heads
			switch {
			case err != nil:
			case kind != frameItem:
				err = fmt.Errorf("%w: data where a listing belongs", ErrProtocol)
			default:
				err = Decode(p, &list)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range list.Heads {
				if !yield(&list.Heads[i], nil) {
					return
				}
			}
		}
	}
}

// Open implements compare.Source.
func (s *Store) Open(ctx context.Context, mailbox string) (compare.View, error) {
	return s.view(ctx, mailbox, false)
}

// Lookup implements compare.Witness.
func (s *Store) Lookup(ctx context.Context, mailbox, folder string, unique []string) ([]compare.Presence, error) {
	out := make([]compare.Presence, len(unique))
	if !s.opened.Witness {
		return out, nil
	}
	for from := 0; from < len(unique); {
		to, size := from, 0
		for to < len(unique) && to-from < maxAsked && (to == from || size+len(unique[to]) <= maxAskedBytes) {
			size += len(unique[to])
			to++
		}
		var list presences
		q := lookupRequest{Mailbox: mailbox, Folder: folder, Unique: unique[from:to]}
		if err := s.p.one(ctx, methodLookup, s.id, q, &list); err != nil {
			return nil, err
		}
		if len(list.Presences) != to-from {
			return nil, fmt.Errorf("%w: %d answers about %d messages", ErrProtocol, len(list.Presences), to-from)
		}
		for i, p := range list.Presences {
			if p := compare.Presence(p); p == compare.Present || p == compare.Absent {
				out[from+i] = p
			}
		}
		from = to
	}
	return out, nil
}

// Evidence implements compare.Witness.
func (s *Store) Evidence(ctx context.Context, _, mailbox string, e *manifest.Entry, kind compare.EvidenceKind) (compare.Evidence, error) {
	ev := compare.Evidence{Kind: kind}
	if !s.opened.Witness {
		return ev, nil
	}
	var out evidence
	q := evidenceRequest{
		Mailbox: mailbox, Folder: e.Folder, Unique: e.Unique, Sub: uint8(e.Sub), Name: e.Name, Size: e.Size,
		Inode: e.Inode, Digest: digestOf(e.Digest), Kind: uint8(kind),
	}
	if err := s.p.one(ctx, methodEvidence, s.id, q, &out); err != nil {
		return ev, err
	}
	ev.Known, ev.Holds, ev.Finding, ev.Detail = out.Known, compare.Tri(out.Holds), manifest.Kind(out.Finding), out.Detail
	if ev.Holds > compare.No || !ev.Finding.Valid() || len(ev.Detail) > maxErrorText {
		return compare.Evidence{Kind: kind}, fmt.Errorf("%w: an answer of no evidence", ErrProtocol)
	}
	for _, d := range []struct {
		to   *manifest.Digest
		from digest
	}{{&ev.Exact, out.Exact}, {&ev.Delivery, out.Delivery}, {&ev.Body, out.Body}, {&ev.ID, out.ID}, {&ev.NoID, out.NoID}} {
		var err error
		if *d.to, err = d.from.digest(); err != nil {
			return compare.Evidence{Kind: kind}, err
		}
	}
	return ev, nil
}

// Folders is how folders lie there.
func (s *Store) Folders() Folders { return Folders{FS: s.opened.FS, UTF8: s.opened.UTF8} }

// ReadOnly tells whether the other end lets nobody write into it from here.
func (s *Store) ReadOnly() bool { return s.opened.ReadOnly }

// Messages hands out the store's messages; nil where it has none to hand out.
func (s *Store) Messages() restore.Source {
	if !s.opened.Messages {
		return nil
	}
	return &messages{s}
}
