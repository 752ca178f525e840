package manifest

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"mailsync/manifest/durable"
	"mailsync/manifest/pack"
)

// Acceptance is one change of content that an operator has accepted: a virus
// cut out, a store encrypted. The old digest stays on record.
type Acceptance struct {
	At                            time.Time
	By                            string // who said so
	Mailbox, Folder, File, Reason string // File as in Finding
	Old, New                      Digest
}

func acceptJournal(fsys durable.FS) durable.JournalOptions {
	return durable.JournalOptions{FS: fsys, Kind: "accepted", Version: 1, MaxRecord: 256 << 10}
}

func (a *Acceptance) encode() []byte {
	b := appendTime(nil, a.At)
	for _, s := range [...]string{a.By, a.Mailbox, a.Folder, a.File, a.Reason} {
		b = pack.Text(b, s)
	}
	for _, d := range [...]Digest{a.Old, a.New} {
		b = append(b, byte(d.Alg))
		b = append(b, d.Sum[:]...)
	}
	return b
}

func decodeAcceptance(data []byte) (Acceptance, error) {
	c := cursorOver(data)
	a := Acceptance{At: c.time()}
	for _, p := range [...]*string{&a.By, &a.Mailbox, &a.Folder, &a.File, &a.Reason} {
		*p = c.String(64 << 10)
	}
	for _, p := range [...]*Digest{&a.Old, &a.New} {
		alg := Alg(c.Byte())
		*p = c.digest(alg)
	}
	if !c.Done() {
		return Acceptance{}, corrupt("acceptance")
	}
	return a, nil
}

// Accept journals acceptances; they are durable when it returns.
func (s *Session) Accept(list ...Acceptance) error {
	if err := s.failed(); err != nil {
		return err
	}
	j, err := durable.OpenJournal(filepath.Join(s.dir, acceptedName), acceptJournal(s.repo.fs))
	if err != nil {
		return err
	}
	for i := range list {
		if err := j.Append(list[i].encode()); err != nil {
			_ = j.Close()
			return err
		}
	}
	return j.Close()
}

// Acceptances yields what was accepted for this store, oldest first, over all
// generations.
func (s *Store) Acceptances() iter.Seq2[Acceptance, error] {
	return func(yield func(Acceptance, error) bool) {
		path := filepath.Join(s.dir, acceptedName)
		for rec, err := range durable.Recover(path, acceptJournal(s.repo.fs), nil) {
			if errors.Is(err, os.ErrNotExist) {
				return
			}
			var a Acceptance
			if err == nil {
				if a, err = decodeAcceptance(rec.Data); err != nil {
					err = fmt.Errorf("%s: record %d: %w", path, rec.Seq, err)
				}
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}
