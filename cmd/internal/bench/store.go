package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"mailsync/cmd/internal/sample"
)

// estate is a store as on a live server: many small messages, some large ones,
// several folders, files of one directory lying among those of others.
func (b *bench) estate(messages int) *sample.Estate {
	boxes := max(2, messages/100)
	return sample.New(sample.Options{
		Seed: 20261122, Mailboxes: boxes, PerMailbox: messages / boxes,
		Size: 8192, Spread: 1.77, MaxSize: 6 << 20,
	})
}

// stores returns a store and a replica that differs in a few messages; they
// are generated where none are given.
func (b *bench) stores() (store, replica string, err error) {
	if b.store != "" {
		if b.replica == "" {
			return "", "", fmt.Errorf("%w: -store needs -replica too", errSkipped)
		}
		return b.store, b.replica, nil
	}
	store, replica = b.path(fmt.Sprintf("store-%d", b.messages)), b.path(fmt.Sprintf("replica-%d", b.messages))
	e := b.estate(b.messages)
	if err := b.generate(e, store); err != nil {
		return "", "", err
	}
	r, _ := e.Replica(1, sample.DiffMissing, sample.DiffExtra, sample.DiffFlags, sample.DiffContent)
	return store, replica, b.generate(r, replica)
}

// generate writes an estate, unless an earlier run has.
func (b *bench) generate(e *sample.Estate, root string) error {
	done := root + ".complete"
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "generating %s\n", root)
	if err := e.Write(root); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o644)
}

// copyOf copies a store byte for byte, dates and all, unless an earlier run has.
func (b *bench) copyOf(store string) (string, error) {
	to := b.path("copy-of-" + filepath.Base(store))
	done := to + ".complete"
	if _, err := os.Stat(done); err == nil {
		return to, nil
	}
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "copying %s\n", store)
	if out, err := exec.Command("cp", "-a", "--no-preserve=links", store, to).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return to, os.WriteFile(done, nil, 0o644)
}

// part is a quarter of a store, of hard links: for what takes long.
func (b *bench) part(store string) (string, error) {
	to := b.path("part-of-" + filepath.Base(filepath.Dir(store)) + "-" + filepath.Base(store))
	done := to + ".complete"
	if _, err := os.Stat(done); err == nil {
		return to, nil
	}
	if err := os.RemoveAll(to); err != nil {
		return "", err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", err
	}
	dirs, err := os.ReadDir(store)
	if err != nil {
		return "", err
	}
	root := store
	if len(dirs) == 1 { // one domain: its users
		root = filepath.Join(store, dirs[0].Name())
		to2 := filepath.Join(to, dirs[0].Name())
		if err := os.MkdirAll(to2, 0o755); err != nil {
			return "", err
		}
		if dirs, err = os.ReadDir(root); err != nil {
			return "", err
		}
		return to, b.link(root, to2, dirs, done)
	}
	return to, b.link(root, to, dirs, done)
}

func (b *bench) link(root, to string, dirs []os.DirEntry, done string) error {
	for i, d := range dirs {
		if i%4 != 0 {
			continue
		}
		if out, err := exec.Command("cp", "-al", filepath.Join(root, d.Name()), to).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	return os.WriteFile(done, nil, 0o644)
}

// have tells whether a peer is installed.
func have(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// peers leaves out the jobs whose program is not installed, and says so.
func peers(jobs []job, needs map[string]string) []job {
	var out []job
	for _, j := range jobs {
		if p := needs[j.name]; p != "" && !have(p) {
			fmt.Printf("left out, not installed: %s (%s)\n", j.name, p)
			continue
		}
		out = append(out, j)
	}
	return out
}
