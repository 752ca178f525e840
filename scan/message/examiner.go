package message

import (
	"fmt"
	"io"
	"iter"

	"mailsync/manifest"
)

// Examiner finds the facts of one message after another. It keeps its buffers
// and decoders; one goroutine uses it at a time.
//
//	x.Reset(manifest.BLAKE3)
//	x.Write(p) // any number of times, in pieces as large as can be had
//	facts := x.Finish()
//
// or, for a message that is whole in memory, facts := x.Examine(alg, p).
//
// A plain message is not copied and nothing is allocated for it, as long as
// its header lies in the first piece.
type Examiner struct {
	limits Limits
	alg    manifest.Alg

	stored     counter
	other      converter // digest with the other line ends
	converting bool
	message    counter // of the decompressed content
	magic      []byte  // the first bytes, until MagicSize are there
	enc        Encoding
	known      bool // enc is decided

	head   header // of the message
	plain  []byte // decompressed piece
	dec    decoders
	in     feed
	resume func() (struct{}, bool) // runs the decoder until it wants more input
	stop   func()
	err    error // of the stream
}

// NewExaminer returns an Examiner. Its limits bound decompression.
func NewExaminer(l Limits) *Examiner {
	return &Examiner{limits: l.withDefaults(), magic: make([]byte, 0, MagicSize)}
}

// Reset begins a message whose digests will be of the algorithm alg. It
// forgets a message that was not finished.
func (x *Examiner) Reset(alg manifest.Alg) {
	x.abandon()
	x.alg = alg
	x.stored.reset(alg)
	x.magic, x.enc, x.known, x.err = x.magic[:0], Plain, false, nil
	x.head.reset()
	x.converting = false
}

// AlsoConverted asks, after Reset, for Facts.Converted. It costs a second
// digest; see Claim.Converted for when it is worth it.
func (x *Examiner) AlsoConverted() {
	x.other.reset(x.alg)
	x.converting = true
}

// Write takes the next bytes of the file as stored. It never fails and does
// not keep p.
func (x *Examiner) Write(p []byte) (int, error) {
	n := len(p)
	x.stored.write(p)
	if x.converting {
		x.other.write(p)
	}
	if !x.known {
		if x.detect(p, false); !x.known {
			return n, nil
		}
		if len(x.magic) > 0 { // bytes of earlier pieces were held back
			x.content(x.magic)
			x.magic = x.magic[:0]
		}
	}
	x.content(p)
	return n, nil
}

// detect decides the encoding as soon as there are enough bytes. Where there
// are not, it keeps p.
func (x *Examiner) detect(p []byte, end bool) {
	if len(x.magic) == 0 && (len(p) >= MagicSize || end) {
		x.enc, x.known = Detect(p), true
		return
	}
	k := min(MagicSize-len(x.magic), len(p))
	if len(x.magic)+len(p) < MagicSize && !end {
		x.magic = append(x.magic, p...)
		return
	}
	var first [MagicSize]byte
	m := copy(first[:], x.magic)
	m += copy(first[m:], p[:k])
	x.enc, x.known = Detect(first[:m]), true
}

// content passes stored bytes on to what they are.
func (x *Examiner) content(p []byte) {
	switch {
	case len(p) == 0 || x.enc == MailCrypt:
	case x.enc == Plain:
		x.head.write(p)
	default:
		x.inflate(p, false)
	}
}

// Finish ends the message and returns its facts.
func (x *Examiner) Finish() Facts {
	if !x.known {
		x.detect(nil, true)
		x.content(x.magic)
	}
	f := Facts{Stored: x.stored.finish(), Encoding: x.enc}
	switch {
	case x.enc == Plain:
		f.Message = f.Stored
		if x.converting {
			f.Converted = x.other.finish()
		}
	case x.enc.Compressed():
		x.inflate(nil, true)
		f.Message = x.message.finish()
		f.StreamErr = x.err
	}
	if x.enc != MailCrypt {
		f.Header, f.HeaderID = x.head.finish()
	}
	x.abandon()
	return f
}

