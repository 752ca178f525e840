package scan

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"iter"
	"slices"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// Counts is what was seen and done, summed over mailboxes.
type Counts struct {
	Mailboxes  int64 `json:"mailboxes"`
	Folders    int64 `json:"folders"`
	Messages   int64 `json:"messages"`
	Bytes      int64 `json:"bytes"`
	ReadBytes  int64 `json:"read_bytes"` // bytes of messages that were read
	Reused     int64 `json:"reused"`     // messages whose digest comes from the record
	Damaged    int64 `json:"damaged"`    // findings of damage that are proofs
	Suspect    int64 `json:"suspect"`    // findings of damage that are suspicions
	Disordered int64 `json:"disordered"`
	Unreadable int64 `json:"unreadable"`
	Vanished   int64 `json:"vanished"` // recorded, gone, and no evidence either way
}

// Add sums.
func (c *Counts) Add(o *Counts) {
	c.Mailboxes += o.Mailboxes
	c.Folders += o.Folders
	c.Messages += o.Messages
	c.Bytes += o.Bytes
	c.ReadBytes += o.ReadBytes
	c.Reused += o.Reused
	c.Damaged += o.Damaged
	c.Suspect += o.Suspect
	c.Disordered += o.Disordered
	c.Unreadable += o.Unreadable
	c.Vanished += o.Vanished
}

// Since returns what was added after o.
func (c Counts) Since(o *Counts) Counts {
	return Counts{
		Mailboxes: c.Mailboxes - o.Mailboxes, Folders: c.Folders - o.Folders, Messages: c.Messages - o.Messages,
		Bytes: c.Bytes - o.Bytes, ReadBytes: c.ReadBytes - o.ReadBytes, Reused: c.Reused - o.Reused,
		Damaged: c.Damaged - o.Damaged, Suspect: c.Suspect - o.Suspect, Disordered: c.Disordered - o.Disordered,
		Unreadable: c.Unreadable - o.Unreadable, Vanished: c.Vanished - o.Vanished,
	}
}

// View is one mailbox while it is looked at. It implements compare.View.
// Everything is called by one goroutine at a time.
type View struct {
	s      *Scanner
	o      LookOptions
	alg    manifest.Alg
	place  maildir.Place
	root   *beneath.Dir
	fs     beneath.FileSystem
	margin time.Duration
	pool   *pool
	mb     manifest.Mailbox
	began  time.Time

	folders []*folderLook // sorted by name
	tree    []branch
	record  compare.View
	rec     *manifest.Mailbox // of record; nil = none
	cursor  *cursor

	tmp    tmpFiles
	quota  quotaCheck
	counts Counts
	// unsafe is set by whatever makes the mailbox not skippable next time.
	unsafe bool
	// standing is set where a recorded loss must be told again next time.
	standing bool
	ended    bool

	gone      []absence // found gone by this look, in order
	unproven  int64     // recorded, neither found nor proven gone
	seenNames hashes    // unique names without a recorded entry
	seenBody  hashes    // their content
	open      int       // folders whose directories are open
	blind     map[string]string
	gaps      []compare.Gap
	one       [1]manifest.Entry // what settleGroup returns of a single file
}

var hashSeed = maphash.MakeSeed()

// hashes is a set of strings by 64-bit hash: a million of them cost 8 MB.
type hashes struct {
	list   []uint64
	sorted bool
}

func (h *hashes) add(parts ...string) {
	h.list = append(h.list, hashOf(parts))
	h.sorted = false
}

func (h *hashes) has(parts ...string) bool {
	if !h.sorted {
		slices.Sort(h.list)
		h.sorted = true
	}
	_, ok := slices.BinarySearch(h.list, hashOf(parts))
	return ok
}

func hashOf(parts []string) uint64 {
	var m maphash.Hash
	m.SetSeed(hashSeed)
	for _, p := range parts {
		_, _ = m.WriteString(p)
		_ = m.WriteByte(0)
	}
	return m.Sum64()
}

