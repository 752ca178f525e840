package archive

import (
	"bytes"
	"io"
	"os"
)

// content is a message's bytes: in memory, or a part of the spool file.
type content struct {
	mem  []byte
	file *os.File // set when the bytes lie in the spool
	off  int64
	n    int64
}

func (c *content) size() int64 {
	if c.file != nil {
		return c.n
	}
	return int64(len(c.mem))
}

func (c *content) bytes() ([]byte, bool) {
	if c.file != nil {
		return nil, false
	}
	return c.mem, true
}

func (c *content) open() io.Reader {
	if c.file != nil {
		return io.NewSectionReader(c.file, c.off, c.n)
	}
	return bytes.NewReader(c.mem)
}
