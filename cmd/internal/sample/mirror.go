package sample

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
)

// Mirror makes the tree to what from is, and leaves alone what is so already: a
// record knows a store by the inodes of its directories and files.
func Mirror(from, to string) error {
	keep := map[string]bool{}
	var dirs []string
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		keep[rel] = true
		fi, err := d.Info()
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			dirs = append(dirs, rel)
			return os.MkdirAll(dst, fi.Mode().Perm())
		}
		return mirrorFile(path, dst, fi)
	})
	if err != nil {
		return err
	}
	err = filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(to, path)
		if err != nil || keep[rel] {
			return err
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, rel := range dirs {
		fi, err := os.Stat(filepath.Join(from, rel))
		if err != nil {
			return err
		}
		if err := os.Chtimes(filepath.Join(to, rel), fi.ModTime(), fi.ModTime()); err != nil {
			return err
		}
	}
	return nil
}

func mirrorFile(src, dst string, fi fs.FileInfo) error {
	want, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	if is, err := os.Stat(dst); err == nil && is.ModTime().Equal(fi.ModTime()) && is.Size() == fi.Size() {
		if got, err := os.ReadFile(dst); err == nil && bytes.Equal(got, want) {
			return nil
		}
	}
	if err := os.RemoveAll(dst); err != nil {
		return err
	}
	if err := os.WriteFile(dst, want, fi.Mode().Perm()); err != nil {
		return err
	}
	return os.Chtimes(dst, fi.ModTime(), fi.ModTime())
}
