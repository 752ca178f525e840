package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"mailsync/scan/message"
)

// input is one file, or one member of one, as a decompressed stream.
type input struct {
	pos   Position
	name  string // last component of the innermost name
	path  string // innermost path: of the member, else of the file below the root
	w     *window
	start int64 // offset at which w began: a cursor seeks plain files
	mtime time.Time
	mode  fs.FileMode
	depth int         // of containers and compressions around it
	under bool        // the name is that of a compressed file, without its suffix
	plain io.ReaderAt // the bytes as they lie on disk; nil inside containers and compression
	size  int64       // with plain
	mail  bool        // its place says that it is one message: a Maildir, an .eml name
	// beside opens a regular file of the same directory. It is nil inside of
	// containers, which are streams: nothing there can be looked up.
	beside func(name string) (*File, error)
}

// format is one archive format. Formats are asked in the order of the list.
type format struct {
	name  string
	match func(in *input, head []byte) bool
	// read yields what the input holds through p. It returns errStop, a
	// context's error, or nil: what is wrong with the input is a finding.
	read func(p *pass, in *input) error
}

// formats are asked in order; the last ones are the least particular.
func formats() []format {
	return []format{
		{"zip", matchZip, readZip},
		{"tar", matchTar, readTar},
		{"postfix", matchPostfix, readPostfix},
		{"exim", matchExim, readExim},
		{"quarantine", matchQuarantine, readQuarantine},
		{"piler", matchPiler, readPiler},
		{"bsmtp", matchBSMTP, readBSMTP},
		{"mbox", matchMbox, readMbox},
		{"emlx", matchEmlx, readEmlx},
		{"eml", matchEml, readEml},
	}
}

// headSize is how much of a file recognition looks at.
const headSize = 4096

// file recognises one input and reads it. The reader r is consumed.
func (p *pass) file(in *input, r io.Reader) error {
	buf := p.buffer(in.depth)
	in.w = newWindow(r, p.windowMax(), buf)
	in.w.off, in.w.chunk = in.start, p.chunk
	defer func() { p.release(in.depth, in.w.buf) }()
	head := in.w.peek(headSize)
	if len(head) > headSize {
		head = head[:headSize]
	}
	if kind := compression(head); kind != "" {
		if in.depth >= p.a.opts.MaxNesting {
			return p.refuse(in.pos, fmt.Sprintf("nested more than %d deep", p.a.opts.MaxNesting))
		}
		z, done, err := decompress(kind, in.w)
		if err != nil {
			return p.brokenStream(in.pos, kind, err)
		}
		defer done()
		inner := *in
		inner.depth, inner.under, inner.plain, inner.start = in.depth+1, true, nil, 0
		inner.name = trimSuffix(in.name)
		return p.file(&inner, z)
	}
	if len(head) == 0 {
		if err := in.w.broken(); err != nil {
			return p.brokenStream(in.pos, "file", err)
		}
		if in.mail {
			return p.truncated(in.pos, "empty file where a message should be")
		}
		return nil
	}
	for _, f := range p.formats {
		if f.match(in, head) {
			return f.read(p, in)
		}
	}
	if len(head) >= 4 && head[0] == 0xd0 && head[1] == 0xcf && head[2] == 0x11 && head[3] == 0xe0 {
		return p.refuse(in.pos, "an Outlook .msg file (OLE), not a message as it was sent")
	}
	if housekeeping(in.name) {
		return nil
	}
	return p.refuse(in.pos, "no known archive format")
}

// brokenStream reports a stream that ended before its end: cut, a bomb, or
// damaged. Context errors are passed on.
func (p *pass) brokenStream(pos Position, what string, err error) error {
	if p.ctx.Err() != nil {
		return p.cause()
	}
	// A container that breaks inside of a member is reported there.
	if n := len(pos.Members); p.told > n {
		p.told = 0
		return nil
	} else if n > 0 {
		p.told = n
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return p.truncated(pos, what+" ends before its end")
	case errors.Is(err, errBomb), errors.Is(err, message.ErrLimit):
		return p.refuse(pos, err.Error())
	}
	return p.damaged(pos, what+" is damaged or cannot be read: "+err.Error())
}

// end is called by readers of many messages when their window is at its end.
func (p *pass) end(in *input) error {
	if err := in.w.broken(); err != nil {
		pos := in.pos
		pos.Offset = in.w.off
		return p.brokenStream(pos, "compressed data or file", err)
	}
	return nil
}
