//go:build powerfail

package powerfail

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"mailsync/cmd/internal/sample"
)

// found is a file of a store as it is after a cut.
type found struct {
	rel   string // relative to the store's root
	dir   string // of its folder, relative to the store's root
	sub   string // new, cur, tmp, or "" elsewhere
	name  string
	data  []byte
	mtime time.Time
	mode  fs.FileMode
	uid   uint32
	ino   uint64
}

// base is the file's name before its flags.
func (f *found) base() string {
	b, _, _ := strings.Cut(f.name, ":")
	return b
}

// flags are the letters behind ":2,".
func (f *found) flags() string {
	_, l, _ := strings.Cut(f.name, ":2,")
	return l
}

// readTree reads every file below root. Files that cannot be read are
// problems: after a recovery nothing may be unreadable.
func readTree(root string) (files []*found, problems []string) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			problems = append(problems, fmt.Sprintf("cannot be listed: %v", err))
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			problems = append(problems, fmt.Sprintf("cannot be examined: %v", err))
			return nil
		}
		p, err := os.ReadFile(path)
		if err != nil {
			problems = append(problems, fmt.Sprintf("cannot be read: %v", err))
			return nil
		}
		rel, _ := filepath.Rel(root, path)
		f := &found{rel: rel, name: d.Name(), data: p, mtime: fi.ModTime(), mode: fi.Mode()}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			f.uid, f.ino = st.Uid, st.Ino
		}
		parent := filepath.Dir(rel)
		if s := filepath.Base(parent); s == "new" || s == "cur" || s == "tmp" {
			f.sub, f.dir = s, filepath.Dir(parent)
		}
		files = append(files, f)
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		problems = append(problems, err.Error())
	}
	return files, problems
}

// quarantined tells whether the file lies in mailsync's own directory.
func (f *found) quarantined() bool {
	return strings.HasPrefix(f.rel, ".mailsync/") || strings.Contains(f.rel, "/.mailsync/")
}

// making tells whether the file lies in a mailbox or folder that is still
// being made: its directory gets its name when it is whole. Names that begin
// with two dots are no folders.
func (f *found) making() bool {
	return strings.HasPrefix(f.rel, "..mailsync.") || strings.Contains(f.rel, "/..mailsync.")
}

// visible are the files that a server would show.
func visible(files []*found) []*found {
	var out []*found
	for _, f := range files {
		if !f.quarantined() && !f.making() && (f.sub == "cur" || f.sub == "new") && !strings.HasPrefix(f.name, ".") {
			out = append(out, f)
		}
	}
	return out
}

// place is where a message belongs: folder directory and base name.
type place struct{ dir, base string }

func placeOf(m *sample.Message) place {
	rel := m.Path("")
	return place{dir: filepath.Dir(filepath.Dir(rel)), base: m.Base()}
}
