package sample

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Write puts the estate on disk below root, in the order in which its messages
// arrived, as a live server would have written it: the files of one directory
// lie among those of others. Nothing is synced.
func (e *Estate) Write(root string) error {
	for _, b := range e.Boxes {
		if err := b.mkdirs(root); err != nil {
			return err
		}
	}
	all := slices.Collect(e.Messages())
	slices.SortStableFunc(all, func(a, b *Message) int { return a.Date.Compare(b.Date) })
	for _, m := range all {
		if err := m.write(root); err != nil {
			return err
		}
	}
	if e.Bare {
		return nil
	}
	for _, b := range e.Boxes {
		if err := b.writeServerFiles(root); err != nil {
			return err
		}
	}
	return nil
}

func (b *Box) mkdirs(root string) error {
	for _, f := range b.Folders {
		dir := filepath.Join(root, b.Path, f.Dir)
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Message) write(root string) error {
	path := m.Path(root)
	if err := os.WriteFile(path, m.Stored(), 0o600); err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, m.Date)
}

func (b *Box) writeServerFiles(root string) error {
	top := filepath.Join(root, b.Path)
	var bytesUsed, count int64
	for _, f := range b.Folders {
		dir := filepath.Join(top, f.Dir)
		if err := os.WriteFile(filepath.Join(dir, "dovecot-uidlist"), f.UIDList(), 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "dovecot-keywords"), f.KeywordTable(), 0o600); err != nil {
			return err
		}
		if f.Dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "maildirfolder"), nil, 0o600); err != nil {
				return err
			}
		}
		for _, m := range f.Messages {
			s, _ := m.sizes()
			bytesUsed += s
			count++
		}
	}
	if err := os.WriteFile(filepath.Join(top, "subscriptions"), b.subscriptions(), 0o600); err != nil {
		return err
	}
	quota := fmt.Sprintf("10000000000S\n%12d %12d\n", bytesUsed, count)
	return os.WriteFile(filepath.Join(top, "maildirsize"), []byte(quota), 0o600)
}

// UIDList returns the folder's dovecot-uidlist.
func (f *Folder) UIDList() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "3 V%d N%d G%s\n", f.UIDValidity, f.NextUID, f.GUID)
	byUID := slices.Clone(f.Messages)
	slices.SortFunc(byUID, func(a, b *Message) int { return int(a.UID) - int(b.UID) })
	for _, m := range byUID {
		if m.UID == 0 {
			continue
		}
		if m.Encoding != Plain {
			fmt.Fprintf(&b, "%d G%s :%s\n", m.UID, m.Unique, m.Base())
			continue
		}
		fmt.Fprintf(&b, "%d :%s\n", m.UID, m.Base())
	}
	return b.Bytes()
}

// KeywordTable returns the folder's dovecot-keywords.
func (f *Folder) KeywordTable() []byte {
	var b bytes.Buffer
	for i, k := range f.Keywords {
		if k != "" {
			fmt.Fprintf(&b, "%d %s\n", i, k)
		}
	}
	return b.Bytes()
}

// subscriptions returns the file in version 2: levels separated by tabs.
func (b *Box) subscriptions() []byte {
	var out bytes.Buffer
	out.WriteString("V\t2\n\n")
	for _, name := range b.Subscribed {
		levels := strings.Split(name, "/")
		for i := range levels {
			levels[i] = mutf7(levels[i])
		}
		out.WriteString(strings.Join(levels, "\t") + "\n")
	}
	return out.Bytes()
}
