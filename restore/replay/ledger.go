package replay

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"

	"mailsync/manifest"
	"mailsync/manifest/durable"
)

// Ledger remembers, over runs and kills, what was delivered into which mailbox.
//
// It is not what keeps a replay from delivering twice: that is the look into
// the mailbox before each run. It knows what a look cannot: that a message that
// is gone was delivered and then deleted, and what the store lacked before it
// was filled. Each run appends one journal: a record a message, durable before
// the delivery is told.
type Ledger struct {
	fs       durable.FS
	dir      string
	readOnly bool
	journal  *durable.Journal
	undone   func(run string) bool
}

// delivered is one message of the ledger.
type delivered struct {
	mailbox string
	digest  manifest.Digest
	at      int64 // unix seconds of the delivery
	run     string

	state     SentState // through a server
	recipient string
	answer    string
}

func (d *delivered) encode() []byte {
	var e enc
	e.str(d.mailbox)
	e.digest(d.digest)
	e.int(d.at)
	e.str(d.run)
	e.b = append(e.b, byte(d.state))
	e.str(d.recipient)
	e.str(d.answer)
	return e.b
}

func decodeDelivered(rec []byte) (delivered, error) {
	d := newDec(rec)
	x := delivered{mailbox: d.str(), digest: d.digest(), at: d.int(), run: d.str()}
	if d.s != "" { // version 1 ends here
		x.state, x.recipient, x.answer = SentState(d.byte()), d.str(), d.str()
	}
	if d.bad {
		return delivered{}, errRecord
	}
	return x, nil
}

const (
	ledgerKind    = "replay"
	ledgerVersion = 2 // 2: state, recipient and answer of what goes through a server
)

// ErrLedger reports a ledger that cannot be read: damaged, or from a newer
// mailsync.
var ErrLedger = errors.New("the replay ledger cannot be read")

// OpenLedger opens or creates the ledger of one target store below dir. target
// names the store and, where it has one, the generation of its record: what was
// delivered into another file system says nothing of this one. With readOnly
// nothing is created or written. fsys may be nil.
//
// Errors wrap durable.ErrLocked while another replay into the same store runs,
// or ErrLedger.
func OpenLedger(fsys durable.FS, dir, target string, readOnly bool) (*Ledger, error) {
	sum := manifest.BLAKE3.Sum([]byte(target))
	if fsys == nil {
		fsys = durable.System()
	}
	l := &Ledger{fs: fsys, dir: filepath.Join(dir, fmt.Sprintf("%x", sum.Sum[:12])), readOnly: readOnly}
	if readOnly {
		return l, nil
	}
	if err := durable.MkdirAll(l.fs, l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("replay ledger: %w", err)
	}
	j, err := durable.OpenJournal(l.path(), l.options())
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("another replay into this store runs: %w", err)
	}
	if err != nil {
		return nil, ledgerError(err)
	}
	l.journal = j
	return l, nil
}

// ledgerError tells a ledger that is damaged from a disk that does not give it.
func ledgerError(err error) error {
	if errors.Is(err, durable.ErrCorrupt) || errors.Is(err, durable.ErrNewer) {
		return fmt.Errorf("%w: %w", ErrLedger, err)
	}
	return fmt.Errorf("replay ledger: %w", err)
}

// Forget leaves out what the runs delivered for which undone holds: mailsync
// itself took it back, so that nobody deleted it.
func (l *Ledger) Forget(undone func(run string) bool) { l.undone = undone }

func (l *Ledger) path() string { return filepath.Join(l.dir, "ledger") }

func (l *Ledger) options() durable.JournalOptions {
	return durable.JournalOptions{FS: l.fs, Kind: ledgerKind, Version: ledgerVersion, MaxRecord: 64 << 10}
}

// Close closes the ledger.
func (l *Ledger) Close() error {
	if l == nil || l.journal == nil {
		return nil
	}
	return l.journal.Close()
}

