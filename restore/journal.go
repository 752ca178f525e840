package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"time"

	"mailsync/manifest"
	"mailsync/manifest/durable"
)

// A run's journal is a durable.Journal of the records below, in
// STATE/runs/RUN/journal. Each begins with its kind.
const (
	journalKind    = "run"
	journalVersion = 1
	journalName    = "journal"
)

type recordKind byte

// The kinds of records; the numbers are part of the format.
const (
	recBegin    recordKind = 1 // what the run is
	recOpen     recordKind = 2 // folders whose tmp may hold our temporary names from now on
	recIntent   recordKind = 3 // a batch, before anything of it becomes visible
	recDone     recordKind = 4 // what of a batch is durable
	recWhole    recordKind = 5 // a mailbox that is restored whole was begun
	recFinished recordKind = 6 // … and everything planned for it was tried
	recEnd      recordKind = 7 // how the run ended
)

func journalOptions(fsys durable.FS) durable.JournalOptions {
	return durable.JournalOptions{FS: fsys, Kind: journalKind, Version: journalVersion, MaxRecord: 8 << 20}
}

// intentLimit bounds one record of intents, well below the journal's limit.
const intentLimit = 4 << 20

type beginRecord struct {
	Command, Store, Path, Of, Plan, Host string
	Args                                 []string
	Began                                time.Time
	PID                                  int
}

// outcome is one item of a done record.
type outcome struct {
	Index int // in the batch
	State State
	Sub   manifest.Sub // of Post, as it came to be
	Name  []byte
	Inode uint64
	Size  int64
	Aside string // name in quarantine, where something was moved aside
}

type endRecord struct {
	How    string
	Error  string
	Ended  time.Time
	Counts Counts
}

func (b *beginRecord) encode(e *encoder) {
	for _, s := range []string{b.Command, b.Store, b.Path, b.Of, b.Plan, b.Host} {
		e.str(s)
	}
	e.uint(uint64(len(b.Args)))
	for _, s := range b.Args {
		e.str(s)
	}
	e.time(b.Began)
	e.uint(uint64(b.PID))
}

func (b *beginRecord) decode(d *decoder) {
	for _, s := range []*string{&b.Command, &b.Store, &b.Path, &b.Of, &b.Plan, &b.Host} {
		*s = d.str()
	}
	if n := d.Count(1); n > 0 {
		b.Args = make([]string, n)
		for i := range b.Args {
			b.Args[i] = d.str()
		}
	}
	b.Began = d.time()
	b.PID = int(d.U32())
}

func (c *Counts) fields() [8]*int64 {
	return [...]*int64{&c.Planned, &c.Done, &c.Already, &c.Skipped, &c.Refused, &c.Failed, &c.Open, &c.Bytes}
}

// entry is one record of a run's journal as it is read back.
type entry struct {
	kind    recordKind
	begin   beginRecord
	end     endRecord
	mailbox string      // whole, finished
	folders []folderKey // open
	batch   uint64      // intent, done
	first   int         // intent: index of its first action in the batch
	actions []Action
	asides  []string // intent: of each action, its name in quarantine, or ""
	done    []outcome
}

func (t *entry) encode() []byte {
	e := &encoder{b: make([]byte, 0, 256)}
	e.byte(byte(t.kind))
	switch t.kind {
	case recBegin:
		t.begin.encode(e)
	case recOpen:
		e.uint(uint64(len(t.folders)))
		for _, f := range t.folders {
			e.str(f.mailbox)
			e.str(f.dir)
		}
	case recIntent:
		e.uint(t.batch)
		e.uint(uint64(t.first))
		e.uint(uint64(len(t.actions)))
		for i := range t.actions {
			e.action(&t.actions[i])
			e.str(t.asides[i])
		}
	case recDone:
		e.uint(t.batch)
		e.uint(uint64(len(t.done)))
		for i := range t.done {
			o := &t.done[i]
			e.uint(uint64(o.Index))
			e.byte(code(stateCodes, o.State))
			e.byte(byte(o.Sub))
			e.bytes(o.Name)
			e.uint(o.Inode)
			e.int(o.Size)
			e.str(o.Aside)
		}
	case recWhole, recFinished:
		e.str(t.mailbox)
	case recEnd:
		e.str(t.end.How)
		e.str(t.end.Error)
		e.time(t.end.Ended)
		for _, v := range t.end.Counts.fields() {
			e.int(*v)
		}
	}
	return e.b
}

func decodeEntry(p []byte) (*entry, error) {
	d := decoderOver(p)
	t := &entry{kind: recordKind(d.Byte())}
	switch t.kind {
	case recBegin:
		t.begin.decode(&d)
	case recOpen:
		if n := d.Count(2); n > 0 {
			t.folders = make([]folderKey, n)
			for i := range t.folders {
				t.folders[i] = folderKey{d.str(), d.str()}
			}
		}
	case recIntent:
		t.batch, t.first = d.Uint(), int(d.U32()&(1<<24-1))
		if n := d.Count(20); n > 0 {
			t.actions, t.asides = make([]Action, n), make([]string, n)
			for i := range t.actions {
				d.action(&t.actions[i])
				t.asides[i] = d.str()
			}
		}
	case recDone:
		t.batch = d.Uint()
		if n := d.Count(7); n > 0 {
			t.done = make([]outcome, n)
			for i := range t.done {
				o := &t.done[i]
				o.Index = int(d.U32())
				o.State = decode(&d, stateCodes)
				if o.Sub = manifest.Sub(d.Byte()); o.Sub > manifest.Cur {
					d.Fail()
				}
				o.Name, o.Inode, o.Size, o.Aside = d.bytes(), d.Uint(), d.Int(), d.str()
			}
		}
	case recWhole, recFinished:
		t.mailbox = d.str()
	case recEnd:
		t.end.How, t.end.Error, t.end.Ended = d.str(), d.str(), d.time()
		for _, v := range t.end.Counts.fields() {
			*v = d.Int()
		}
	default:
		d.Fail()
	}
	return t, d.end()
}

// readJournal yields the records of a run's journal, checked: those of the
// given kinds, or all. The others are not decoded; most of a long journal is
// intents, and few ask for them.
func readJournal(fsys durable.FS, path string, tail *durable.Tail, kinds ...recordKind) iter.Seq2[*entry, error] {
	return func(yield func(*entry, error) bool) {
		first := true
		for rec, err := range durable.Recover(path, journalOptions(fsys), tail) {
			if err != nil {
				yield(nil, journalError(path, err))
				return
			}
			if !first && len(kinds) > 0 && len(rec.Data) > 0 && !slices.Contains(kinds, recordKind(rec.Data[0])) {
				continue
			}
			t, err := decodeEntry(rec.Data)
			if err == nil && first != (t.kind == recBegin) {
				err = errCodec
			}
			first = false
			if err != nil {
				yield(nil, fmt.Errorf("%w: %s: record %d: %w", ErrRun, path, rec.Seq, err))
				return
			}
			if !yield(t, nil) {
				return
			}
		}
		if first {
			yield(nil, fmt.Errorf("%w: %s: empty", ErrRun, path))
		}
	}
}

func journalError(path string, err error) error {
	switch {
	case errors.Is(err, durable.ErrNewer):
		return fmt.Errorf("%w: %s", ErrNewer, path)
	case errors.Is(err, durable.ErrCorrupt):
		return fmt.Errorf("%w: %s: %w", ErrRun, path, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s: no journal", ErrRun, path)
	}
	return err
}
