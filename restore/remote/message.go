package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"mailsync/manifest"
	"mailsync/restore"
)

// messages is a restore.Source of the other end.
type messages struct{ s *Store }

func messageOf(a *restore.Action) messageRequest {
	return messageRequest{Mailbox: a.Ref.Mailbox, Dir: a.FromDir, Sub: uint8(a.FromSub), Name: a.FromName, From: a.From}
}

// Open implements restore.Source.
func (m *messages) Open(ctx context.Context, a *restore.Action) (io.ReadCloser, error) {
	return m.s.open(ctx, methodMessage, messageOf(a))
}

// SmallFile implements restore.SmallFiles.
func (m *messages) SmallFile(ctx context.Context, a *restore.Action, name string) ([]byte, error) {
	q := messageOf(a)
	q.Small = name
	r, err := m.s.open(ctx, methodSmall, q)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(r, maxSmall+1)); err != nil {
		return nil, err
	}
	if b.Len() > maxSmall {
		return nil, fmt.Errorf("%w: %s of more than %d bytes", ErrProtocol, name, maxSmall)
	}
	return b.Bytes(), nil
}

// maxSmall bounds a small file of a folder, in bytes.
const maxSmall = 16 << 20

// body is a message on its way. Its end is told only where the bytes are those
// that the other end has read.
type body struct {
	a    *answer
	d    *dataReader
	h    hash.Hash
	size int64
	more bool // the answer goes on after it
	err  error
}

func newBody(a *answer) *body {
	return &body{a: a, d: &dataReader{a: a}, h: manifest.BLAKE3.New()}
}

// open asks for a message. An error that the other end answers instead of bytes
// is returned here, as a local source would.
func (s *Store) open(ctx context.Context, method string, q messageRequest) (io.ReadCloser, error) {
	a, err := s.p.ask(ctx, method, s.id, q)
	if err != nil {
		return nil, err
	}
	b := newBody(a)
	if err := b.d.fill(); err != nil && !errors.Is(err, io.EOF) {
		a.close()
		return nil, err
	}
	return b, nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.d.Read(p)
	_, _ = b.h.Write(p[:n])
	b.size += int64(n)
	if errors.Is(err, io.EOF) {
		err = b.finish()
	}
	b.err = err
	return n, err
}

// finish compares what came with what was sent.
func (b *body) finish() error {
	if b.d.item == nil {
		return fmt.Errorf("%w: a message lacks its end", ErrProtocol)
	}
	var e messageEnd
	if err := Decode(b.d.item, &e); err != nil {
		return err
	}
	want, err := e.Digest.digest()
	if err != nil {
		return err
	}
	got := manifest.Digest{Alg: manifest.BLAKE3}
	b.h.Sum(got.Sum[:0])
	if e.Size != b.size || want != got {
		return fmt.Errorf("%w: %d bytes came that are not the %d bytes that were sent", ErrProtocol, b.size, e.Size)
	}
	if b.more {
		return io.EOF
	}
	if err := b.a.finish(); err != nil {
		return err
	}
	return io.EOF
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.a.close()
	return nil
}
