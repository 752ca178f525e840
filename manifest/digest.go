package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/zeebo/blake3"
)

// Alg names a digest algorithm. The zero value means "no digest".
type Alg uint8

// The algorithms a manifest may use. The numbers are part of the file format.
const (
	NoAlg  Alg = 0
	BLAKE3 Alg = 1 // BLAKE3 with 256 bits of output, the default
	SHA256 Alg = 2 // FIPS 180-4
)

// ErrAlg reports an algorithm name or number that this version does not know.
var ErrAlg = errors.New("unknown digest algorithm")

// ParseAlg reads an algorithm's name as printed by String.
func ParseAlg(s string) (Alg, error) {
	switch s {
	case "blake3":
		return BLAKE3, nil
	case "sha256":
		return SHA256, nil
	}
	return NoAlg, fmt.Errorf("%w %q (known: blake3, sha256)", ErrAlg, s)
}

// String returns the name used in digests, configuration and JSON.
func (a Alg) String() string {
	switch a {
	case NoAlg:
		return "none"
	case BLAKE3:
		return "blake3"
	case SHA256:
		return "sha256"
	}
	return fmt.Sprintf("alg(%d)", uint8(a))
}

// New returns a fresh hash of 32 bytes of output.
// It panics for an algorithm that Valid denies.
func (a Alg) New() hash.Hash {
	switch a {
	case BLAKE3:
		return blake3.New()
	case SHA256:
		return sha256.New()
	}
	panic("manifest: no hash for " + a.String())
}

// Valid tells whether New can make a hash for a.
func (a Alg) Valid() bool { return a == BLAKE3 || a == SHA256 }

// Sum digests one message that is in memory.
func (a Alg) Sum(p []byte) Digest {
	d := Digest{Alg: a}
	switch a {
	case BLAKE3:
		d.Sum = blake3.Sum256(p)
	case SHA256:
		d.Sum = sha256.Sum256(p)
	default:
		panic("manifest: no hash for " + a.String())
	}
	return d
}

// Digest is the digest of one message's bytes, or of a canonical form of them.
// The zero value means "not known". Digests are comparable with ==; digests of
// different algorithms are never equal.
type Digest struct {
	Alg Alg
	Sum [32]byte
}

// ParseDigest reads "blake3:hex" or "sha256:hex".
func ParseDigest(s string) (Digest, error) {
	name, sum, ok := strings.Cut(s, ":")
	if !ok {
		return Digest{}, fmt.Errorf("digest %q has no algorithm", s)
	}
	alg, err := ParseAlg(name)
	if err != nil {
		return Digest{}, err
	}
	d := Digest{Alg: alg}
	if len(sum) != 2*len(d.Sum) {
		return Digest{}, fmt.Errorf("digest %q: want %d hexadecimal digits, got %d", s, 2*len(d.Sum), len(sum))
	}
	if _, err := hex.Decode(d.Sum[:], []byte(sum)); err != nil {
		return Digest{}, fmt.Errorf("digest %q: %w", s, err)
	}
	return d, nil
}

// IsZero tells whether the digest is unknown.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns "blake3:hex", or "" for an unknown digest.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	return d.Alg.String() + ":" + hex.EncodeToString(d.Sum[:])
}

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; empty text is the zero digest.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}
