package sign

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"aead.dev/minisign"
)

// ErrSignature: a signature is missing, is not of this file, or is by another
// key.
var ErrSignature = errors.New("not signed by a key that is trusted here")

// Verifier checks signatures against public keys.
type Verifier struct{ keys []minisign.PublicKey }

// NewVerifier reads public keys: each is a key's text ("RW…", 56 characters) or
// the name of a file that holds it.
func NewVerifier(keys []string) (*Verifier, error) {
	v := new(Verifier)
	for _, word := range keys {
		var key minisign.PublicKey
		err := key.UnmarshalText([]byte(word))
		if err != nil && strings.ContainsRune(word, '/') {
			key, err = minisign.PublicKeyFromFile(word)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: public key %q: %w", ErrKey, word, err)
		}
		v.keys = append(v.keys, key)
	}
	return v, nil
}

// Signed is a private copy of a file whose signature was right: what is read
// from it is what was signed, whatever happens to the file.
type Signed struct {
	*os.File
	Comment string // the trusted one
}

// Path returns a name under which this process can open the copy anew.
func (s *Signed) Path() string { return fmt.Sprintf("/proc/self/fd/%d", s.Fd()) }

// Open checks a file against its signature beside it: ErrSignature where it is
// missing or wrong. The caller closes what it returns.
func (v *Verifier) Open(path string) (*Signed, error) {
	text, err := readSmall(path + Suffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no %s", ErrSignature, path+Suffix)
	}
	if err != nil {
		return nil, err
	}
	var sig minisign.Signature
	if err := sig.UnmarshalText(text); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrSignature, path+Suffix, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	copied, err := os.CreateTemp("", "mailsync-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(copied.Name()); err != nil {
		_ = copied.Close()
		return nil, err
	}
	r := minisign.NewReader(f)
	if _, err := io.Copy(copied, r); err != nil {
		_ = copied.Close()
		return nil, err
	}
	for _, key := range v.keys {
		if key.ID() == sig.KeyID && r.Verify(key, text) {
			if _, err := copied.Seek(0, io.SeekStart); err != nil {
				_ = copied.Close()
				return nil, err
			}
			return &Signed{File: copied, Comment: sig.TrustedComment}, nil
		}
	}
	_ = copied.Close()
	return nil, fmt.Errorf("%w: %s (its signature is by key %016X)", ErrSignature, path, sig.KeyID)
}

// readSmall reads a signature file; nothing that is one is large.
func readSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64<<10))
}
