package manifest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailsync/manifest/durable"
)

// reconciled is a bundle as its directory tells it.
type reconciled struct {
	bundle   *bundle
	leftover []string // temporary and replaced files
	broken   []string // newest manifests that cannot be used
}

// reconcile brings the index of a bundle (nil where there is none) up to the manifests that
// lie in its directory. Manifests are never changed after they have got their
// names, and a name tells the mailbox and, by its serial number, which of two
// is newer: a directory listing shows what an interrupted session has added,
// and only that is opened.
func reconcile(fsys durable.FS, dir string, no int, index *bundle, rec *StoreRecord) (*reconciled, error) {
	out := &reconciled{bundle: &bundle{no: no, alg: rec.Alg, generation: rec.Generation}}
	if index != nil {
		out.bundle.rows = slices.Clone(index.rows)
	}
	names, err := fsys.Names(dir)
	if errors.Is(err, os.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	known := make(map[string]uint64, len(out.bundle.rows))
	for _, r := range out.bundle.rows {
		known[mailboxHash(r.Name)] = r.serial
	}
	// Names are sorted, so those of one mailbox are neighbours, oldest first.
	for i := 0; i < len(names); {
		hash, _, ok := parseManifestName(names[i])
		if !ok {
			if strings.HasSuffix(names[i], durable.TempSuffix) {
				out.leftover = append(out.leftover, names[i])
			}
			i++
			continue
		}
		n := i + 1
		for n < len(names) && strings.HasPrefix(names[n], hash+".") {
			n++
		}
		if err := out.choose(fsys, dir, names[i:n], known[hash]); err != nil {
			return nil, err
		}
		i = n
	}
	return out, nil
}

// choose takes the newest manifest of one mailbox that is whole.
func (out *reconciled) choose(fsys durable.FS, dir string, files []string, known uint64) error {
	chosen := false
	for _, name := range slices.Backward(files) {
		hash, serial, ok := parseManifestName(name)
		switch {
		case !ok, chosen:
			out.leftover = append(out.leftover, name)
			continue
		case serial == known:
			chosen = true
			continue
		}
		r, err := readRow(fsys, filepath.Join(dir, name))
		if err == nil && (mailboxHash(r.Name) != hash || bundleOf(r.shard) != out.bundle.no) {
			err = corrupt("manifest of another mailbox")
		}
		if errors.Is(err, ErrCorrupt) {
			out.broken = append(out.broken, name)
			continue // stays for Check to name it
		}
		if errors.Is(err, os.ErrNotExist) {
			continue // a session at work has replaced it
		}
		if err != nil {
			return err
		}
		r.serial = serial
		out.bundle.put(r)
		chosen = true
	}
	return nil
}

// readRow makes the row of a manifest by reading all of it.
func readRow(fsys durable.FS, path string) (*row, error) {
	f, err := fsys.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r, err := rowOf(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

func rowOf(f io.Reader) (*row, error) {
	rd, err := NewReader(f)
	if err != nil {
		return nil, err
	}
	for _, err := range rd.Absences() {
		if err != nil {
			return nil, err
		}
	}
	return &row{Head: headOf(rd.mb, rd.extra, &rd.sums), shard: ShardOf(rd.mb.Name)}, nil
}
