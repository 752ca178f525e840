package message

import (
	"bytes"

	"mailsync/manifest"
)

// converter digests a message with the other line ends, streaming.
type converter struct {
	k      counter
	known  bool // the first line end was seen
	strip  bool // it was CRLF: CRs before LFs go; else LFs get one
	prevCR bool // the last byte seen was a CR and was held back
}

func (c *converter) reset(alg manifest.Alg) {
	c.k.reset(alg)
	c.known, c.strip, c.prevCR = false, false, false
}

var cr = []byte{'\r'}

func (c *converter) write(p []byte) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		line, ended := p, i >= 0
		if ended {
			line = p[:i]
		}
		crlf := c.prevCR && len(line) == 0 || len(line) > 0 && line[len(line)-1] == '\r'
		if c.prevCR && len(line) > 0 {
			c.k.write(cr)
		}
		c.prevCR = false
		if crlf && len(line) > 0 {
			line = line[:len(line)-1]
		}
		c.k.write(line)
		if !ended {
			c.prevCR = crlf // held back until what follows is known
			return
		}
		if !c.known {
			c.known, c.strip = true, crlf
		}
		if !c.strip {
			c.k.write(cr)
		}
		c.k.write(lf)
		p = p[i+1:]
	}
}

func (c *converter) finish() manifest.Digest {
	if c.prevCR {
		c.k.write(cr)
		c.prevCR = false
	}
	return c.k.finish().Digest
}