// Open implements compare.Source: a look at one mailbox by the record's help
// where Options.Recorded gives it.
func (s *Scanner) Open(ctx context.Context, mailbox string) (compare.View, error) {
	v, err := s.Look(ctx, mailbox, LookOptions{alone: true})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Look begins to look at one mailbox. It fails with compare.ErrNoMailbox where
// the mailbox is neither there nor recorded, and with compare.ErrUnknown where
// it cannot be judged. The caller closes the View.
func (s *Scanner) Look(ctx context.Context, mailbox string, o LookOptions) (*View, error) {
	path, known, err := s.locate(ctx, mailbox)
	if err != nil && !errors.Is(err, compare.ErrNoMailbox) {
		return nil, closing(o.Record, fmt.Errorf("%w: %w", compare.ErrUnknown, err))
	}
	if err != nil {
		// What the configuration no longer knows is looked for where it was recorded.
		return s.lookRecorded(ctx, mailbox, o, err)
	}
	return s.lookAt(ctx, mailbox, path, known, o)
}

func closing(v compare.View, err error) error {
	if v != nil {
		_ = v.Close()
	}
	return err
}

// recorded opens the record of a mailbox; nil where there is none.
func (s *Scanner) recorded(ctx context.Context, mailbox string, o *LookOptions) (compare.View, error) {
	if o.NoRecord {
		return nil, closing(o.Record, nil)
	}
	if o.Record != nil || s.opt.Recorded == nil {
		return o.Record, nil
	}
	r, err := s.opt.Recorded(ctx, mailbox)
	if errors.Is(err, compare.ErrNoMailbox) {
		return nil, nil
	}
	return r, err
}

func (s *Scanner) lookRecorded(ctx context.Context, mailbox string, o LookOptions, why error) (*View, error) {
	r, err := s.recorded(ctx, mailbox, &o)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, why
	}
	defer r.Close()
	return nil, fmt.Errorf("%w: mailbox %q was recorded at %q and is not there: %w", compare.ErrUnknown, mailbox, r.Mailbox().Path, why)
}

// lookAt looks at the mailbox whose root lies at path.
func (s *Scanner) lookAt(ctx context.Context, mailbox, path string, known bool, o LookOptions) (v *View, err error) {
	record, err := s.recorded(ctx, mailbox, &o)
	if err != nil {
		return nil, fmt.Errorf("record of mailbox %q: %w", mailbox, err)
	}
	if o.Decide == nil && s.doubted(mailbox) {
		o.Decide = DecideRead
	}
	v = &View{s: s, o: o, alg: s.cfg.Alg, record: record}
	defer func() {
		if err != nil {
			_ = v.Close()
			v = nil
		}
	}()
	if record != nil {
		v.rec = record.Mailbox()
		if s.crashed && v.rec.Ended.Before(s.opt.BootAt) {
			v.o.Crashed = true
		}
		v.cursor = newCursor(ctx, record)
	}
	if v.place, err = s.placeAt(mailbox, path, known); err != nil {
		return v, err
	}
	v.began = s.opt.Now()
	v.mb = manifest.Mailbox{Name: mailbox, Path: path, Began: v.began.UTC(), Alg: v.alg}
	if v.root, err = s.openAt(v.place.Root); err != nil {
		if errors.Is(err, fs.ErrNotExist) && record == nil {
			return v, fmt.Errorf("%w: %w", compare.ErrNoMailbox, err)
		}
		return v, fmt.Errorf("%w: mailbox %q: %w", compare.ErrUnknown, mailbox, err)
	}
	if err := v.identify(); err != nil {
		return v, fmt.Errorf("%w: mailbox %q: %w", compare.ErrUnknown, mailbox, err)
	}
	v.pool = s.pool(v.place.Root, v.mb.Device)
	if err := v.survey(ctx); err != nil {
		if ctx.Err() != nil {
			return v, context.Cause(ctx)
		}
		return v, fmt.Errorf("%w: mailbox %q: %w", compare.ErrUnknown, mailbox, err)
	}
	return v, nil
}

func (s *Scanner) doubted(mailbox string) bool {
	return s.opt.Doubted != nil && s.opt.Doubted(mailbox)
}

// identify reads what tells this mailbox from another one at its place.
func (v *View) identify() error {
	st, err := v.root.Self()
	if err != nil {
		return err
	}
	if v.fs, err = v.root.FileSystem(); err != nil {
		return err
	}
	v.margin = raceMargin(v.fs, v.s.multi)
	v.mb.Device, v.mb.FSID, v.mb.RootInode = st.Dev, v.fs.ID, st.Inode
	v.mb.Owner, v.mb.Group, v.mb.Mode = st.Owner, st.Group, st.Mode&0o7777
	if v.rec != nil && !v.o.Adopted && otherFilesystem(v.rec.FSID, v.rec.Device, v.mb.FSID, v.mb.Device) {
		return fmt.Errorf("%w (recorded %#x, now %#x)", ErrOtherFilesystem, v.rec.FSID, v.mb.FSID)
	}
	return nil
}

// otherFilesystem tells whether what was recorded is another file system. The
// device number alone may change at each boot; the id may not be known.
func otherFilesystem(oldID, oldDev, newID, newDev uint64) bool {
	if oldID != 0 && newID != 0 {
		return oldID != newID
	}
	return oldDev != 0 && oldDev != newDev
}

// Mailbox implements compare.View.
func (v *View) Mailbox() *manifest.Mailbox { return &v.mb }

// Counts returns what was seen and done so far.
func (v *View) Counts() Counts { return v.counts }

