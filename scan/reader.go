package scan

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"
	"time"

	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/budget"
	"mailsync/scan/maildir"
	"mailsync/scan/message"
)

// outcome is how the look at one file ended.
type outcome uint8

const (
	pending  outcome = iota
	taken            // digest and status come from the record
	examined         // it was read
	left             // neither read nor trusted
	vanished         // its name is not there any more
	refused          // it is no regular file
	holed            // it is mostly a hole, and was not read
	failed           // it could not be read: unknown
)

// task is one file on its way through the readers.
type task struct {
	fl    *folderLook
	entry manifest.Entry
	name  maildir.Name
	old   *manifest.Entry // recorded under the same unique name; nil = none
	gone  bool            // recorded, and not in the listing: to be looked for

	out    outcome
	same   bool // the recorded stamps are those of the file
	err    error
	claim  message.Claim
	facts  message.Facts
	oldAlg manifest.Digest // digest of the bytes in the record's algorithm, where that is another one
	read   int64           // bytes read

	hollow *hollow // with holed

	file   beneath.File
	choice Choice
	cold   bool // its bytes were not in the page cache
}

// batch is what is handed to a reader at once: enough that handing over costs
// nothing, little enough that a slow disk does not stall many.
type batch struct {
	ctx   context.Context
	tasks []task
	done  chan struct{} // receives once, when the batch is done
	view  *View
}

var batches = sync.Pool{New: func() any {
	return &batch{done: make(chan struct{}, 1)} // most mailboxes of a large store are small: tasks grows
}}

// newBatch returns an empty batch. What is settled goes back by free.
func (v *View) newBatch(ctx context.Context) *batch {
	b := batches.Get().(*batch)
	b.ctx, b.view = ctx, v
	return b
}

func (b *batch) free() {
	clear(b.tasks)
	b.tasks, b.ctx, b.view = b.tasks[:0], nil, nil
	batches.Put(b)
}

const (
	batchSize = 32
	// readBuffer is how much is read at once: little enough that the bytes are
	// still in the core's own cache when they are hashed and counted.
	readBuffer = 256 << 10
	// prefetch is how many files ahead of the one that is read are opened and
	// announced to the kernel, while files are found not to be cached.
	prefetch = 16
)

// pool is the readers of one device. They are started once and end with the
// scanner.
type pool struct {
	dev  *budget.Device
	jobs chan *batch
	wg   sync.WaitGroup
}

// core is leave to compute. There is one for each processor core: more readers
// than cores are good for waiting, not for hashing. Its buffer goes with it, so
// that few buffers are in use and stay in the caches.
type core struct{ buf []byte }

// newCores returns n of them.
func newCores(n int) chan *core {
	c := make(chan *core, n)
	for range n {
		c <- new(core)
	}
	return c
}

// newPool starts the readers of a device, which share the cores with those of
// other devices.
func newPool(dev *budget.Device, readers int, cores chan *core, now func() time.Time) *pool {
	p := &pool{dev: dev, jobs: make(chan *batch, readers)}
	for range readers {
		p.wg.Add(1)
		go func() {
			defer p.wg.Done()
			r := &reader{dev: dev, cores: cores, now: now, x: message.NewExaminer(message.Limits{})}
			defer r.x.Close()
			for b := range p.jobs {
				r.run(b)
				b.done <- struct{}{}
			}
		}()
	}
	return p
}

