package sample

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"mailsync/manifest"
)

// Truth is one thing that was broken on purpose, and what must be said of it.
type Truth struct {
	Mailbox   string // address
	ByPath    string // the mailbox' name where the store is opened by path
	Folder    string
	File      string        // relative to the folder's directory; "" where the finding is about the folder or mailbox
	Kind      manifest.Kind // what is found without a record
	Recorded  manifest.Kind // what is found where a record from before exists
	Certainty manifest.Certainty
	Baseline  bool   // nothing can be found without a record from before
	Path      string // absolute path of the broken file
	Message   *Message
}

// ErrNoVictim says that no message is left that could be broken in that way.
var ErrNoVictim = errors.New("no message is left to be broken in this way")

// ErrNotHere says that this process cannot cause that kind of trouble.
var ErrNotHere = errors.New("cannot be caused here")

// DamageKinds are the kinds that Break can cause to messages.
var DamageKinds = []manifest.Kind{
	manifest.Empty, manifest.NULFilled, manifest.NULTail, manifest.Truncated, manifest.Grown,
	manifest.NULRun, manifest.LineCount, manifest.CompressedCorrupt, manifest.ContentChanged,
	manifest.HeaderBroken, manifest.Missing,
}

// DisorderKinds are the kinds of disorder that Break can cause.
var DisorderKinds = []manifest.Kind{
	manifest.DuplicateName, manifest.BadName, manifest.WrongSizeName, manifest.StrandedTmp, manifest.NotRegular,
	manifest.UIDListBroken, manifest.UIDDuplicate, manifest.UIDNextLow, manifest.KeywordsBroken,
	manifest.QuotaStale, manifest.AlternateSeparator,
}

// Vandal breaks a written estate, each time another message, and remembers
// nothing but what it may not touch again.
type Vandal struct {
	e    *Estate
	root string
	r    *rand.Rand
	used map[any]bool // *Message, *Folder, *Box
}

// NewVandal returns a vandal for the estate that was written to root.
func NewVandal(e *Estate, root string, seed uint64) *Vandal {
	return &Vandal{e: e, root: root, r: rand.New(rand.NewPCG(seed, 0x76616e64)), used: map[any]bool{}}
}

// BreakAll breaks one message or folder in each way, damage and disorder.
func (v *Vandal) BreakAll() ([]Truth, error) {
	return v.BreakEach(append(slices.Clone(DamageKinds), DisorderKinds...)...)
}

// BreakEach breaks one thing in each of the given ways.
func (v *Vandal) BreakEach(kinds ...manifest.Kind) ([]Truth, error) {
	var out []Truth
	for _, k := range kinds {
		t, err := v.Break(k)
		if err != nil {
			return out, fmt.Errorf("%s: %w", k, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// Break breaks one thing in the given way.
func (v *Vandal) Break(k manifest.Kind) (Truth, error) {
	if k.Class() == manifest.Disorder {
		return v.disorder(k)
	}
	m := v.victim(func(m *Message) bool {
		if k == manifest.CompressedCorrupt {
			return m.Encoding != Plain
		}
		return m.Encoding == Plain && m.kind == ordinary && len(m.Bytes()) > 1200
	})
	if m == nil {
		return Truth{}, ErrNoVictim
	}
	return v.BreakMessage(m, k)
}

// BreakMessage damages this message. Its mtime is kept, as bit rot and power
// cuts keep it.
func (v *Vandal) BreakMessage(m *Message, k manifest.Kind) (Truth, error) {
	v.used[m] = true
	t := v.truth(m, k)
	if k == manifest.Missing {
		t.Baseline = true
		return t, os.Remove(t.Path)
	}
	p := m.Stored()
	switch k {
	case manifest.Empty:
		p = nil
	case manifest.NULFilled:
		clear(p)
	case manifest.NULTail:
		clear(p[len(p)-600:])
	case manifest.Truncated:
		p = p[:len(p)*3/5]
	case manifest.Grown:
		p = append(p, "one line too many\n"...)
		if _, w := m.sizes(); int64(len(p)) == w {
			p = append(p, '\n') // the size of W= would say that line ends were converted
		}
	case manifest.NULRun:
		at := bytes.Index(p, []byte("\n\n")) + 2
		clear(p[at : at+520])
		p[len(p)-1] = '\n'
	case manifest.LineCount:
		at := bytes.Index(p, []byte("\n\n")) + 2
		i := bytes.IndexByte(p[at:], '\n')
		p[at+i] = ' '
	case manifest.CompressedCorrupt:
		p[len(p)/2] ^= 0x55
	case manifest.ContentChanged:
		at := bytes.Index(p, []byte("\n\n")) + 2
		swapLetters(p[at : at+40])
		t.Baseline = true
	case manifest.HeaderBroken:
		breakHeader(p)
		t.Recorded, t.Certainty = manifest.ContentChanged, manifest.Suspicion
	default:
		return t, fmt.Errorf("%w: %s", ErrNotHere, k)
	}
	return t, rewrite(t.Path, p)
}

func (v *Vandal) truth(m *Message, k manifest.Kind) Truth {
	t := Truth{
		Mailbox: m.Address, ByPath: m.ByPath, Folder: m.Folder, File: m.File(), Kind: k, Recorded: k,
		Certainty: manifest.Proof, Path: m.Path(v.root), Message: m,
	}
	if k == manifest.Missing {
		t.Certainty = manifest.Suspicion
	}
	if k.Class() == manifest.Disorder {
		t.Certainty = manifest.NotKnown
	}
	return t
}

// swapLetters changes letters and leaves everything that could be counted.
func swapLetters(p []byte) {
	for i, c := range p {
		if c >= 'a' && c <= 'y' {
			p[i] = c + 1
		}
	}
}

// breakHeader overwrites the header with something that is none, and keeps
// size and line count.
func breakHeader(p []byte) {
	end := bytes.Index(p, []byte("\n\n"))
	for i := range p[:end] {
		if p[i] != '\n' {
			p[i] = "\x8f\xe1\x07\xb2\x19"[i%5]
		}
	}
}

// rewrite replaces the bytes of a file and keeps its times: damage does not
// announce itself.
func rewrite(path string, p []byte) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, p, 0o600); err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, fi.ModTime())
}

// victim chooses a message that nobody has touched, or nil.
func (v *Vandal) victim(fit func(*Message) bool) *Message {
	var all []*Message
	for m := range v.e.Messages() {
		if !v.used[m] && !v.used[m.folder] && fit(m) {
			all = append(all, m)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[v.r.IntN(len(all))]
}

// folder chooses a folder in which nothing is broken, and no message of which
// will be.
func (v *Vandal) folder(fit func(*Folder) bool) (*Box, *Folder) {
	for _, b := range v.e.Boxes {
		for _, f := range b.Folders {
			touched := slices.ContainsFunc(f.Messages, func(m *Message) bool { return v.used[m] })
			if !touched && !v.used[f] && len(f.Messages) > 1 && fit(f) {
				v.used[f] = true
				return b, f
			}
		}
	}
	return nil, nil
}

func (v *Vandal) dir(b *Box, f *Folder) string { return filepath.Join(v.root, b.Path, f.Dir) }
