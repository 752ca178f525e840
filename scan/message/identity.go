package message

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"mailsync/manifest"
)

// Identity is under what a message is the same as another copy of it. The
// digests are those of docs/identity.md; a zero digest means that the tier
// does not apply (no Message-ID, no Date).
type Identity struct {
	Exact    manifest.Digest // tier A: all canonical header fields but transport's, and the body
	Delivery manifest.Digest // tier B: Message-ID, Date, From, Subject without tags, body
	Body     manifest.Digest // tier C: Message-ID and body
	ID       manifest.Digest // tier D: Message-ID, Date, From (one of the two at least); the body may differ
	NoID     manifest.Digest // tier E: Date, From, To, Subject, body, with or without Message-ID; zero without Date or From
	HeaderID manifest.HeaderID

	Size     int64    // of the message, decompressed
	Encoding Encoding // in which it came
	Opaque   bool     // encrypted: no tier applies

	MessageID string // as in the header with its angle brackets, white space trimmed; "" when absent
}

// Identifier computes identities of one message after another and keeps its
// buffers; one goroutine uses it at a time.
type Identifier struct {
	limits Limits
	dec    decoders
	body   relaxed
	head   []byte // header of a message that is read
	piece  []byte
	arena  []byte // canonical fields
	fields [][]byte
	values [4][]byte // of the named fields
	buf    []byte
}

// NewIdentifier returns an Identifier.
func NewIdentifier(l Limits) *Identifier { return &Identifier{limits: l.withDefaults()} }

// Identify reads one message and returns its identities; see
// Identifier.Read.
func Identify(r io.Reader, l Limits) (Identity, error) {
	x := NewIdentifier(l)
	defer x.Close()
	return x.Read(r)
}

// Close frees the decoders.
func (x *Identifier) Close() { x.dec.close() }

// Identify returns the identities of a message that is whole in memory. The
// errors are those of Read.
func (x *Identifier) Identify(p []byte) (Identity, error) {
	if enc := Detect(p); enc != Plain {
		return x.stream(&feed{p: p, end: true}, enc)
	}
	head, body, err := x.split(p, true)
	if err != nil {
		return Identity{Size: int64(len(p))}, err
	}
	x.body.reset()
	_, _ = x.body.Write(p[body:])
	id, err := x.identity(p[:head], p)
	id.Size = int64(len(p))
	return id, err
}

// Read reads one message and returns its identities. Compression is undone.
// The error is the reader's, or wraps ErrLimit, ErrTruncated or ErrCorrupt;
// the identity then says no more than what kind of file it is: digests over
// a message that was not read whole would be wrong.
func (x *Identifier) Read(r io.Reader) (Identity, error) {
	br := newPeeker(marked{r})
	first, err := br.Peek(MagicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return Identity{}, streamError(Plain, err)
	}
	return x.stream(br, Detect(first))
}

func (x *Identifier) stream(src source, enc Encoding) (Identity, error) {
	id := Identity{Encoding: enc, Opaque: enc == MailCrypt}
	r := io.Reader(src)
	switch {
	case enc == MailCrypt:
		n, err := io.Copy(io.Discard, r)
		id.Size = n
		return id, streamError(enc, err)
	case enc.Compressed():
		in := &counting{src: src}
		plain, err := x.dec.open(enc, in, x.limits)
		if err != nil {
			return id, streamError(enc, err)
		}
		r = &bounded{r: plain, in: in, limits: &x.limits}
	}
	got, err := x.read(r)
	if err != nil {
		id.Size = got.Size
		return id, streamError(enc, err)
	}
	got.Encoding = enc
	return got, nil
}

// read reads a plain message: the header whole, the body in pieces.
func (x *Identifier) read(r io.Reader) (Identity, error) {
	if x.piece == nil {
		x.piece = make([]byte, 64<<10)
	}
	x.head = x.head[:0]
	searched, end, eof := 0, -1, false
	for end < 0 && !eof && int64(len(x.head)) < x.limits.MaxHeader {
		n, err := r.Read(x.piece)
		x.head = append(x.head, x.piece[:n]...)
		if err != nil && !errors.Is(err, io.EOF) {
			return Identity{Size: int64(len(x.head))}, err
		}
		eof = err != nil
		// look at whole lines only, and at each once
		if end = HeaderEnd(x.head[searched:]); end < 0 {
			searched = bytes.LastIndexByte(x.head, '\n') + 1
		}
	}
	id := Identity{Size: int64(len(x.head))}
	head, body, err := x.split(x.head, eof)
	if err != nil {
		return id, err
	}
	x.body.reset()
	_, _ = x.body.Write(x.head[body:])
	size := int64(len(x.head))
	if !eof {
		n, err := io.CopyBuffer(onlyWriter{&x.body}, onlyReader{r}, x.piece)
		size += n
		if err != nil {
			return Identity{Size: size}, err
		}
	}
	id, err = x.identity(x.head[:head], x.head)
	id.Size = size
	return id, err
}

// onlyReader and onlyWriter keep io.CopyBuffer from finding a way around the buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)

// split returns where the header of p ends and where its body begins. Without an
// empty line, the header ends at the first line that is neither field nor
// continuation; where every line is one, all is header. p is the beginning of a
// message, whole if eof is set.
func (x *Identifier) split(p []byte, eof bool) (head, body int, err error) {
	window := p
	if int64(len(p)) > x.limits.MaxHeader {
		window, eof = p[:x.limits.MaxHeader], false
	}
	if end := HeaderEnd(window); end >= 0 {
		return end, end, nil
	}
	for f := range Fields(window) {
		if f.Name == nil {
			return f.Start, f.Start, nil
		}
	}
	if !eof {
		return 0, 0, fmt.Errorf("header: %w of %d bytes", ErrLimit, x.limits.MaxHeader)
	}
	return len(p), len(p), nil
}

// identity computes the digests from the header and the body that was written
// to x.body. start is the beginning of the message, for the HeaderID.
func (x *Identifier) identity(head, start []byte) (Identity, error) {
	var id Identity
	_, f, _ := scanHeader(start, len(start) <= HeaderWindow)
	id.HeaderID, x.buf = f.headerID(x.buf)
	body := x.body.sum()

	var v found
	x.arena, x.fields = x.arena[:0], x.fields[:0]
	index := 0
	for field := range Fields(head) {
		if index >= x.limits.MaxFields {
			return Identity{}, fmt.Errorf("header: %w of %d fields", ErrLimit, x.limits.MaxFields)
		}
		at := len(x.arena)
		for _, c := range field.Name {
			if isUpper(c) {
				c |= 0x20
			}
			x.arena = append(x.arena, c)
		}
		name := x.arena[at:]
		v.keep(name, field.Value)
		x.arena = append(x.arena, ':')
		x.arena = appendCollapsed(x.arena, field.Value, len(field.Value))
		index++
		if len(name) > 0 && transport(name) {
			x.arena = x.arena[:at]
			continue
		}
		x.fields = append(x.fields, x.arena[at:len(x.arena):len(x.arena)])
	}
	x.tiers(&id, &v, body[:])
	return id, nil
}
