package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
)

// Errors of a connection.
var (
	// ErrLost: the other end does not answer, or does not any more. A run that
	// reads from it ends, and goes on when it is there again.
	ErrLost = restore.ErrUnreachable
	// ErrVersion: the two ends have no version of the protocol in common.
	ErrVersion = errors.New("the two ends speak different versions of the protocol")
	// ErrHello: what answered is no mailsync.
	ErrHello = errors.New("what answered is no mailsync serve")
	// ErrProtocol: the other end says what no mailsync says.
	ErrProtocol = errors.New("the other end breaks the protocol")
	// ErrRefused: the other end does not serve that.
	ErrRefused = errors.New("refused by the other end")
)

// Class is an error that keeps its meaning over the wire, under a name.
type Class struct {
	Name string
	Err  error
}

// classes are those of the rooms that this package knows. The names are part
// of the protocol.
var classes = []Class{
	{"no_mailbox", compare.ErrNoMailbox},
	{"unknown", compare.ErrUnknown},
	{"refused", ErrRefused},
	{"lost", ErrLost},
	{"no_record", manifest.ErrNoRecord},
	{"corrupt", manifest.ErrCorrupt},
	{"other_filesystem", manifest.ErrOther},
	{"busy", restore.ErrBusy},
	{"locked", manifest.ErrLocked},
	{"no_source", restore.ErrNoSource},
	{"no_target", restore.ErrNoTarget},
	{"read_only", restore.ErrReadOnly},
	{"no_space", restore.ErrNoSpace},
	{"disk", restore.ErrDisk},
	{"plan", restore.ErrPlan},
	{"no_run", restore.ErrNoRun},
	{"run", restore.ErrRun},
	{"not_undoable", restore.ErrNotUndoable},
	{"restore_newer", restore.ErrNewer},
	{"restore_options", restore.ErrOptions},
	{"not_exist", fs.ErrNotExist},
	{"permission", fs.ErrPermission},
	{"cancelled", context.Canceled},
}

// maxErrorText bounds an error's text, in bytes.
const maxErrorText = 4 << 10

// wireError is an error as it travels.
type wireError struct {
	Text    string   `cbor:"1,keyasint"`
	Classes []string `cbor:"2,keyasint,omitempty"`
}

// toWire makes a wireError; nil of nil.
func (p *Peer) toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	if len(w.Text) > maxErrorText {
		w.Text = w.Text[:maxErrorText]
	}
	for _, c := range p.classes {
		if errors.Is(err, c.Err) {
			w.Classes = append(w.Classes, c.Name)
		}
	}
	return w
}

// fromWire makes an error that errors.Is knows by its classes.
func (p *Peer) fromWire(w *wireError) error {
	if w == nil {
		return nil
	}
	if len(w.Text) > maxErrorText || len(w.Classes) > len(p.classes) {
		return fmt.Errorf("%w: an error of %d bytes", ErrProtocol, len(w.Text))
	}
	e := &peerError{text: w.Text}
	if p.o.Name != "" {
		e.text = p.o.Name + ": " + e.text
	}
	for _, name := range w.Classes {
		for _, c := range p.classes {
			if c.Name == name {
				e.is = append(e.is, c.Err)
			}
		}
	}
	return e
}

// peerError is what the other end has said.
type peerError struct {
	text string
	is   []error
}

func (e *peerError) Error() string   { return e.text }
func (e *peerError) Unwrap() []error { return e.is }
