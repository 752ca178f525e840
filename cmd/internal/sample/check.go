package sample

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Check compares the store at root with the estate: every message must be
// visible exactly once, in its folder and under its base name, whole and with
// its date; nothing else may be visible. It returns what is not so. Flags are
// not looked at.
func (e *Estate) Check(root string) []string {
	type place struct{ dir, base string }
	want := map[place]*Message{}
	for m := range e.Messages() {
		want[place{filepath.Join(m.box.Path, m.folder.Dir), m.Base()}] = m
	}
	seen := map[place]int{}
	var bad []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		sub := filepath.Base(filepath.Dir(rel))
		if d.IsDir() {
			if d.Name() == ".mailsync" {
				return filepath.SkipDir
			}
			return nil
		}
		if sub != "cur" && sub != "new" {
			return nil
		}
		base, _, _ := strings.Cut(d.Name(), ":")
		at := place{filepath.Dir(filepath.Dir(rel)), base}
		m := want[at]
		if m == nil {
			bad = append(bad, "nobody's message: "+rel)
			return nil
		}
		seen[at]++
		p, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case !bytes.Equal(p, m.Stored()):
			bad = append(bad, fmt.Sprintf("not whole: %s has %d bytes", rel, len(p)))
		case fi.ModTime().Unix() != m.Date.Unix():
			bad = append(bad, "other date: "+rel)
		}
		return nil
	})
	if err != nil {
		bad = append(bad, err.Error())
	}
	for at, m := range want {
		if n := seen[at]; n != 1 {
			bad = append(bad, fmt.Sprintf("%d times there: %s", n, filepath.Join(at.dir, m.File())))
		}
	}
	return bad
}
