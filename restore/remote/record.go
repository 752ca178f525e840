package remote

import (
	"context"
	"fmt"
	"iter"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// Record is what the other end has recorded of a store: a compare.Source.
type Record struct{ s *Store }

// Record returns the other end's record of the store; nil where there is none.
func (s *Store) Record() *Record {
	if s.opened.Record == nil {
		return nil
	}
	return &Record{s}
}

// About tells what the record says of the store as a whole; Name, Path and Key
// are the caller's business.
func (r *Record) About() (manifest.StoreRecord, error) {
	a := r.s.opened.Record
	rec := manifest.StoreRecord{
		Identity: manifest.Identity{
			FSID: a.FSID, FSType: a.FSType, Device: a.Device, RootInode: a.RootInode, Host: a.Host, BootID: a.BootID,
		},
		Alg: manifest.Alg(a.Alg), Messages: a.Messages, Mailboxes: a.Mailboxes,
	}
	rec.Complete.Began, rec.Complete.Ended, rec.Open.Began = when(a.Began), when(a.Ended), when(a.Open)
	if !rec.Alg.Valid() || len(a.Host) > 1024 || len(a.BootID) > 256 {
		return rec, fmt.Errorf("%w: a record of %s", ErrProtocol, rec.Alg)
	}
	return rec, nil
}

// Info implements compare.Source.
func (r *Record) Info() compare.Info {
	i := r.s.info
	a := r.s.opened.Record
	if i.Recorded = when(a.Began); i.Recorded.IsZero() {
		i.Recorded = when(a.Open)
	}
	return i
}

// Size implements compare.Sized.
func (r *Record) Size() int64 { return max(r.s.opened.Size, 0) }

// Mailboxes implements compare.Source.
func (r *Record) Mailboxes(ctx context.Context) iter.Seq2[compare.Head, error] {
	return func(yield func(compare.Head, error) bool) {
		for h, err := range r.Heads(ctx) {
			if !yield(h.Head, err) || err != nil {
				return
			}
		}
	}
}

// RecordedHead is a mailbox of a record.
type RecordedHead struct {
	compare.Head
	Ended    time.Time // of the look that made its manifest
	Absences int64
}

// Heads yields what is recorded, in the order of manifest.CompareMailboxes.
func (r *Record) Heads(ctx context.Context) iter.Seq2[RecordedHead, error] {
	return func(yield func(RecordedHead, error) bool) {
		last := ""
		for h, err := range r.s.heads(ctx, methodRecord, struct{}{}) {
			var out RecordedHead
			if err == nil {
				out.Head, err = h.head()
				out.Ended, out.Absences = when(h.Ended), h.Absences
			}
			if err == nil && last != "" && manifest.CompareMailboxes(last, out.Name) >= 0 {
				err = fmt.Errorf("%w: mailbox %q is out of place", ErrProtocol, out.Name)
			}
			last = out.Name
			if !yield(out, err) || err != nil {
				return
			}
		}
	}
}

// Open implements compare.Source.
func (r *Record) Open(ctx context.Context, mailbox string) (compare.View, error) {
	return r.s.view(ctx, mailbox, true)
}
