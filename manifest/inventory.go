package manifest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/zeebo/blake3"

	"mailsync/manifest/durable"
)

// InventoryName is the file of a store's record that lists all others with
// their digests, so that one signature covers them.
const InventoryName = "inventory"

// InventoryPath returns where the inventory of a store's record lies.
func (s *Store) InventoryPath() string { return filepath.Join(s.dir, InventoryName) }

// WriteInventory lists every file of the store's record, of all generations,
// durably: "DIGEST  PATH" lines that b3sum -c checks in the record's directory.
// It reads the whole record.
func (s *Store) WriteInventory(ctx context.Context) error {
	var text strings.Builder
	for path, err := range s.files(ctx, "") {
		if err != nil {
			return err
		}
		sum, err := s.sum(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // replaced meanwhile
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sum, path)
	}
	return durable.WriteFile(s.repo.fs, s.InventoryPath(), []byte(text.String()), fileMode)
}

// Errors of CheckInventory, in Broken.
var (
	// ErrTampered: the file is not the one that the inventory lists.
	ErrTampered = errors.New("not the file that was signed")
	// ErrUnlisted: the file is not in the inventory.
	ErrUnlisted = errors.New("it came after the signature")
)

// CheckInventory compares the record with an inventory of it, and yields each
// file that is not as listed: ErrTampered for one that was changed although no
// scan changes it, ErrUnlisted for one that a later scan may have written. A
// file that is gone is for Check to tell: the index that names it is listed.
func (s *Store) CheckInventory(ctx context.Context, inventory io.Reader) iter.Seq2[Broken, error] {
	return func(yield func(Broken, error) bool) {
		listed, err := readInventory(inventory)
		if err != nil {
			yield(Broken{}, err)
			return
		}
		rel := func(path string) string {
			return filepath.Join(storesDir, filepath.Base(s.dir), path)
		}
		for path, err := range s.files(ctx, "") {
			if err != nil {
				yield(Broken{}, err)
				return
			}
			want, there := listed[path]
			delete(listed, path)
			if !there {
				if !yield(Broken{File: rel(path), Err: ErrUnlisted}, nil) {
					return
				}
				continue
			}
			sum, err := s.sum(path)
			switch {
			case err == nil && sum == want:
				continue
			case err == nil && immutable(path):
				err = ErrTampered
			case err == nil:
				err = ErrUnlisted
			}
			if !yield(Broken{File: rel(path), Err: err}, nil) {
				return
			}
		}
	}
}

// immutable tells whether a file never changes once it has its name. Manifests
// do not; a later scan replaces them by others, and rewrites indexes.
func immutable(path string) bool {
	_, _, ok := parseManifestName(filepath.Base(path))
	return ok
}

func (s *Store) sum(path string) ([32]byte, error) {
	f, err := s.repo.fs.Open(filepath.Join(s.dir, path), os.O_RDONLY, 0)
	if err != nil {
		return [32]byte{}, err
	}
	defer func() { _ = f.Close() }()
	h := blake3.New()
	if _, err := io.Copy(h, f); err != nil {
		return [32]byte{}, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// files yields the files of the record below dir, sorted, without what is no
// part of it: the lock, unfinished files, the inventory and its signature.
func (s *Store) files(ctx context.Context, dir string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names, err := s.repo.fs.Names(filepath.Join(s.dir, dir))
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				yield("", err)
			}
			return
		}
		for _, name := range names {
			if ctx.Err() != nil {
				yield("", context.Cause(ctx))
				return
			}
			path := filepath.Join(dir, name)
			if path == lockName || strings.HasSuffix(name, durable.TempSuffix) || strings.HasPrefix(path, InventoryName) {
				continue
			}
			info, err := s.repo.fs.Stat(filepath.Join(s.dir, path))
			switch {
			case errors.Is(err, os.ErrNotExist):
			case err != nil:
				yield("", err)
				return
			case !info.Dir:
				if !yield(path, nil) {
					return
				}
			default:
				for below, err := range s.files(ctx, path) {
					if !yield(below, err) || err != nil {
						return
					}
				}
			}
		}
	}
}

// readInventory reads what WriteInventory wrote.
func readInventory(r io.Reader) (map[string][32]byte, error) {
	listed := map[string][32]byte{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		sum, path, ok := strings.Cut(lines.Text(), "  ")
		d, err := ParseDigest("blake3:" + sum)
		if !ok || err != nil || !filepath.IsLocal(path) || path != filepath.Clean(path) {
			return nil, corrupt("inventory: line %d makes no sense", n)
		}
		listed[path] = d.Sum
	}
	return listed, lines.Err()
}
