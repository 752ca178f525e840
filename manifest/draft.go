package manifest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"mailsync/manifest/durable"
)

// Draft is a manifest that is being written. Nothing of it can be seen before
// Commit. Its methods are called by one goroutine at a time; several drafts
// can be written at once.
//
// A small manifest lies in memory until it is sealed, and is written with one
// call. A larger one goes to a file beside, because its header, which comes
// first, is complete only when the last entry is known.
type Draft struct {
	s      *Session
	name   string
	bundle int
	serial uint64
	salt   uint64
	body   *body
	buf    *[]byte
	spool  durable.File // larger drafts
	row    *row
	state  draftState
}

type draftState uint8

const (
	drafting draftState = iota
	sealed
	published
	dropped
)

// maxInMemory is how much of a draft stays in memory, in bytes.
const maxInMemory = 256 << 10

var draftBuffers = sync.Pool{New: func() any { return new([]byte) }}

// Create starts the manifest of one mailbox.
func (s *Session) Create(mailbox string) (*Draft, error) {
	s.mu.Lock()
	if s.err == nil && !s.marked {
		s.mu.Unlock()
		if err := s.mark(); err != nil {
			return nil, err
		}
		s.mu.Lock()
	}
	if s.err != nil {
		defer s.mu.Unlock()
		return nil, s.err
	}
	s.counter++
	serial := s.rec.session<<32 | uint64(s.counter)
	d := &Draft{s: s, name: mailbox, bundle: bundleOf(ShardOf(mailbox)), serial: serial, salt: newSalt()}
	s.mu.Unlock()
	buf, ok := draftBuffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	*buf = (*buf)[:0]
	d.buf = buf
	d.body = newBody(s.rec.Alg, d.salt, d.take)
	return d, nil
}

func (d *Draft) dir() string { return d.s.view.bundleDir(d.bundle) }

func (d *Draft) final() string {
	return filepath.Join(d.dir(), manifestName(mailboxHash(d.name), d.serial))
}

func (d *Draft) temp() string { return d.final() + durable.TempSuffix }

func (d *Draft) spoolPath() string { return d.final() + ".spool" + durable.TempSuffix }

// take receives a block.
func (d *Draft) take(b []byte) error {
	*d.buf = append(*d.buf, b...)
	if len(*d.buf) < maxInMemory {
		return nil
	}
	if d.spool == nil {
		f, err := d.openIn(d.spoolPath(), os.O_RDWR)
		if err != nil {
			return err
		}
		d.spool = f
	}
	_, err := d.spool.Write(*d.buf)
	*d.buf = (*d.buf)[:0]
	return err
}

// openIn makes a file in the bundle's directory, and the directory if need be.
func (d *Draft) openIn(path string, flag int) (durable.File, error) {
	fsys := d.s.repo.fs
	flag |= os.O_CREATE | os.O_TRUNC
	f, err := fsys.Open(path, flag, fileMode)
	if !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	if d.s.batch {
		// The group's syncfs makes it durable before the manifest gets its name.
		if err = fsys.Mkdir(d.dir(), dirMode); errors.Is(err, os.ErrExist) {
			err = nil
		}
	} else {
		err = durable.MkdirAll(fsys, d.dir(), dirMode)
	}
	if err != nil {
		return nil, err
	}
	return fsys.Open(path, flag, fileMode)
}

// Add is as Writer.Add.
func (d *Draft) Add(e *Entry) error {
	if d.state != drafting {
		return ErrEnded
	}
	return d.body.add(e)
}

// Absent is as Writer.Absent.
func (d *Draft) Absent(a *Absence) error {
	if d.state != drafting {
		return ErrEnded
	}
	return d.body.absent(a)
}

// Seal ends the writing: it takes the header, fills mb's Generation and sums,
// and writes the file. The manifest is not seen before Commit, which may come
// much later: a sealed draft holds no file open and little memory.
func (d *Draft) Seal(mb *Mailbox, x Extra) error {
	if d.state != drafting {
		return ErrEnded
	}
	mb.Generation = d.s.rec.Generation
	err := d.seal(mb, &x)
	if err != nil {
		d.Abort()
		return fmt.Errorf("manifest of mailbox %s: %w", quote(d.name), err)
	}
	d.release()
	d.state = sealed
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.s.err != nil {
		return d.s.err
	}
	d.s.drafts[d] = struct{}{}
	return nil
}

func (d *Draft) seal(mb *Mailbox, x *Extra) error {
	if mb.Name != d.name || mb.Alg != d.body.alg {
		return fmt.Errorf("%w: header of mailbox %s, %s", ErrInvalid, quote(mb.Name), mb.Alg)
	}
	if err := checkMailbox(mb, x); err != nil {
		return err
	}
	if err := d.body.finish(mb); err != nil {
		return err
	}
	d.row = &row{Head: headOf(mb, x, &d.body.sums), serial: d.serial, shard: ShardOf(d.name)}
	d.row.Watch = append([]byte(nil), x.Watch...)
	head := appendPreamble(make([]byte, 0, 1024), kindMailbox, Version, d.salt)
	s := sealer{salt: d.salt}
	n, err := writeHeader(&s, appendHeader(nil, mb, x, &d.body.sums), func(b []byte) error {
		head = append(head, b...)
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.body.end(n); err != nil {
		return err
	}
	return d.writeFile(head)
}

// writeFile writes the temporary file: head, what was spooled, what is in memory.
func (d *Draft) writeFile(head []byte) error {
	f, err := d.openIn(d.temp(), os.O_WRONLY)
	if err != nil {
		return err
	}
	if err := d.writeTo(f, head); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func (d *Draft) writeTo(f durable.File, head []byte) error {
	if d.spool == nil {
		*d.buf = slices.Insert(*d.buf, 0, head...)
		if _, err := f.Write(*d.buf); err != nil {
			return err
		}
	} else {
		if _, err := f.Write(head); err != nil {
			return err
		}
		if _, err := d.spool.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyBuffer(f, d.spool, make([]byte, 256<<10)); err != nil {
			return err
		}
		if _, err := f.Write(*d.buf); err != nil {
			return err
		}
	}
	if d.s.batch {
		return nil // the group's syncfs makes it durable
	}
	return f.Sync()
}

// release gives back what writing needed.
func (d *Draft) release() {
	if d.spool != nil {
		_ = d.spool.Close()
		_ = d.s.repo.fs.Remove(d.spoolPath())
		d.spool = nil
	}
	if d.body != nil {
		d.body.release()
		d.body = nil
	}
	if d.buf != nil {
		draftBuffers.Put(d.buf)
		d.buf = nil
	}
}

// Commit seals the draft where that has not been done (mb and x count only
// then) and hands it to the group that is made durable next: at the latest by
// Checkpoint or Finish, often by Commit itself. Until then the old manifest is
// what is recorded.
func (d *Draft) Commit(mb *Mailbox, x Extra) error {
	if d.state == drafting {
		if err := d.Seal(mb, x); err != nil {
			return err
		}
	}
	if d.state != sealed {
		return ErrEnded
	}
	d.state = published
	return d.s.publish(d)
}

// Abort drops the draft; the old manifest stays. After Commit it does nothing.
func (d *Draft) Abort() {
	if d.state != drafting && d.state != sealed {
		return
	}
	d.s.mu.Lock()
	delete(d.s.drafts, d)
	d.s.mu.Unlock()
	d.discard()
}

func (d *Draft) discard() {
	d.release()
	d.state = dropped
	_ = d.s.repo.fs.Remove(d.temp()) // often there is none
}
