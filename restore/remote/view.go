package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"mailsync/compare"
	"mailsync/manifest"
)

// dataReader reads the data of an answer up to its next item or its end.
type dataReader struct {
	a    *answer
	rest []byte
	buf  []byte
	// stop is what ended the data: io.EOF where it was an item, which is kept.
	stop error
	item []byte
}

// fill waits for data; io.EOF where there is no more.
func (d *dataReader) fill() error {
	for len(d.rest) == 0 && d.stop == nil {
		kind, frame, err := d.a.next()
		switch {
		case err != nil:
			d.stop = err
		case kind == frameItem:
			d.item, d.stop = append([]byte(nil), frame...), io.EOF
		case kind == framePacked:
			d.buf, d.stop = unpack(frame, d.buf)
			d.rest = d.buf
		case len(frame) > maxData:
			d.stop = fmt.Errorf("%w: %d bytes of data in a frame", ErrProtocol, len(frame))
		default:
			d.rest = frame
		}
	}
	if len(d.rest) == 0 {
		return d.stop
	}
	return nil
}

// Read implements io.Reader.
func (d *dataReader) Read(p []byte) (int, error) {
	if err := d.fill(); err != nil {
		return 0, err
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// view is a mailbox of the other end: two manifests that are read as they come.
// The first holds the entries. The second holds the mailbox as the ended look
// knows it, and the absences; between them comes what a manifest cannot tell.
type view struct {
	a    *answer
	d    *dataReader
	rd   *manifest.Reader
	mb   *manifest.Mailbox
	tail *manifest.Reader // nil until the entries have ended
	done bool             // they have, and no tail follows
	end  viewEnd
}

// losingView is a view that counts what is gone without an explanation.
type losingView struct{ *view }

// Unexplained implements compare.Losing.
func (v *losingView) Unexplained() int64 { return max(v.end.Unexplained, 0) }

func (s *Store) view(ctx context.Context, mailbox string, record bool) (compare.View, error) {
	a, err := s.p.ask(ctx, methodView, s.id, viewRequest{Mailbox: mailbox, Record: record})
	if err != nil {
		return nil, unknown(ctx, err)
	}
	v := &view{a: a, d: &dataReader{a: a}}
	var begin viewBegin
	if err = a.item(&begin); err == nil {
		v.rd, err = manifest.NewReader(v.d)
	}
	if err == nil && v.rd.Mailbox().Name != mailbox {
		err = fmt.Errorf("%w: it is the manifest of another mailbox", ErrProtocol)
	}
	if err != nil {
		a.close()
		return nil, unknown(ctx, err)
	}
	v.mb = v.rd.Mailbox()
	if begin.Losing {
		return &losingView{v}, nil
	}
	return v, nil
}

// unknown makes of a failure to look what compare takes it for.
func unknown(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, compare.ErrNoMailbox), errors.Is(err, compare.ErrUnknown):
		return err
	}
	return fmt.Errorf("%w: %w", compare.ErrUnknown, err)
}

// Mailbox implements compare.View.
func (v *view) Mailbox() *manifest.Mailbox { return v.mb }

// Close implements compare.View.
func (v *view) Close() error {
	v.a.close()
	return nil
}

// Blind implements compare.Partly.
func (v *view) Blind() map[string]string {
	if len(v.end.Blind) == 0 {
		return nil
	}
	out := make(map[string]string, len(v.end.Blind))
	for _, b := range v.end.Blind {
		out[b[0]] = b[1]
	}
	return out
}

// Gaps implements compare.Patchy.
func (v *view) Gaps() []compare.Gap {
	out := make([]compare.Gap, len(v.end.Gaps))
	for i, g := range v.end.Gaps {
		out[i] = compare.Gap{Folder: g.Folder, What: g.What, Lost: g.Lost, Reason: g.Reason}
	}
	return out
}

// Entries implements compare.View.
func (v *view) Entries(ctx context.Context) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		n := 0
		for e, err := range v.rd.Entries() {
			if n++; n%256 == 1 && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
		err := v.middle()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			yield(manifest.Entry{}, err)
		}
	}
}

// middle reads the end of the first manifest and the beginning of the second.
func (v *view) middle() error {
	for range v.rd.Absences() {
		return fmt.Errorf("%w: absences among the entries", ErrProtocol)
	}
	first := v.rd.Mailbox()
	if v.d.item == nil {
		return fmt.Errorf("%w: a view lacks its end", ErrProtocol)
	}
	if err := Decode(v.d.item, &v.end); err != nil {
		return err
	}
	if len(v.end.Blind) > maxBlind+1 || len(v.end.Gaps) > maxBlind {
		return fmt.Errorf("%w: %d blind folders, %d gaps", ErrProtocol, len(v.end.Blind), len(v.end.Gaps))
	}
	if v.end.Same {
		v.done = true
		return v.a.finish()
	}
	v.d = &dataReader{a: v.a}
	tail, err := manifest.NewReader(v.d)
	if err != nil {
		return err
	}
	mb := tail.Mailbox()
	if mb.Name != first.Name || mb.Alg != first.Alg {
		return fmt.Errorf("%w: a view ends as another mailbox than it began", ErrProtocol)
	}
	mb.Messages, mb.Bytes, mb.Content, mb.State = first.Messages, first.Bytes, first.Content, first.State
	v.tail, v.mb = tail, mb
	return nil
}

// Absences implements compare.View.
func (v *view) Absences(ctx context.Context) iter.Seq2[manifest.Absence, error] {
	return func(yield func(manifest.Absence, error) bool) {
		if v.tail == nil && !v.done {
			for _, err := range v.Entries(ctx) {
				if err != nil {
					yield(manifest.Absence{}, err)
					return
				}
			}
		}
		if v.done {
			if ctx.Err() != nil {
				yield(manifest.Absence{}, context.Cause(ctx))
			}
			return
		}
		// The sums of the tail are those of no entries; the mailbox' own stand.
		own := *v.mb
		for _, err := range v.tail.Entries() {
			if err == nil {
				err = fmt.Errorf("%w: entries among the absences", ErrProtocol)
			}
			yield(manifest.Absence{}, err)
			return
		}
		n := 0
		for x, err := range v.tail.Absences() {
			if n++; n%256 == 1 && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if !yield(x, err) || err != nil {
				return
			}
		}
		v.mb.Messages, v.mb.Bytes, v.mb.Content, v.mb.State = own.Messages, own.Bytes, own.Content, own.State
		if !errors.Is(v.a.err, io.EOF) {
			yield(manifest.Absence{}, fmt.Errorf("%w: a view does not end where its manifest does", ErrProtocol))
		}
	}
}
