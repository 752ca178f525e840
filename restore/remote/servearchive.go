package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"mailsync/restore/archive"
)

// Archives is a Host that hands out archives, too.
type Archives interface {
	Host
	// OpenArchive opens an archive, or fails with ErrRefused where it is not to
	// be served.
	OpenArchive(ctx context.Context, path string) (archive.Files, error)
}

// archiveRequest asks for an archive, or for a file of one.
type archiveRequest struct {
	Path   string `cbor:"1,keyasint"`
	Name   string `cbor:"2,keyasint,omitempty"`
	Beside string `cbor:"3,keyasint,omitempty"` // another file of the directory in which Name lies
	Offset int64  `cbor:"4,keyasint,omitempty"`
	Length int64  `cbor:"5,keyasint,omitempty"` // 0 = to the end
}

type archiveAbout struct {
	Single bool `cbor:"1,keyasint,omitempty"`
}

// archiveFile is a file of an archive, or why it cannot be read.
type archiveFile struct {
	Name    string `cbor:"1,keyasint,omitempty"`
	Size    int64  `cbor:"2,keyasint,omitempty"`
	MTime   int64  `cbor:"3,keyasint,omitempty"`
	Mode    uint32 `cbor:"4,keyasint,omitempty"`
	Trouble string `cbor:"5,keyasint,omitempty"`
	Inline  bool   `cbor:"6,keyasint,omitempty"` // what it holds follows
}

// inlineSize is up to which size a file comes with the walk, in bytes.
const inlineSize = 1 << 20

func archiveFileOf(name string, f *archive.File) archiveFile {
	return archiveFile{Name: name, Size: f.Size, MTime: nanos(f.MTime), Mode: uint32(f.Mode.Perm())}
}

// file returns it without content.
func (f *archiveFile) file() *archive.File {
	return &archive.File{Size: f.Size, MTime: time.Unix(0, f.MTime), Mode: fs.FileMode(f.Mode).Perm()}
}

// validRaw tells whether a name stays below a directory, whatever its bytes.
func validRaw(name string) bool {
	return !strings.HasPrefix(name, "/") && !strings.ContainsRune(name, 0) && !slices.Contains(strings.Split(name, "/"), "..")
}

// archive answers what is asked of an archive.
func (s *served) archive(r *reply, q *request) (err error) {
	h, ok := s.p.o.Host.(Archives)
	if !ok {
		return fmt.Errorf("%w: no archives are served here", ErrRefused)
	}
	var x archiveRequest
	if err := Decode(q.Body, &x); err != nil {
		return err
	}
	if x.Offset < 0 || x.Length < 0 || !validRaw(x.Name) || strings.ContainsAny(x.Beside, "/\x00") || x.Beside == ".." {
		return fmt.Errorf("%w: no place in an archive", ErrProtocol)
	}
	files, err := h.OpenArchive(r.ctx, x.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.Close()) }()
	switch q.Method {
	case methodArchive:
		return r.sendValue(frameItem, archiveAbout{Single: files.Single()})
	case methodWalk:
		return walk(r, files)
	}
	var f *archive.File
	if x.Beside != "" {
		f, err = files.Beside(r.ctx, x.Name, x.Beside)
	} else {
		f, err = files.Open(r.ctx, x.Name, x.Offset)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := r.sendValue(frameItem, archiveFileOf(x.Name, f)); err != nil {
		return err
	}
	in := io.Reader(f)
	if x.Beside != "" && x.Offset > 0 {
		in = io.NewSectionReader(f, x.Offset, 1<<62)
	}
	if x.Length > 0 {
		in = io.LimitReader(in, x.Length)
	}
	return r.body(in)
}

// walk sends an archive's files, the small ones with what they hold.
func walk(r *reply, files archive.Files) error {
	for f, err := range files.Walk(r.ctx) {
		if err != nil {
			return err
		}
		if err := found(r, &f); err != nil {
			return err
		}
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
	}
	return nil
}

func found(r *reply, f *archive.Found) error {
	if f.File == nil {
		return r.sendValue(frameItem, archiveFile{Name: f.Name, Trouble: f.Trouble[:min(len(f.Trouble), maxErrorText)]})
	}
	defer f.File.Close()
	head := archiveFileOf(f.Name, f.File)
	var p []byte
	if head.Size <= inlineSize {
		// A file that cannot be read is told of when it is asked for: the walk goes on.
		var err error
		p, err = io.ReadAll(io.LimitReader(f.File, inlineSize))
		head.Inline = err == nil
	}
	if err := r.sendValue(frameItem, head); err != nil || !head.Inline {
		return err
	}
	return r.body(bytes.NewReader(p))
}
