package archive

import (
	"errors"
	"time"
)

// Errors of an archive as a whole.
var (
	// ErrNoInput: the path does not exist or cannot be opened.
	ErrNoInput = errors.New("cannot open the archive")
	// ErrOptions: an option has a value that means nothing.
	ErrOptions = errors.New("bad archive option")
)

// Options say what the operator knows of an archive. The zero value is usable.
type Options struct {
	Name       string         // for findings; default: the path as given
	Zone       *time.Location // of "From " lines without a zone; default: zone of the topmost Received, else local
	Header     []string       // fields that name the envelope recipients, believed in the trusted prefix
	SenderFrom []string       // fields that name the envelope sender, likewise; Return-Path is always known
	ReceivedBy []string       // host names of the gateway: "by" of the Received fields whose "for" is believed
	Own        []string       // the archive's own addresses, dropped from every envelope
	Pattern    string         // of paths in an .eml tree, see ParsePattern; "" = none
	Variant    string         // mboxo, mboxrd, mboxcl, mboxcl2: what the operator knows of the mbox files; "" = unknown

	Memory     int64 // largest message held in memory; default 4 MiB
	MaxMessage int64 // larger messages are refused; default 512 MiB
	MaxNesting int   // archives within archives; default 6
}

func (o Options) withDefaults() Options {
	if o.Memory <= 0 {
		o.Memory = 4 << 20
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = 512 << 20
	}
	if o.MaxNesting <= 0 {
		o.MaxNesting = 6
	}
	return o
}