// Examine returns the facts of a message that is whole in memory.
func (x *Examiner) Examine(alg manifest.Alg, p []byte) Facts {
	x.Reset(alg)
	x.stored.write(p)
	x.enc, x.known = Detect(p), true
	if x.enc == Plain {
		x.head.whole(p)
	} else if x.enc.Compressed() {
		x.message.reset(alg)
		x.in = feed{p: p, end: true}
		x.decode(&x.in)
	}
	f := Facts{Stored: x.stored.finish(), Encoding: x.enc}
	if x.enc == Plain {
		f.Message = f.Stored
	} else if x.enc.Compressed() {
		f.Message, f.StreamErr = x.message.finish(), x.err
	}
	if x.enc != MailCrypt {
		f.Header, f.HeaderID = x.head.finish()
	}
	x.in = feed{}
	return f
}

// Close frees the decoders. The Examiner can be used again after it.
func (x *Examiner) Close() {
	x.abandon()
	x.dec.close()
}

// feed hands the pieces that Write gets to a decoder that wants a reader. When
// it runs dry it yields to Write, which comes back with the next piece: the
// decoder is a coroutine, not a goroutine that would run on its own.
type feed struct {
	p     []byte
	end   bool
	taken int64
	yield func(struct{}) bool
}

func (f *feed) fill() error {
	for len(f.p) == 0 {
		if f.end {
			return io.EOF
		}
		if f.yield == nil || !f.yield(struct{}{}) {
			return io.ErrClosedPipe // abandoned
		}
	}
	return nil
}

func (f *feed) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if err := f.fill(); err != nil {
		return 0, err
	}
	n := copy(b, f.p)
	f.p = f.p[n:]
	f.taken += int64(n)
	return n, nil
}

func (f *feed) ReadByte() (byte, error) {
	if err := f.fill(); err != nil {
		return 0, err
	}
	c := f.p[0]
	f.p = f.p[1:]
	f.taken++
	return c, nil
}

// inflate lets the decoder run over p.
func (x *Examiner) inflate(p []byte, end bool) {
	if x.resume == nil && x.stop == nil {
		x.in = feed{}
		x.message.reset(x.alg)
		x.resume, x.stop = iter.Pull(func(yield func(struct{}) bool) {
			x.in.yield = yield
			x.decode(&x.in)
		})
	}
	if x.resume == nil {
		return // the stream has ended, or is broken
	}
	x.in.p, x.in.end = p, end
	if _, more := x.resume(); !more {
		x.resume = nil
	}
	x.in.p = nil
}

func (x *Examiner) abandon() {
	if x.stop != nil {
		x.stop()
		x.resume, x.stop = nil, nil
	}
	x.in = feed{}
}

// decode reads a compressed stream to its end and counts its content. What is
// wrong with it is kept in x.err.
func (x *Examiner) decode(in *feed) {
	r, err := x.dec.open(x.enc, in, x.limits)
	if x.plain == nil {
		x.plain = make([]byte, 32<<10)
	}
	for err == nil {
		var n int
		n, err = r.Read(x.plain)
		x.message.write(x.plain[:n])
		x.head.write(x.plain[:n])
		if lerr := x.limits.exceeded(x.message.c.Size, in.taken); lerr != nil {
			err = lerr
		}
	}
	if err != io.EOF {
		x.err = streamError(x.enc, err)
	}
}

// exceeded tells whether decompressed content grows beyond what is allowed.
func (l *Limits) exceeded(plain, stored int64) error {
	switch {
	case plain > l.MaxPlain:
		return fmt.Errorf("%w: more than %d decompressed bytes", ErrLimit, l.MaxPlain)
	case plain > l.RatioFree && plain/l.MaxRatio > stored:
		return fmt.Errorf("%w: expands more than %d times", ErrLimit, l.MaxRatio)
	}
	return nil
}
