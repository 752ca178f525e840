package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The places through which stores and the state directory are reached. Faults
// are injected there, and nowhere else is a call made that could fail unseen.
var accessPlaces = []string{
	"scan/beneath/",             // reading a store
	"restore/place/calls.go",    // writing it
	"restore/place/futimens.go", // one of those calls, which package unix lacks
	"manifest/durable/",         // the state directory
}

// otherAccess is every file of the libraries that reaches files by itself, and
// what these are: none is of a store or of the state directory.
var otherAccess = map[string]string{
	"scan/users.go":              "the operator's list of users",
	"scan/saved/logs.go":         "copies of the server's logs, where the operator keeps them",
	"scan/machine.go":            "/proc: the boot's id",
	"scan/budget/pressure.go":    "/proc/pressure",
	"scan/budget/device.go":      "/sys, /proc: which disk is below a path",
	"scan/budget/ioprio.go":      "/proc: the threads of this process",
	"restore/place/sync.go":      "/proc: mount options",
	"restore/planfile.go":        "the plan file that the operator names, beside durable's own calls",
	"restore/tempfile.go":        "temporary files without a name",
	"restore/planstream.go":      "a plan on its way between hosts, in temporary files",
	"restore/archive/":           "archives, read-only, and temporary files without a name",
	"restore/replay/resolve.go":  "maps of recipients",
	"restore/replay/dlog.go":     "logs of mail servers",
	"restore/replay/loglines.go": "logs of mail servers",
}

var (
	osAccess   = regexp.MustCompile(`^(Open|Create|MkdirTemp|ReadFile|WriteFile|ReadDir|Stat|Lstat|Remove|Rename|Link|Symlink|Mkdir|Chmod|Chown|Lchown|Chtimes|Truncate|DirFS|CopyFS|Readlink)`)
	pathAccess = regexp.MustCompile(`^(Walk|WalkDir|Glob|EvalSymlinks)$`)
	unixAccess = regexp.MustCompile(`^(Open|Creat|Fstat|Lstat|Stat|Mk|Link|Symlink|Unlink|Rename|Rmdir|Read|Write|Pread|Pwrite|Getdents|Fsync|Fdatasync|Sync|Fchown|Fchmod|Chown|Chmod|Lchown|Utimes|Futimes|Truncate|Ftruncate|Fallocate|Flock|Ioctl|Renameat)`)
)

// No library reaches a file of a store or of the state directory but through
// the tables into which faults are injected.
func TestFilesAreReachedInFewPlaces(t *testing.T) {
	met := map[string]bool{}
	for _, room := range []string{"manifest", "compare", "scan", "restore"} {
		err := filepath.WalkDir("../"+room, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			name := filepath.ToSlash(strings.TrimPrefix(path, "../"))
			calls := accesses(t, path)
			if len(calls) == 0 || slices.ContainsFunc(accessPlaces, func(p string) bool { return strings.HasPrefix(name, p) }) ||
				strings.Contains(name, "test/") || strings.HasPrefix(name, "restore/place/faulty/") {
				return nil
			}
			known := false
			for other := range otherAccess { // a file, or a directory that ends in "/"
				if name == other || strings.HasSuffix(other, "/") && strings.HasPrefix(name, other) {
					met[other], known = true, true
				}
			}
			if !known {
				t.Errorf("%s calls %s: a store is reached through scan/beneath and restore/place, the state directory through manifest/durable; if these are other files, say so here",
					name, strings.Join(calls, ", "))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range otherAccess {
		if !met[name] {
			t.Errorf("%s reaches no file any more: take it off the list", name)
		}
	}
}

// accesses lists the functions of a file that reach files by name or descriptor.
func accesses(t *testing.T, path string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := s.X.(*ast.Ident)
		if !ok || x.Obj != nil { // a variable, no package
			return true
		}
		name := s.Sel.Name
		switch {
		case strings.HasSuffix(name, "_t"), strings.Contains(name, "Error"):
		case x.Name == "os" && osAccess.MatchString(name),
			x.Name == "filepath" && pathAccess.MatchString(name),
			(x.Name == "unix" || x.Name == "syscall") && unixAccess.MatchString(name):
			found[x.Name+"."+name] = true
		}
		return true
	})
	return slices.Sorted(maps.Keys(found))
}
