package manifest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/zeebo/blake3"

	"mailsync/manifest/durable"
)

// RepoOptions say how a state directory is opened.
type RepoOptions struct {
	// ReadOnly writes nothing, not even directories. A state directory that
	// does not exist is an empty one.
	ReadOnly bool
	// FS is the file system; nil is the real one.
	FS durable.FS
}

// Repo is a state directory: the records of many stores. It may be used by
// several goroutines.
type Repo struct {
	dir      string
	fs       durable.FS
	readOnly bool
}

// OpenRepo opens a state directory. Without ReadOnly it is made where it is
// missing.
func OpenRepo(dir string, o RepoOptions) (*Repo, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	r := &Repo{dir: abs, fs: o.FS, readOnly: o.ReadOnly}
	if r.fs == nil {
		r.fs = durable.System()
	}
	if o.ReadOnly {
		if info, err := r.fs.Stat(abs); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		} else if err == nil && !info.Dir {
			if _, err := r.fs.Names(abs); err != nil {
				return nil, err
			}
		}
		return r, nil
	}
	if err := durable.MkdirAll(r.fs, filepath.Join(abs, storesDir), dirMode); err != nil {
		return nil, err
	}
	return r, nil
}

// Modes of what lies in a state directory: names of mailboxes and messages are
// nobody else's business.
const (
	dirMode  = 0o700
	fileMode = 0o600
)

// Names in a state directory.
const (
	storesDir    = "stores"
	recordName   = "store"
	lockName     = "lock"
	acceptedName = "accepted"
	indexName    = "index"
)

// StoreKey returns the name of a store's directory in a state directory. name
// is from the configuration, or "" for a store given by path; the keys of
// different stores differ.
func StoreKey(name, path string) string {
	if name != "" {
		return "name-" + name
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	path = filepath.Clean(path)
	base := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
			return r
		}
		return '_'
	}, filepath.Base(path))
	sum := blake3.Sum256([]byte(path))
	return "path-" + base[:min(len(base), 40)] + "-" + hex.EncodeToString(sum[:10])
}

func (r *Repo) storeDir(key string) string { return filepath.Join(r.dir, storesDir, key) }

func generationName(g uint32) string { return fmt.Sprintf("g%d", g) }

// mailboxHash is the part of a manifest's file name that tells the mailbox.
func mailboxHash(name string) string {
	sum := blake3.Sum256([]byte(name))
	return hex.EncodeToString(sum[:16])
}

// manifestName returns the file name of a manifest in its bundle's directory.
func manifestName(hash string, serial uint64) string {
	const digits = "0123456789abcdef"
	var b [32 + 1 + 16]byte
	copy(b[:], hash)
	b[32] = '.'
	for i := range 16 {
		b[33+i] = digits[serial>>(60-4*i)&15]
	}
	return string(b[:])
}

// parseManifestName is the inverse of manifestName.
func parseManifestName(name string) (hash string, serial uint64, ok bool) {
	if len(name) != 49 || name[32] != '.' {
		return "", 0, false
	}
	var b [24]byte
	if _, err := hex.Decode(b[:], []byte(name[:32]+name[33:])); err != nil || strings.ToLower(name) != name {
		return "", 0, false
	}
	for _, v := range b[16:] {
		serial = serial<<8 | uint64(v)
	}
	return name[:32], serial, true
}

// Stores yields the record of every store, sorted by key. A record that cannot
// be read is yielded as an error, with the key in the StoreRecord; the
// iteration goes on after it.
func (r *Repo) Stores() iter.Seq2[StoreRecord, error] {
	return func(yield func(StoreRecord, error) bool) {
		keys, err := r.fs.Names(filepath.Join(r.dir, storesDir))
		if errors.Is(err, os.ErrNotExist) {
			return
		}
		if err != nil {
			yield(StoreRecord{}, err)
			return
		}
		for _, key := range keys {
			rec, err := r.readRecord(r.storeDir(key))
			if errors.Is(err, ErrNoRecord) {
				continue // made, and killed before its first record
			}
			if err != nil {
				rec = &StoreRecord{Key: key}
			}
			if !yield(*rec, err) {
				return
			}
		}
	}
}

// readRecord reads the record in a store's or generation's directory.
func (r *Repo) readRecord(dir string) (*StoreRecord, error) {
	path := filepath.Join(dir, recordName)
	data, err := durable.ReadFile(r.fs, path, maxRecord)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoRecord)
	}
	if err != nil {
		return nil, err
	}
	rec, err := decodeRecord(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rec, nil
}

// Store opens the record of a store for reading. key is what StoreKey returns.
// Errors: ErrNoRecord, ErrCorrupt, ErrNewer.
func (r *Repo) Store(key string) (*Store, error) {
	rec, err := r.readRecord(r.storeDir(key))
	if err != nil {
		return nil, err
	}
	return r.view(key, rec), nil
}

func (r *Repo) view(key string, rec *StoreRecord) *Store {
	return &Store{repo: r, dir: r.storeDir(key), rec: *rec}
}
