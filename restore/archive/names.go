package archive

import (
	"strings"
)

// trimSuffix drops the suffix that names a compression.
func trimSuffix(name string) string {
	for _, s := range []string{".gz", ".zst", ".bz2", ".xz", ".tgz", ".Z"} {
		if t, ok := strings.CutSuffix(name, s); ok && t != "" {
			return t
		}
	}
	return name
}

// base is the last component of a path.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// inMaildir tells whether the path's directory is the cur or new of a Maildir.
func inMaildir(path string) bool {
	dir, _, ok := cutLast(path)
	return ok && (base(dir) == "cur" || base(dir) == "new")
}

func cutLast(path string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// isMailName tells whether a name says that the file is one message.
func isMailName(path string) bool {
	return inMaildir(path) || strings.HasSuffix(strings.ToLower(trimSuffix(base(path))), ".eml")
}

// housekeeping tells whether a name is one of the small files that mail servers
// and operators keep beside mail.
func housekeeping(name string) bool {
	switch name {
	case "maildirsize", "maildirfolder", "subscriptions", "maildirshared", "README", "README.md", "LICENSE", "MANIFEST":
		return true
	}
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "dovecot") || strings.HasPrefix(name, "courierimap")
}

// safeName tells whether a member's name stays below where it is unpacked, and
// why not. Nothing is ever unpacked: the name is only printed and stored, but
// an archive that holds such names was not made by a gateway.
func safeName(name string) (string, bool) {
	switch {
	case name == "":
		return "a member without a name", false
	case strings.HasPrefix(name, "/") || strings.HasPrefix(name, `\`) || len(name) > 2 && name[1] == ':' && (name[2] == '\\' || name[2] == '/'):
		return "a member with an absolute name", false
	case strings.IndexByte(name, 0) >= 0:
		return "a member whose name holds a NUL", false
	case len(name) > 4096:
		return "a member whose name is longer than 4096 bytes", false
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." {
			return `a member whose name leads outside ("..")`, false
		}
	}
	return "", true
}