// submit hands a batch over; it waits while all readers are busy.
func (p *pool) submit(b *batch) error {
	select {
	case p.jobs <- b:
		return nil
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}

func (p *pool) close() {
	close(p.jobs)
	p.wg.Wait()
}

// reader reads and examines files, one at a time.
type reader struct {
	dev   *budget.Device
	cores chan *core
	now   func() time.Time
	x     *message.Examiner
	core  *core  // nil while it waits for the disk
	own   []byte // for what the disk must be waited for: without a core
	cold  int    // files to go for which prefetching is worth while
}

// compute waits for a core, idle gives it back.
func (r *reader) compute() { r.core = <-r.cores }

func (r *reader) idle() {
	r.cores <- r.core
	r.core = nil
}

func (r *reader) run(b *batch) {
	if err := r.dev.Acquire(b.ctx); err != nil {
		for i := range b.tasks {
			b.tasks[i].out, b.tasks[i].err = failed, err
		}
		return
	}
	defer r.dev.Release()
	r.compute()
	defer r.idle()
	ahead := 0
	for i := range b.tasks {
		limit := i + 1
		if r.cold > 0 {
			// Inodes that are not cached either make opening wait, too.
			limit = i + prefetch
			r.idle()
		}
		for ; ahead < min(limit, len(b.tasks)); ahead++ {
			r.prepare(b, &b.tasks[ahead])
		}
		if limit > i+1 {
			r.compute()
		}
		r.finish(b, &b.tasks[i])
	}
}

// prepare looks at the file's stamps, decides, and opens what is to be read.
func (r *reader) prepare(b *batch, t *task) {
	if t.gone || t.out != pending {
		return
	}
	if b.ctx.Err() != nil {
		t.out, t.err = failed, context.Cause(b.ctx)
		return
	}
	dir := t.fl.dirs.of(t.entry.Sub)
	o := &b.view.o
	opened := false
	if o.OpenFirst {
		if err := r.dev.File(b.ctx); err != nil {
			t.out, t.err = failed, err
			return
		}
		// What cannot be opened may be one that is left: asked below.
		opened = dir.OpenFileInto(&t.file, t.entry.Name) == nil
	}
	t.choice = Read
	if t.old != nil || o.Decide != nil {
		st := t.file.Opened()
		if !opened {
			now, err := dir.Stat(t.entry.Name)
			if err != nil {
				t.fail(err)
				return
			}
			st = &now
		}
		if !st.Regular() {
			t.out, t.err = refused, fmt.Errorf("it is a %s", st.TypeName())
			return
		}
		t.stamp(st)
		t.same = t.old != nil && b.view.trusted(t.old, &t.entry)
		t.choice = b.view.decide(&t.entry, t.old, t.same)
		switch {
		case t.choice == Reuse && t.old != nil:
			t.out = taken
		case t.choice == Leave:
			t.out = left
		}
		if t.out != pending {
			_ = t.file.Close() // where it was opened first
			return
		}
		t.choice = Read
	}
	if !opened {
		if err := r.dev.File(b.ctx); err != nil {
			t.out, t.err = failed, err
			return
		}
		if err := dir.OpenFileInto(&t.file, t.entry.Name); err != nil {
			t.fail(err)
			return
		}
	}
	t.stamp(t.file.Opened())
	if foreign(dir, t.file.Opened()) {
		_ = t.file.Close()
		t.fail(errForeign)
		return
	}
	if r.cold > 0 {
		var one [1]byte
		if _, ok, known := t.file.Cached(one[:], 0); known && !ok && t.entry.Size > 0 {
			t.cold = true
			t.file.WillNeed(t.entry.Size)
		}
	}
}

func (t *task) stamp(st *beneath.Stat) {
	t.entry.Size, t.entry.MTime, t.entry.CTime, t.entry.Inode = st.Size, st.MTime, st.CTime, st.Inode
}

// fail sorts an error into an outcome.
func (t *task) fail(err error) {
	t.err = err
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.out = vanished
	case errors.Is(err, beneath.ErrNotRegular), errors.Is(err, beneath.ErrEscape):
		t.out = refused
	default:
		t.out = failed
	}
}

// errMoving reports a file whose size or date moves while it is read.
var errMoving = errors.New("it changes while it is read")

// recordedSize tells whether the file has the size with which it was sound: then
// it is read, holes or not.
func (t *task) recordedSize() bool {
	return t.old != nil && t.old.Status == manifest.Sound && t.old.Size == t.entry.Size
}

