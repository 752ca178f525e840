package restore

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// Source hands out message bytes for the actions of a plan. The store on disk,
// the archive and the remote store implement it.
//
// The bytes are not trusted: the caller hashes what it reads against
// Action.Post.Digest.
type Source interface {
	// Open returns the stored bytes of the message that a.From, a.FromDir,
	// a.FromSub and a.FromName name. If the file is gone from there, Open may
	// find it under another name of the same unique part. It may be called by
	// several goroutines at once.
	Open(ctx context.Context, a *Action) (io.ReadCloser, error)
}

// SmallFiles is a Source that also hands out the small files of a folder
// (dovecot-acl). The error wraps fs.ErrNotExist where there is none.
type SmallFiles interface {
	SmallFile(ctx context.Context, a *Action, name string) ([]byte, error)
}

// BySource is the Source of a plan with several sources: Action.From, up to
// its first NUL, chooses.
type BySource map[string]Source

func (m BySource) of(a *Action) (Source, error) {
	name, _, _ := strings.Cut(a.From, "\x00")
	s, ok := m[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrNoSource, name)
	}
	return s, nil
}

// Open implements Source.
func (m BySource) Open(ctx context.Context, a *Action) (io.ReadCloser, error) {
	s, err := m.of(a)
	if err != nil {
		return nil, err
	}
	return s.Open(ctx, a)
}

// SmallFile implements SmallFiles.
func (m BySource) SmallFile(ctx context.Context, a *Action, name string) ([]byte, error) {
	s, err := m.of(a)
	if err != nil {
		return nil, err
	}
	f, ok := s.(SmallFiles)
	if !ok {
		return nil, fmt.Errorf("%w: %q hands out messages only", ErrNoSource, a.From)
	}
	return f.SmallFile(ctx, a, name)
}
