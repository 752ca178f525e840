package message

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"io"
	"strconv"
	"strings"
)

// Tri is yes, no or not known.
type Tri uint8

// The three answers.
const (
	Maybe Tri = iota
	Yes
	No
)

// DKIM is what the body hashes of a message's signatures say about its body.
// No key is fetched and no signature verified: a body hash that verifies
// proves that the body is what the signer saw, or that somebody made both up.
// One that does not verify proves little by itself: lists and gateways change
// bodies after they were signed. Between copies of one message, the one that
// verifies is the original.
type DKIM struct {
	Signatures int // DKIM-Signature fields with a usable bh=
	Whole      int // of them, those that cover the whole body (no l=, or l= not below its length)
	Verified   int // of Whole, those whose hash is the body's
	Holds      Tri // Yes: one over the whole body verifies. No: there are some and none does. Maybe: none is usable
}

// maxSignatures bounds the signatures of one message.
const maxSignatures = 32

type signature struct {
	relaxed bool
	sha1    bool
	bh      []byte
	length  int64 // l=, -1 without
}

// DKIMBody checks the body hashes (RFC 6376 §3.7) of a message, which may be
// compressed. LFs without CR count as line ends, as the message was sent with
// CRLF. The error is the reader's or wraps ErrLimit, ErrTruncated or ErrCorrupt.
func DKIMBody(r io.Reader, l Limits) (DKIM, error) {
	o, err := openMessage(r, l)
	if err != nil {
		return DKIM{}, err
	}
	defer func() { _ = o.close() }()
	var sigs []signature
	for f := range Fields(o.head) {
		if f.Is("dkim-signature") && len(sigs) < maxSignatures {
			if s, ok := parseSignature(f.Value); ok {
				sigs = append(sigs, s)
			}
		}
	}
	d := DKIM{Signatures: len(sigs)}
	if len(sigs) == 0 {
		return d, nil
	}
	forms := [2]*dkimForm{{}, {relaxed: true}}
	for _, s := range sigs {
		forms[formOf(s)].want(s.sha1)
	}
	piece := make([]byte, 32<<10)
	for {
		n, err := o.body.Read(piece)
		for _, f := range forms {
			f.write(piece[:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return d, err
		}
	}
	for _, f := range forms {
		f.finish()
	}
	for _, s := range sigs {
		f := forms[formOf(s)]
		if s.length >= 0 && s.length < f.n {
			continue // says nothing of the rest
		}
		d.Whole++
		if (s.length < 0 || s.length == f.n) && bytes.Equal(s.bh, f.sum(s.sha1)) {
			d.Verified++
		}
	}
	switch {
	case d.Verified > 0:
		d.Holds = Yes
	case d.Whole > 0:
		d.Holds = No
	}
	return d, nil
}

func formOf(s signature) int {
	if s.relaxed {
		return 1
	}
	return 0
}

// parseSignature reads the tags of a DKIM-Signature that concern the body. A
// tag counts once, at its place: "bh=" inside another tag's value is none.
func parseSignature(value []byte) (s signature, ok bool) {
	s.length = -1
	algorithm := ""
	seen := map[string]bool{}
	for tag := range strings.SplitSeq(string(value), ";") {
		name, v, found := strings.Cut(tag, "=")
		name = strings.TrimSpace(name)
		if !found || seen[name] {
			if found {
				return s, false
			}
			continue
		}
		seen[name] = true
		v = strings.Map(func(r rune) rune {
			if r <= ' ' {
				return -1
			}
			return r
		}, v)
		switch name {
		case "a":
			algorithm = strings.ToLower(v)
		case "bh":
			bh, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				return s, false
			}
			s.bh = bh
		case "c":
			_, body, _ := strings.Cut(strings.ToLower(v), "/")
			switch body {
			case "relaxed":
				s.relaxed = true
			case "", "simple":
			default:
				return s, false
			}
		case "l":
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < 0 {
				return s, false
			}
			s.length = n
		}
	}
	switch {
	case strings.HasSuffix(algorithm, "-sha256"):
		return s, len(s.bh) == sha256.Size
	case strings.HasSuffix(algorithm, "-sha1"):
		s.sha1 = true
		return s, len(s.bh) == sha1.Size
	}
	return s, false
}

// dkimForm digests a body in one canonical form (RFC 6376 §3.4.3, §3.4.4),
// streaming.
type dkimForm struct {
	relaxed    bool
	h1, h2     hash.Hash
	n          int64 // canonical bytes
	empty      int64 // empty lines held back: those at the end do not count
	text       bool  // the line has content
	space, crs bool  // white space, a CR is held back
}

func (f *dkimForm) want(withSHA1 bool) {
	switch {
	case withSHA1 && f.h1 == nil:
		f.h1 = sha1.New()
	case !withSHA1 && f.h2 == nil:
		f.h2 = sha256.New()
	}
}

func (f *dkimForm) put(p []byte) {
	if f.h1 != nil {
		_, _ = f.h1.Write(p)
	}
	if f.h2 != nil {
		_, _ = f.h2.Write(p)
	}
	f.n += int64(len(p))
}

var crlf = []byte("\r\n")

func (f *dkimForm) write(p []byte) {
	if f.h1 == nil && f.h2 == nil {
		return
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			f.part(p)
			return
		}
		f.part(p[:i])
		f.endLine()
		p = p[i+1:]
	}
}

// part takes a part of a line.
func (f *dkimForm) part(p []byte) {
	if len(p) == 0 {
		return
	}
	if f.crs { // the CR held back was not the line's end
		f.crs = false
		f.content([]byte{'\r'})
	}
	if p[len(p)-1] == '\r' {
		f.crs = true
		p = p[:len(p)-1]
	}
	f.content(p)
}

func (f *dkimForm) content(p []byte) {
	if !f.relaxed {
		f.line(p)
		return
	}
	for len(p) > 0 {
		if p[0] == ' ' || p[0] == '\t' {
			f.space = true
			p = bytes.TrimLeft(p, " \t")
			continue
		}
		i := bytes.IndexAny(p, " \t")
		if i < 0 {
			i = len(p)
		}
		if f.space {
			f.line([]byte{' '})
			f.space = false
		}
		f.line(p[:i])
		p = p[i:]
	}
}

// line puts out content of a line, after the empty lines before it.
func (f *dkimForm) line(p []byte) {
	if len(p) == 0 {
		return
	}
	for ; f.empty > 0; f.empty-- {
		f.put(crlf)
	}
	f.text = true
	f.put(p)
}

func (f *dkimForm) endLine() {
	f.crs, f.space = false, false
	if !f.text {
		f.empty++
		return
	}
	f.text = false
	f.put(crlf)
}

func (f *dkimForm) finish() {
	if f.crs {
		f.crs = false
		f.content([]byte{'\r'})
	}
	if f.text {
		f.endLine()
	}
	if f.n == 0 && !f.relaxed {
		f.put(crlf)
	}
}

func (f *dkimForm) sum(withSHA1 bool) []byte {
	if withSHA1 {
		return f.h1.Sum(nil)
	}
	return f.h2.Sum(nil)
}
