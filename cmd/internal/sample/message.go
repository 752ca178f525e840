package sample

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"mailsync/manifest"
)

var words = strings.Fields("the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she there would their we him been has when who will no more if out so up said what its about than into them can only other time new some could these two may first then do any like my now over such our man me even most made after also did many off before must well back through years much where your way down should because long each just state those people invoice report meeting attached please regards project schedule update server quarterly budget draft review contract order shipment delivery account reminder agenda minutes proposal summary")

const dateLayout = "Mon, 02 Jan 2006 15:04:05 +0000"

// rand returns the generator of the message's own bytes.
func (m *Message) rand() *rand.Rand {
	return rand.New(rand.NewPCG(m.seed[0]^0x6d61696c, m.seed[1]<<8|uint64(m.changed&0xff)))
}

// Bytes returns the message as a client would see it, with the line ends it
// has on disk.
func (m *Message) Bytes() []byte {
	archived := m.Archived()
	if !m.Incoming {
		return archived
	}
	// What the delivering server put in front of the gateway's copy.
	var b bytes.Buffer
	nl := "\n"
	if m.kind == crlf {
		nl = "\r\n"
	}
	if m.kind == fromLine {
		fmt.Fprintf(&b, "From bounce@example.net %s%s", m.Date.Format("Mon Jan _2 15:04:05 2006"), nl)
	}
	fmt.Fprintf(&b, "Return-Path: <%s>%s", m.sender(), nl)
	fmt.Fprintf(&b, "Delivered-To: %s%s", m.Address, nl)
	fmt.Fprintf(&b, "Received: from gateway.example.org (gateway.example.org [192.0.2.1])%s\tby mx1.example.org with LMTP id %08x%s\tfor <%s>; %s%s",
		nl, uint32(m.seed[1]*2654435761), nl, m.Address, m.Date.Format(dateLayout), nl)
	b.Write(archived)
	return b.Bytes()
}

func (m *Message) sender() string {
	return fmt.Sprintf("%s@mail%d.example.net", firsts[(m.seed[1]*31+7)%uint64(len(firsts))], m.seed[1]%90)
}

// Archived returns the message as the gateway saw it, before delivery.
func (m *Message) Archived() []byte {
	r := m.rand()
	var b bytes.Buffer
	date := m.Date.Add(-time.Duration(r.IntN(90)) * time.Second).Format(dateLayout)
	if m.Incoming {
		fmt.Fprintf(&b, "Received: from mx%d.example.net (mx.example.net [192.0.2.%d])\n\tby gateway.example.org (Postfix) with ESMTPS id %012X\n\tfor <%s>; %s\n",
			r.IntN(90), r.IntN(255), r.Uint64()>>16, m.to, m.Date.Format(dateLayout))
	}
	if m.ID != "" {
		fmt.Fprintf(&b, "Message-ID: %s\n", m.ID)
	}
	from, to := m.sender(), m.to
	if !m.Incoming {
		from, to = to, from
	}
	fmt.Fprintf(&b, "Date: %s\nFrom: %s\nTo: %s\n", date, from, to)
	b.WriteString("Subject: ")
	for range 2 + r.IntN(6) {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	fmt.Fprintf(&b, "(%d)\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n", m.seed[1]&0xffffffff)
	if m.kind != emptyBody {
		m.body(r, &b)
	}
	return m.finish(b.Bytes())
}

// body writes text until the message has its size.
func (m *Message) body(r *rand.Rand, b *bytes.Buffer) {
	col := 0
	for b.Len() < max(m.target, 400) {
		w := words[r.IntN(len(words))]
		if m.kind == eightBit && r.IntN(9) == 0 {
			w = "\xe9t\xe9"
		}
		switch {
		case col+len(w) > 72:
			b.WriteByte('\n')
			col = 0
			if r.IntN(8) == 0 {
				b.WriteByte('\n')
			}
		case col > 0:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(w)
		col += len(w)
	}
	if m.kind == fewNULs {
		b.WriteString("\nthree \x00\x00\x00 of them")
	}
	b.WriteString("\n")
}

// finish gives the text its unusual form.
func (m *Message) finish(p []byte) []byte {
	switch m.kind {
	case crlf:
		return bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
	case noNewline:
		return bytes.TrimSuffix(p, []byte("\n"))
	}
	return p
}

// Stored returns the bytes of the message's file.
func (m *Message) Stored() []byte {
	p := m.Bytes()
	switch m.Encoding {
	case Gzip:
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			panic(err) // a constant level
		}
		_, _ = z.Write(p) // a bytes.Buffer never fails
		_ = z.Close()
		return b.Bytes()
	case Zstd:
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
		if err != nil {
			panic(err) // constant options
		}
		return z.EncodeAll(p, nil)
	}
	return p
}

// sizes returns the S= and W= of the message.
func (m *Message) sizes() (s, w int64) {
	if m.s == 0 {
		p := m.Bytes()
		m.s = int64(len(p))
		m.w = m.s + int64(bytes.Count(p, []byte("\n"))-bytes.Count(p, []byte("\r\n")))
	}
	return m.s, m.w
}

// Base returns the file name before its flags.
func (m *Message) Base() string {
	s, w := m.sizes()
	return fmt.Sprintf("%s,S=%d,W=%d", m.Unique, s, w)
}

// Name returns the file name.
func (m *Message) Name() string {
	if m.Sub == manifest.New {
		return m.Base()
	}
	letters := []byte{}
	for _, k := range m.Keywords {
		if i := slices.Index(m.folder.Keywords, k); i >= 0 {
			letters = append(letters, 'a'+byte(i))
		}
	}
	slices.Sort(letters)
	return m.Base() + ":2," + m.Flags + string(letters)
}

// File returns the path relative to the folder's directory.
func (m *Message) File() string { return m.Sub.String() + "/" + m.Name() }

// Path returns the file's path in the store that was written to root.
func (m *Message) Path(root string) string {
	return filepath.Join(root, m.box.Path, m.folder.Dir, m.Sub.String(), m.Name())
}

// Digest returns the digest of the message's file.
func (m *Message) Digest() manifest.Digest { return manifest.BLAKE3.Sum(m.Stored()) }
