package restore

import (
	"context"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
)

// A backup gets its mail by copying, and nobody delivers or deletes there. What
// came to another store after the backup was last copied to cannot have been
// there, so that its absence says nothing of a deletion, even where the backup
// was scanned later. What came earlier may have been deleted before the copy was
// made: that stays undecided.

// roleBackup is the Info.Role of a backup.
const roleBackup = "backup"

// copied returns when a target that is a backup was last written to, up to its
// last scan: the latest change that its record shows of any message. A backup
// that serves since is written to all the time, and proves nothing by this. Zero:
// not known. The record is read once, when a message first asks for it.
func (p *planner) copied(ctx context.Context) time.Time {
	if p.copyRead || p.infos[0].Role != roleBackup {
		return p.copyTime
	}
	p.copyRead = true
	r, ok := p.o.Target.Base.(interface{ Store() *manifest.Store })
	if !ok || r.Store() == nil {
		return time.Time{}
	}
	last, err := lastChange(ctx, r.Store())
	if err == nil && last != 0 {
		p.copyTime = time.Unix(0, last)
	}
	return p.copyTime
}

// lastChange returns the latest change of a message's file or name that a record
// knows, in nanoseconds since 1970.
func lastChange(ctx context.Context, s *manifest.Store) (int64, error) {
	var last int64
	for h, err := range s.Heads(ctx) {
		if err != nil {
			return 0, err
		}
		if h.Messages == 0 {
			continue
		}
		at, err := lastIn(s, h.Name)
		if err != nil {
			return 0, err
		}
		last = max(last, at)
	}
	return last, nil
}

// lastIn is lastChange for one mailbox.
func lastIn(s *manifest.Store, mailbox string) (last int64, err error) {
	o, err := s.OpenMailbox(mailbox)
	if err != nil {
		return 0, err
	}
	defer o.Close()
	for e, err := range o.Entries() {
		if err != nil {
			return 0, err
		}
		last = max(last, e.CTime)
	}
	return last, nil
}

// missed tells whether a message that a backup lacks came to the source after
// the backup was last written to. shown is when the scan began whose record of
// the source shows the message, zero where none does. An absence of any store is
// evidence of its own, and decided elsewhere.
func missed(g *compare.Group, src *manifest.Entry, shown, copied time.Time) bool {
	if copied.IsZero() || len(g.Absences) > 0 || !shown.IsZero() && !shown.After(copied) {
		return false
	}
	// A change of flags makes the change time later, a delivery never makes the
	// date earlier: both must be later.
	at := copied.UnixNano()
	return src.CTime > at && src.MTime > at
}
