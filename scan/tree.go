package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// branch is one directory below a mailbox' root, the root included.
type branch struct {
	dir                 string // relative to the root, raw bytes; "" is the root
	hasNew, hasCur, tmp bool
	files               map[string]bool // names of the server's small files that are there
	stat                beneath.Stat    // before it was listed
	still               bool            // it did not move while it was listed
}

// maildir tells whether the directory is a Maildir.
func (b *branch) maildir() bool { return b.hasNew || b.hasCur }

// oddBranch is something below a mailbox that could not be followed.
type oddBranch struct {
	dir string
	err error
}

// maxDepth bounds how deep directories are followed. Each level costs a
// descriptor while it is walked.
const maxDepth = 512

// smallFiles are the files of a folder that mean something to a server.
var smallFiles = map[string]bool{
	maildir.UIDListFile: true, maildir.KeywordsFile: true, maildir.ACLFile: true, maildir.IndexLogFile: true,
	maildir.IndexLogOldFile: true, maildir.IndexFile: true, maildir.SubscriptionsFile: true, maildir.QuotaFile: true,
	maildir.CourierUIDDB: true, maildir.CourierSubscribed: true, maildir.CourierACLFile: true, maildir.CourierKeywordDir: true,
}

// skipped tells whether a directory of that name is never looked into: its
// contents are no folders.
func skipped(name string, root, inMaildir bool) bool {
	switch name {
	case "cur", "new", "tmp":
		return inMaildir
	case ".mailsync", maildir.CourierKeywordDir, "courierimaphieracl", "shared-folders", ".zfs", ".snapshot":
		return true
	}
	return strings.HasPrefix(name, "..")
}

// walkMailbox lists every directory below a mailbox' root that may be a folder
// or hold one, the root first, each parent before its children, and calls
// visit for each while it is open. Depth costs descriptors, not stack.
func walkMailbox(ctx context.Context, root *beneath.Dir, visit func(*beneath.Dir, *branch) error) ([]oddBranch, error) {
	type frame struct {
		dir   *beneath.Dir
		path  string
		names []string
	}
	b, names, odd, err := lookInto(root, "")
	if err != nil {
		return nil, err
	}
	if err := visit(root, &b); err != nil {
		return nil, err
	}
	stack := []frame{{dir: root, names: names}}
	defer func() {
		for _, f := range stack[min(1, len(stack)):] {
			_ = f.dir.Close()
		}
	}()
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.names) == 0 {
			if len(stack) > 1 {
				_ = top.dir.Close()
			}
			stack = stack[:len(stack)-1]
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		name := top.names[0]
		top.names = top.names[1:]
		path := name
		if top.path != "" {
			path = top.path + "/" + name
		}
		if len(stack) > maxDepth {
			odd = append(odd, oddBranch{dir: path, err: fmt.Errorf("directories nested more than %d deep", maxDepth)})
			continue
		}
		d, err := top.dir.OpenDir(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			odd = append(odd, oddBranch{dir: path, err: err})
			continue
		}
		b, names, links, err := lookInto(d, path)
		if err != nil {
			_ = d.Close()
			odd = append(odd, oddBranch{dir: path, err: err})
			continue
		}
		odd = append(odd, links...)
		stack = append(stack, frame{dir: d, path: path, names: names})
		if err := visit(d, &b); err != nil {
			return nil, err
		}
	}
	return odd, nil
}

// listTries is how often a directory that moves while it is listed is listed
// again. Servers create and rename small files all the time.
const listTries = 4

// lookInto lists one directory: which sub-directories to follow, and what it
// is itself. Links where a folder could be are reported.
func lookInto(d *beneath.Dir, path string) (b branch, dirs []string, links []oddBranch, err error) {
	for try := 0; ; try++ {
		b, dirs, links = branch{dir: path}, nil, nil
		if b.stat, err = d.Self(); err != nil {
			return b, nil, nil, err
		}
		var types []dirType
		for e, err := range d.List() {
			if err != nil {
				return b, nil, nil, err
			}
			t := e.Type
			if t == unix.DT_UNKNOWN {
				st, err := d.Stat(string(e.Name))
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					return b, nil, nil, err
				}
				t = st.DirentType()
			}
			switch t {
			case unix.DT_DIR:
				types = append(types, dirType{name: string(e.Name), dir: true})
			case unix.DT_LNK:
				types = append(types, dirType{name: string(e.Name)})
			case unix.DT_REG:
				if smallFiles[string(e.Name)] {
					b.note(string(e.Name))
				}
			}
		}
		after, err := d.Self()
		if err != nil {
			return b, nil, nil, err
		}
		b.still = after.Same(&b.stat)
		b.classify(types, &dirs, &links)
		if b.still && b.files == nil {
			b.files = map[string]bool{} // none of them is there: nobody need try to open one
		}
		if b.still || try+1 >= listTries {
			return b, dirs, links, nil
		}
	}
}

type dirType struct {
	name string
	dir  bool // else a symbolic link
}

func (b *branch) note(name string) {
	if b.files == nil {
		b.files = make(map[string]bool, 4)
	}
	b.files[name] = true
}

func (b *branch) classify(types []dirType, dirs *[]string, links *[]oddBranch) {
	for _, t := range types {
		if t.dir {
			switch t.name {
			case "cur":
				b.hasCur = true
			case "new":
				b.hasNew = true
			case "tmp":
				b.tmp = true
			case maildir.CourierKeywordDir:
				b.note(t.name)
			}
		}
	}
	for _, t := range types {
		if skipped(t.name, b.dir == "", b.maildir() || b.dir == "") {
			if !t.dir && (t.name == "cur" || t.name == "new") {
				*links = append(*links, oddBranch{dir: b.child(t.name), err: errLink})
			}
			continue
		}
		if t.dir {
			*dirs = append(*dirs, t.name)
		} else if b.dir == "" && t.name[0] == '.' {
			*links = append(*links, oddBranch{dir: b.child(t.name), err: errLink})
		}
	}
	slices.Sort(*dirs)
}

// errLink reports a symbolic link where a directory of mail could be.
var errLink = fmt.Errorf("symbolic link is not followed: %w", beneath.ErrEscape)

func (b *branch) child(name string) string {
	if b.dir == "" {
		return name
	}
	return b.dir + "/" + name
}
