package restore

import (
	"path/filepath"
	"slices"
	"strings"
)

// safeRelative tells whether a path that came from a source or a plan may be
// made below the target's root.
func safeRelative(path string) bool {
	return path != "" && !strings.HasPrefix(path, "/") && filepath.Clean(path) == path &&
		path != ".." && !strings.HasPrefix(path, "../") && strings.IndexByte(path, 0) < 0
}

// safeName tells whether a file name that came from a source or a plan may be
// made in a directory: one component, not hidden, no line break (servers ignore
// such names and forge log lines of them).
func safeName(name string) bool {
	return name != "" && name[0] != '.' && len(name) <= 255 && !strings.ContainsAny(name, "/\x00\r\n")
}

// confined tells whether what a plan names lies where it should: each file in its
// directory, the directory below the mailbox, and what comes back from a
// quarantine in that of a run. Plans come from files and from other hosts.
func confined(a *Action) bool {
	for _, name := range [][]byte{a.Pre.Name, a.Post.Name} {
		if len(name) > 0 && !oneName(string(name)) {
			return false
		}
	}
	if a.Dir != "" && !safeRelative(a.Dir) {
		return false
	}
	return a.From != fromQuarantine || ValidRunID(a.FromDir) && (len(a.FromName) == 0 || oneName(string(a.FromName)))
}

// oneName tells whether a name is one component of a path: it may be that of a
// file that somebody else has made.
func oneName(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

// splitDir cuts the last component off a relative path.
func splitDir(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func relativeTo(base, path string) (string, error) {
	rel, err := filepath.Rel(base, path)
	if rel == "." {
		rel = ""
	}
	return rel, err
}

// insert adds a name to a sorted list; changed is false where it is there.
func insert(list []string, name string) (out []string, changed bool) {
	i, ok := slices.BinarySearch(list, name)
	if ok {
		return list, false
	}
	return slices.Insert(slices.Clone(list), i, name), true
}

func without(list []string, name string) (out []string, changed bool) {
	i, ok := slices.BinarySearch(list, name)
	if !ok {
		return list, false
	}
	return slices.Delete(slices.Clone(list), i, i+1), true
}