// add records deliveries that are durable. When it returns, so are they in the
// ledger.
func (l *Ledger) add(list []delivered) error {
	if l == nil || l.journal == nil || len(list) == 0 {
		return nil
	}
	recs := make([][]byte, len(list))
	for i := range list {
		recs[i] = list[i].encode()
	}
	if err := l.journal.Append(recs...); err != nil {
		return fmt.Errorf("replay ledger: %w", err)
	}
	if err := l.journal.Sync(); err != nil {
		return fmt.Errorf("replay ledger: %w", err)
	}
	return nil
}

// all yields the whole ledger, oldest first.
func (l *Ledger) all() iter.Seq2[delivered, error] {
	return func(yield func(delivered, error) bool) {
		if l == nil {
			return
		}
		for rec, err := range durable.Recover(l.path(), l.options(), nil) {
			if errors.Is(err, fs.ErrNotExist) {
				return // nothing was ever delivered
			}
			if err != nil {
				yield(delivered{}, ledgerError(err))
				return
			}
			x, err := decodeDelivered(rec.Data)
			if err != nil {
				yield(delivered{}, fmt.Errorf("%w: record %d", ErrLedger, rec.Seq))
				return
			}
			if l.undone != nil && l.undone(x.run) {
				continue
			}
			if !yield(x, nil) {
				return
			}
		}
	}
}

// byMailbox returns a function that gives each mailbox' part of the ledger;
// mailboxes must be asked for in the order in which r sorts them.
func (l *Ledger) byMailbox(ctx context.Context, r *Run) (func(order int, mailbox string) ([]delivered, error), func(), error) {
	none := func(int, string) ([]delivered, error) { return nil, nil }
	if l == nil {
		return none, func() {}, nil
	}
	s := newSorter(int(r.o.Memory / 8))
	var e enc
	for x, err := range l.all() {
		if err != nil {
			s.close()
			return nil, nil, err
		}
		if ctx.Err() != nil {
			s.close()
			return nil, nil, context.Cause(ctx)
		}
		order := 0
		if r.o.Order != nil {
			order = r.o.Order(x.mailbox)
		}
		e.b = binary.BigEndian.AppendUint32(e.b[:0], uint32(order))
		e.b = append(append(e.b, x.mailbox...), 0)
		e.int(x.at)
		e.digest(x.digest)
		e.str(x.run)
		e.b = append(e.b, byte(x.state))
		if err := s.add(e.b); err != nil {
			s.close()
			return nil, nil, err
		}
	}
	if s.n == 0 {
		s.close()
		return none, func() {}, nil
	}
	next, stop := iter.Pull2(s.sorted(ctx))
	var head []byte // the record that was read ahead
	var last string
	var kept []delivered
	pull := func(order int, mailbox string) ([]delivered, error) {
		key := binary.BigEndian.AppendUint32(nil, uint32(order))
		key = append(append(key, mailbox...), 0)
		if string(key) == last {
			return kept, nil // another part of the same mailbox
		}
		last, kept = string(key), nil
		for {
			if head == nil {
				rec, err, ok := next()
				if err != nil {
					return nil, err
				}
				if !ok {
					return kept, nil
				}
				head = append([]byte(nil), rec...)
			}
			switch c := comparePrefix(head, key); {
			case c > 0:
				return kept, nil
			case c == 0:
				d := newDec(head[len(key):])
				kept = append(kept, delivered{mailbox: mailbox, at: d.int(), digest: d.digest(), run: d.str(), state: SentState(d.byte())})
			}
			head = nil
		}
	}
	return pull, func() { stop(); s.close() }, nil
}

// comparePrefix compares the start of rec with key.
func comparePrefix(rec, key []byte) int {
	n := min(len(rec), len(key))
	for i := range n {
		if rec[i] != key[i] {
			return int(rec[i]) - int(key[i])
		}
	}
	return n - len(key)
}
