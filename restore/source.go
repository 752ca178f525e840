package restore

import (
	"context"
	"io"
)

// Source hands out message bytes for the actions of a plan. The store on disk,
// the archive and the remote store implement it.
//
// The bytes are not trusted: the caller hashes what it reads against
// Action.Post.Digest.
type Source interface {
	// Open returns the stored bytes of the message that a.From, a.FromDir,
	// a.FromSub and a.FromName name. If the file is gone from there, Open may
	// find it under another name of the same unique part.
	Open(ctx context.Context, a *Action) (io.ReadCloser, error)
}
