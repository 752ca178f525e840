package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// tar (POSIX ustar, pax, GNU): each regular member is read like a file. Files
// may follow each other, as tar -A or cat leave them.

const tarBlock = 512

func matchTar(_ *input, head []byte) bool {
	if len(head) < tarBlock {
		return false
	}
	if bytes.Equal(head[257:262], []byte("ustar")) {
		return true
	}
	// Before ustar there was no magic: the checksum tells.
	if head[0] == 0 || !tarChecksum(head) {
		return false
	}
	return true
}

func tarChecksum(b []byte) bool {
	want, err := strconv.ParseInt(strings.Trim(string(b[148:156]), " \x00"), 8, 64)
	if err != nil {
		return false
	}
	var sum int64
	for i, c := range b[:tarBlock] {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int64(c)
	}
	return sum == want
}

func readTar(p *pass, in *input) error {
	if in.depth >= p.a.opts.MaxNesting {
		return p.refuse(in.pos, "archives nested too deep")
	}
	for {
		t := tar.NewReader(in.w)
		for {
			h, err := t.Next()
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				if b := in.w.broken(); b != nil {
					err = b
				}
				return p.brokenStream(in.pos, "tar", err)
			}
			if err := p.tarMember(in, h, t); err != nil {
				return err
			}
		}
		// Zero blocks may stand between files that follow each other.
		for {
			b := in.w.peek(tarBlock)
			if len(b) == 0 {
				return p.end(in)
			}
			n := min(len(b), tarBlock)
			if len(bytes.Trim(b[:n], "\x00")) > 0 {
				if !matchTar(nil, b) {
					return p.refuse(in.pos, "data behind the end of the tar file")
				}
				break
			}
			in.w.skip(n)
		}
	}
}

func (p *pass) tarMember(in *input, h *tar.Header, r io.Reader) error {
	name := strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
	m := p.member(in, name)
	if name == "" && h.Typeflag == tar.TypeDir {
		return nil
	}
	if why, ok := safeName(name); !ok {
		return p.refuse(in.pos, "tar: "+why)
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	case tar.TypeLink, tar.TypeSymlink:
		return p.refuse(m.pos, "tar: a link, not a message")
	default:
		return p.refuse(m.pos, "tar: neither a file nor a directory")
	}
	if h.Size > p.a.opts.MaxMessage && len(h.PAXRecords) > 0 && h.PAXRecords["GNU.sparse.major"] != "" || h.Typeflag == tar.TypeGNUSparse && h.Size > p.a.opts.MaxMessage {
		return p.refuse(m.pos, "tar: a sparse member far larger than mail is")
	}
	m.mtime, m.mode = h.ModTime, fs.FileMode(h.Mode)&0o777
	if tmpMember(name) {
		return nil
	}
	return p.file(m, r)
}

// member is the input of a file inside the file in.
func (p *pass) member(in *input, name string) *input {
	members := make([]string, 0, len(in.pos.Members)+1)
	members = append(append(members, in.pos.Members...), name)
	return &input{
		pos:   Position{File: in.pos.File, Members: members, Offset: -1},
		name:  base(name),
		path:  name,
		mail:  isMailName(name),
		depth: in.depth + 1,
	}
}

// tmpMember tells whether a member lies in the tmp of a Maildir: never
// acknowledged, perhaps half written.
func tmpMember(name string) bool {
	dir, _, ok := cutLast(name)
	return ok && base(dir) == "tmp"
}