// Blind names the folders whose messages could not all be listed, each with
// the reason; "" stands for parts of the mailbox that have no folder's name.
// What they seem to lack is unknown. It is valid after Entries.
func (v *View) Blind() map[string]string { return v.blind }

func (v *View) blinded(folder, why string) {
	if v.blind == nil {
		v.blind = make(map[string]string)
	}
	v.blind[folder] = why
}

// Gaps implements compare.Patchy.
func (v *View) Gaps() []compare.Gap { return v.gaps }

// gap notes a finding about one of the server's files that a comparison needs.
func (v *View) gap(f *manifest.Finding) {
	g := compare.Gap{Folder: f.Folder, Lost: f.Kind.Class() == manifest.Disorder, Reason: f.Detail}
	switch f.File {
	case maildir.UIDListFile, maildir.CourierUIDDB:
		g.What = compare.UIDList
	case maildir.KeywordsFile:
		g.What = compare.KeywordTable
	case maildir.SubscriptionsFile, maildir.CourierSubscribed:
		g.What = compare.SubscriptionList
	default:
		return
	}
	switch f.Kind {
	case manifest.UIDListBroken, manifest.KeywordsBroken, manifest.Unreadable, manifest.NotRegular:
		v.gaps = append(v.gaps, g)
	}
}

// Close implements compare.View.
func (v *View) Close() error {
	for _, fl := range v.folders {
		fl.close()
	}
	if v.cursor != nil {
		v.cursor.close()
	}
	if v.record != nil {
		_ = v.record.Close()
	}
	v.record = nil
	if v.root != nil {
		return v.root.Close()
	}
	return nil
}

// trusted tells whether the record's stamps prove that a file is as it was
// when its digest was taken.
func (v *View) trusted(old, seen *manifest.Entry) bool {
	if v.o.Crashed || !old.SameStamp(seen) || old.Digest.Alg != v.alg {
		return false
	}
	// A change that came right after the recorded read may have left the same
	// stamp behind.
	return old.CTime < v.rec.Began.Add(-v.margin).UnixNano()
}

func (v *View) decide(seen, old *manifest.Entry, same bool) Choice {
	switch {
	case v.o.Decide != nil:
		return v.o.Decide(seen, old, same)
	case v.o.Crashed:
		return Read
	}
	return DecideByStamp(seen, old, same)
}

// otherAlg returns the algorithm in which a file must be digested too, to be
// compared with a record of another algorithm.
func (v *View) otherAlg(old *manifest.Entry) manifest.Alg {
	if old == nil || old.Digest.IsZero() || old.Digest.Alg == v.alg || !old.Digest.Alg.Valid() {
		return manifest.NoAlg
	}
	return old.Digest.Alg
}

// finding reports what is wrong, and counts it.
func (v *View) finding(f manifest.Finding) {
	v.gap(&f)
	switch f.Kind.Class() {
	case manifest.Damage:
		if f.Certainty == manifest.Proof {
			v.counts.Damaged++
		} else {
			v.counts.Suspect++
		}
	case manifest.Disorder:
		// What reading tells is told by the look that reads.
		if v.o.NoDisorder && f.Kind != manifest.WrongSizeName {
			return
		}
		v.counts.Disordered++
	case manifest.Unknown:
		v.counts.Unreadable++
		v.unsafe = true
	}
	f.Store, f.Mailbox = v.s.cfg.Name, v.mb.Name
	if v.o.Finding != nil {
		v.o.Finding(f)
	}
}

// window is how many batches are on their way at once in one mailbox.
const window = 8

// maxOpen bounds the folders whose directories are held open at once.
const maxOpen = 24

// Entries implements compare.View.
func (v *View) Entries(ctx context.Context) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		queue := make([]*batch, 0, window)
		defer func() { // nothing may be read after the directories are closed
			for _, b := range queue {
				<-b.done
			}
		}()
		// settle waits for the oldest batch and yields what it holds.
		settle := func() bool {
			b := queue[0]
			<-b.done
			queue = slices.Delete(queue, 0, 1)
			if ctx.Err() != nil {
				yield(manifest.Entry{}, context.Cause(ctx))
				return false
			}
			ok, err := v.settle(ctx, b, yield)
			b.free()
			if err != nil {
				yield(manifest.Entry{}, err)
				return false
			}
			return ok
		}
		for b, err := range v.batches(ctx) {
			if err == nil {
				err = v.pool.submit(b)
			}
			if err != nil {
				yield(manifest.Entry{}, err)
				return
			}
			queue = append(queue, b)
			for len(queue) == window || len(queue) > 0 && v.open >= maxOpen {
				if !settle() {
					return
				}
			}
		}
		for len(queue) > 0 {
			if !settle() {
				return
			}
		}
		if err := v.finish(ctx); err != nil {
			yield(manifest.Entry{}, err)
			return
		}
		v.ended = true
	}
}
