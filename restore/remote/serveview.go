package remote

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
)

// view sends a mailbox as a manifest, and what a manifest does not hold after
// it.
func (st *servedStore) view(r *reply, body []byte) error {
	var q viewRequest
	if err := Decode(body, &q); err != nil {
		return err
	}
	src := st.Source
	if q.Record {
		if src = st.Record; src == nil {
			return fmt.Errorf("%w: %q", compare.ErrNoMailbox, q.Mailbox)
		}
	}
	v, err := src.Open(r.ctx, q.Mailbox)
	if err != nil {
		return err
	}
	defer v.Close()
	losing, _ := v.(compare.Losing)
	if err := r.sendValue(frameItem, viewBegin{Losing: losing != nil}); err != nil {
		return err
	}
	first, err := header(v)
	if err != nil {
		return err
	}
	if err := writeManifest(r, v, func(w *manifest.Writer) error { return entries(r, v, w) }); err != nil {
		return err
	}
	e := viewEnd{Blind: blind(v), Gaps: gaps(v)}
	if losing != nil {
		e.Unexplained = losing.Unexplained()
	}
	last, err := header(v)
	if err != nil {
		return err
	}
	next, stop := iter.Pull2(v.Absences(r.ctx))
	defer stop()
	x, err, more := next()
	if err != nil {
		return err
	}
	e.Same = !more && bytes.Equal(first, last)
	if err := r.sendValue(frameItem, e); err != nil || e.Same {
		return err
	}
	return writeManifest(r, v, func(w *manifest.Writer) error {
		for ; more; x, err, more = next() {
			if err != nil {
				return err
			}
			if err := w.Absent(&x); err != nil {
				return err
			}
		}
		return nil
	})
}

// header is a manifest's of the mailbox as the view knows it now.
func header(v compare.View) ([]byte, error) {
	mb := *v.Mailbox()
	var b bytes.Buffer
	_, err := manifest.NewWriter(&b, &mb)
	return b.Bytes(), err
}

// blind tells what a look could not see.
func blind(v compare.View) (out [][2]string) {
	p, ok := v.(compare.Partly)
	if !ok {
		return nil
	}
	list := p.Blind()
	for _, folder := range slices.Sorted(maps.Keys(list)) {
		if len(out) == maxBlind {
			return append(out, [2]string{"", fmt.Sprintf("%d folders could not be listed", len(list))})
		}
		why := list[folder]
		out = append(out, [2]string{folder, why[:min(len(why), 100)]})
	}
	return out
}

// gaps tells what a look could not learn.
func gaps(v compare.View) (out []gap) {
	p, ok := v.(compare.Patchy)
	if !ok {
		return nil
	}
	list := p.Gaps()
	for _, g := range list[:min(len(list), maxBlind)] {
		out = append(out, gap{Folder: g.Folder, What: g.What, Lost: g.Lost, Reason: g.Reason[:min(len(g.Reason), 100)]})
	}
	return out
}

// writeManifest sends a manifest with the mailbox as the view knows it now.
func writeManifest(r *reply, v compare.View, fill func(*manifest.Writer) error) error {
	mb := *v.Mailbox()
	out := bufio.NewWriterSize(&data{f: r.frames}, maxData)
	w, err := manifest.NewWriter(out, &mb)
	if err != nil {
		return err
	}
	// The header stands by itself: a caller may want no more.
	if err := out.Flush(); err != nil {
		return err
	}
	if err := fill(w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Flush()
}

func entries(r *reply, v compare.View, w *manifest.Writer) error {
	for e, err := range v.Entries(r.ctx) {
		if err != nil {
			return err
		}
		if err := w.Add(&e); err != nil {
			return err
		}
	}
	return nil
}

func (st *servedStore) lookup(r *reply, body []byte) error {
	var q lookupRequest
	if err := Decode(body, &q); err != nil {
		return err
	}
	out := presences{Presences: make([]byte, len(q.Unique))}
	if st.Witness != nil {
		list, err := st.Witness.Lookup(r.ctx, q.Mailbox, q.Folder, q.Unique)
		if err != nil {
			return err
		}
		for i, p := range list[:min(len(list), len(q.Unique))] {
			out.Presences[i] = byte(p)
		}
	}
	return r.sendValue(frameItem, out)
}

func (st *servedStore) evidence(r *reply, body []byte) error {
	var q evidenceRequest
	if err := Decode(body, &q); err != nil {
		return err
	}
	if st.Witness == nil {
		return r.sendValue(frameItem, evidence{})
	}
	d, err := q.Digest.digest()
	if err != nil {
		return err
	}
	e := manifest.Entry{
		Folder: q.Folder, Unique: q.Unique, Sub: manifest.Sub(q.Sub), Name: q.Name, Size: q.Size, Inode: q.Inode, Digest: d,
	}
	ev, err := st.Witness.Evidence(r.ctx, st.Source.Info().Name, q.Mailbox, &e, compare.EvidenceKind(q.Kind))
	if err != nil {
		return err
	}
	return r.sendValue(frameItem, evidence{
		Known: ev.Known, Holds: uint8(ev.Holds), Finding: uint8(ev.Finding), Exact: digestOf(ev.Exact),
		Delivery: digestOf(ev.Delivery), Body: digestOf(ev.Body), ID: digestOf(ev.ID), NoID: digestOf(ev.NoID),
		Detail: ev.Detail[:min(len(ev.Detail), maxErrorText)],
	})
}

func (q *messageRequest) action() *restore.Action {
	return &restore.Action{
		Ref: manifest.Ref{Mailbox: q.Mailbox}, From: q.From,
		FromDir: q.Dir, FromSub: manifest.Sub(q.Sub), FromName: q.Name,
	}
}

// message sends the bytes of a message, and what they hash to.
func (st *servedStore) message(r *reply, body []byte) error {
	var q messageRequest
	if err := Decode(body, &q); err != nil {
		return err
	}
	if st.Messages == nil {
		return fmt.Errorf("%w: a record holds no mail", ErrRefused)
	}
	in, err := st.Messages.Open(r.ctx, q.action())
	if err != nil {
		return err
	}
	defer in.Close()
	return r.body(in)
}

// body sends bytes, and what they hash to.
func (r *reply) body(in io.Reader) error {
	h := manifest.BLAKE3.New()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	p := newPacker()
	defer p.release()
	out := &data{f: r.frames, pack: p.pack}
	var size int64
	for {
		n, err := io.ReadFull(in, *buf)
		if n > 0 {
			part := (*buf)[:n]
			_, _ = h.Write(part)
			size += int64(n)
			if _, err := out.Write(part); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
	}
	sum := manifest.Digest{Alg: manifest.BLAKE3}
	h.Sum(sum.Sum[:0])
	return r.sendValue(frameItem, messageEnd{Size: size, Digest: digestOf(sum)})
}

// small sends a small file of a folder.
func (st *servedStore) small(r *reply, body []byte) error {
	var q messageRequest
	if err := Decode(body, &q); err != nil {
		return err
	}
	src, ok := st.Messages.(restore.SmallFiles)
	if !ok {
		return fmt.Errorf("%w: it hands out messages only", restore.ErrNoSource)
	}
	p, err := src.SmallFile(r.ctx, q.action(), q.Small)
	if err != nil {
		return err
	}
	if _, err := (&data{f: r.frames}).Write(p); err != nil {
		return err
	}
	return r.sendValue(frameItem, messageEnd{Size: int64(len(p)), Digest: digestOf(manifest.BLAKE3.Sum(p))})
}