// finish reads and examines the file that prepare has opened.
func (r *reader) finish(b *batch, t *task) {
	if t.out != pending || t.gone {
		return
	}
	defer t.file.Close()
	if t.hollow = hollowed(&t.file); t.hollow != nil && !t.recordedSize() {
		t.out = holed
		return
	}
	for try := 0; ; try++ {
		err := r.examine(b, t)
		if err == nil {
			t.out = examined
			break
		}
		if !errors.Is(err, errMoving) || try == 2 {
			t.fail(err)
			break
		}
		st, err := t.file.Stat()
		if err != nil {
			t.fail(err)
			break
		}
		t.stamp(&st)
	}
	if t.cold {
		t.file.DontNeed()
	}
}

// examine reads the file from the beginning to the end and judges it.
func (r *reader) examine(b *batch, t *task) error {
	alg := b.view.alg
	if err := r.dev.Bytes(b.ctx, t.entry.Size); err != nil {
		return err
	}
	other := b.view.otherAlg(t.old)
	var second hash.Hash
	if other != manifest.NoAlg {
		second = other.New()
	}
	buf, n, err := r.first(b.ctx, t)
	if err != nil && err != io.EOF {
		return err
	}
	total := int64(n)
	t.claim = claim(t)
	converted := t.claim.Converted(t.entry.Size)
	if err == io.EOF && !converted {
		t.facts = r.x.Examine(alg, buf[:n])
		if second != nil {
			_, _ = second.Write(buf[:n])
		}
	} else {
		r.x.Reset(alg)
		if converted {
			r.x.AlsoConverted()
		}
		for {
			_, _ = r.x.Write(buf[:n])
			if second != nil {
				_, _ = second.Write(buf[:n])
			}
			if err == io.EOF {
				break
			}
			if b.ctx.Err() != nil {
				return context.Cause(b.ctx)
			}
			if total > t.entry.Size {
				return errMoving // it grows as we read
			}
			n, err = r.wait(b.ctx, t, buf, total)
			if err != nil && err != io.EOF {
				return err
			}
			total += int64(n)
		}
		t.facts = r.x.Finish()
	}
	t.read += total
	after, err := t.file.Stat()
	if err != nil {
		return err
	}
	if total != t.entry.Size || after.Size != t.entry.Size || after.MTime != t.entry.MTime {
		return errMoving
	}
	if second != nil {
		t.oldAlg = manifest.Digest{Alg: other, Sum: [32]byte(second.Sum(nil))}
	}
	t.entry.Checked = r.now().Unix()
	return nil
}

// first fills a buffer with the beginning of the file. io.EOF means that it
// is whole. It asks the page cache first: what is not there is dropped again
// afterwards, and makes the next files be announced ahead.
func (r *reader) first(ctx context.Context, t *task) (buf []byte, n int, err error) {
	buf = buffer(&r.core.buf)
	want := buf[:min(t.entry.Size+1, readBuffer)]
	if !t.cold && t.entry.Size > 0 {
		m, ok, known := t.file.Cached(want, 0)
		switch {
		case ok && m > 0:
			n = m
			if r.cold > 0 {
				r.cold--
			}
			if int64(n) == t.entry.Size {
				return buf, n, io.EOF // examine checks that it has not grown
			}
		case known:
			t.cold = true
		}
	}
	if t.cold {
		r.cold = 4 * prefetch
		buf = buffer(&r.own)
		want = buf[:len(want)]
	}
	m, err := r.wait(ctx, t, want[n:], int64(n))
	return buf, n + m, err
}

// buffer makes the buffer where there is none yet.
func buffer(b *[]byte) []byte {
	if *b == nil {
		*b = make([]byte, readBuffer)
	}
	return *b
}

// wait reads from the file. What goes to the disk leaves the processor to
// another reader meanwhile, and is timed.
func (r *reader) wait(ctx context.Context, t *task, p []byte, off int64) (int, error) {
	if !t.cold {
		n := 0
		for n < len(p) {
			m, ok, _ := t.file.Cached(p[n:], off+int64(n))
			if !ok {
				break
			}
			if m == 0 {
				return n, io.EOF
			}
			n += m
		}
		m, err := t.file.ReadAt(p[n:], off+int64(n))
		return n + m, err
	}
	r.idle()
	defer r.compute()
	return r.dev.Timed(ctx, func() (int, error) { return t.file.ReadAt(p, off) })
}
