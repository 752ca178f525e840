package message

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"io"

	"mailsync/manifest"
)

// Leaves are the identities over decoded MIME leaves, which survive changes
// of transfer encoding, boundaries and folding.
type Leaves struct {
	Delivery manifest.Digest // tier B2; zero without Message-ID
	Body     manifest.Digest // tier C2; zero without Message-ID
	Parts    int             // leaves
}

// IdentifyLeaves computes tiers B2 and C2. It is the expensive one: ask for
// it where the tiers of Identify found no match. The error is the reader's, or
// wraps ErrLimit, ErrTruncated or ErrCorrupt.
func IdentifyLeaves(r io.Reader, l Limits) (Leaves, error) {
	o, err := openMessage(r, l)
	if err != nil {
		return Leaves{}, err
	}
	defer func() { _ = o.close() }()
	if o.opaque {
		return Leaves{}, nil
	}
	l = l.withDefaults()
	var f found
	var name []byte
	for field := range Fields(o.head) {
		name = appendLower(name[:0], field.Name)
		f.keep(name, field.Value)
	}
	w := &mimeWalker{limits: l, all: sha256.New()}
	w.header(o.head)
	piece := make([]byte, 64<<10)
	for {
		n, err := o.body.Read(piece)
		if werr := w.write(piece[:n]); werr != nil {
			return Leaves{}, werr
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return Leaves{}, err
		}
	}
	w.finish()
	leaves := w.all.Sum(nil)
	out := Leaves{Parts: w.parts}
	x := Identifier{}
	if id := appendMessageID(nil, f.id); len(id) > 0 {
		subject := bareSubject(decodeText(string(appendCollapsed(nil, f.subject, maxSubject))))
		out.Delivery = x.digest("B2", id, appendCollapsed(nil, f.date, maxToken), []byte(address(f.from)), []byte(subject), leaves)
		out.Body = x.digest("C2", id, leaves)
	}
	return out, nil
}

func appendLower(dst, p []byte) []byte {
	for _, c := range p {
		if isUpper(c) {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// leaf digests the decoded content of one MIME leaf: text in the relaxed+ form,
// anything else byte for byte.
type leaf struct {
	mediaType string
	text      bool
	relaxed   relaxed
	raw       hash.Hash
}

func (f *leaf) begin(mediaType string, text bool) {
	f.mediaType, f.text = mediaType, text
	if text {
		f.relaxed.reset()
		return
	}
	if f.raw == nil {
		f.raw = sha256.New()
	}
	f.raw.Reset()
}

func (f *leaf) Write(p []byte) (int, error) {
	if f.text {
		return f.relaxed.Write(p)
	}
	return f.raw.Write(p)
}

// end adds the leaf to the digest of all: its type behind its length, and its
// digest.
func (f *leaf) end(all hash.Hash) {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(f.mediaType)))
	_, _ = all.Write(n[:])
	_, _ = all.Write([]byte(f.mediaType))
	if f.text {
		sum := f.relaxed.sum()
		_, _ = all.Write(sum[:])
		return
	}
	_, _ = all.Write(f.raw.Sum(nil))
}
