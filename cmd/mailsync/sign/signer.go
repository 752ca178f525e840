package sign

import (
	"errors"
	"fmt"
	"io"
	"os"

	"aead.dev/minisign"

	"mailsync/manifest/durable"
)

// Suffix ends the name of a signature, after the name of what it signs.
const Suffix = ".minisig"

// ErrKey: a key that cannot be used.
var ErrKey = errors.New("signing key")

// Signer signs files with one secret key.
type Signer struct{ key minisign.PrivateKey }

// NewSigner reads a secret key file as minisign -G writes it. password is that
// of the key, "" for one without (minisign -G -W).
func NewSigner(file, password string) (*Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if !minisign.IsEncrypted(text) {
		s := new(Signer)
		if err := s.key.UnmarshalText(text); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrKey, file, err)
		}
		return s, nil
	}
	if password == "" {
		return nil, fmt.Errorf("%w: %s has a password, and none is given", ErrKey, file)
	}
	key, err := minisign.DecryptKey(password, text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKey, file, err)
	}
	return &Signer{key: key}, nil
}

// Sign writes the signature of a file beside it, durably. comment is signed
// with it.
func (s *Signer) Sign(path, comment string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := minisign.NewReader(f)
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	sig := r.SignWithComments(s.key, comment, "signature by mailsync; minisign -V checks it")
	return durable.WriteFile(nil, path+Suffix, sig, 0o644)
}
