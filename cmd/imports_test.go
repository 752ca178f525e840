package cmd_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport says which rooms of this module each room may import, in code that
// ships. It is the picture of docs/architecture.md; the more specific entry
// wins, and a room with no entry may not exist.
var mayImport = map[string][]string{
	"manifest":                     {"manifest/durable", "manifest/pack"},
	"manifest/pack":                {},
	"manifest/durable":             {},
	"manifest/durable/durabletest": {"manifest/durable"},    // a disk that can fail, for tests
	"compare/comparetest":          {"manifest", "compare"}, // stores in memory, for tests
	"scan/corpustest":              {},                      // a corpus of real mail, for tests
	"restore/place":                {"scan/beneath"},
	"restore/place/faulty":         {"manifest/durable", "restore/place", "scan/beneath"}, // every call can fail, for tests
	"compare":                      {"manifest", "manifest/pack"},
	"scan/maildir":                 {},
	"scan/message":                 {"manifest"},
	"scan/beneath":                 {},
	"scan/budget":                  {},
	"scan":                         {"compare", "manifest", "scan/maildir", "scan/message", "scan/beneath", "scan/budget"},
	"scan/verify":                  {"manifest/durable", "scan", "compare", "manifest", "scan/maildir"},
	"scan/saved":                   {"manifest", "manifest/durable", "scan", "scan/beneath", "scan/maildir"},
	"restore":                      {"restore/place", "compare", "manifest", "manifest/durable", "manifest/pack", "scan/maildir", "scan/beneath", "scan/budget"},
	"restore/archive":              {"manifest", "restore", "scan/message"},
	"restore/remote":               {"compare", "manifest", "restore", "restore/archive"},
	"restore/replay":               {"compare", "manifest", "manifest/durable", "restore", "restore/archive", "scan/maildir", "scan/message"},
	"cmd":                          {"cmd", "compare", "manifest", "manifest/durable", "restore", "restore/archive", "restore/lmtp", "restore/place", "restore/remote", "restore/replay", "restore/userdb", "scan", "scan/maildir", "scan/message", "scan/beneath", "scan/budget", "scan/saved", "scan/verify"},
	"restore/userdb":               {"restore/replay"},
	"restore/lmtp":                 {"manifest", "restore", "restore/replay"},
	"cmd/mailsync/ui":              {"compare", "manifest", "restore"},
	"cmd/mailsync/config":          {"manifest"},
	"cmd/mailsync/doctor":          {"scan/beneath", "scan/maildir"},
}

// onlyIn says which outside packages belong to one room.
var onlyIn = map[string]string{
	"github.com/spf13/cobra":                     "cmd",
	"github.com/schollz/progressbar/v3":          "cmd/mailsync/ui",
	"github.com/pelletier/go-toml/v2":            "cmd/mailsync/config",
	"golang.org/x/term":                          "cmd",
	"github.com/hashicorp/yamux":                 "restore/remote",
	"github.com/fxamacker/cbor/v2":               "restore/remote",
	"github.com/emersion/go-smtp":                "restore/lmtp",
	"github.com/jackc/pgx/v5":                    "restore/userdb",
	"github.com/go-sql-driver/mysql":             "restore/userdb",
	"github.com/emersion/go-maildir":             "", // an oracle in tests only
	"github.com/rogpeppe/go-internal":            "", // tests only
	"pgregory.net/rapid":                         "", // tests only
	"github.com/google/go-cmp/cmp":               "", // tests only
	"github.com/rogpeppe/go-internal/testscript": "",
}

// Imports point down only: whoever adds an arrow has to change the picture, and
// whoever takes the last import of one away, too.
func TestImportDirection(t *testing.T) {
	files, used := 0, map[[2]string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == "testdata" || name == "bin" || name == "dist" || strings.HasPrefix(name, ".") && name != ".." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files++
		room, err := filepath.Rel("..", filepath.Dir(path))
		if err != nil {
			return err
		}
		checkFile(t, path, filepath.ToSlash(room), used)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Fatalf("only %d files were looked at: the walk is broken", files)
	}
	for room, allowed := range mayImport {
		for _, imp := range allowed {
			if imp != room && !used[[2]string{room, imp}] {
				t.Errorf("%s may import %s, and does not: the picture has an arrow too many", room, imp)
			}
		}
	}
}

// The table of docs/architecture.md has a row for each room that ships, and no
// other; the suites and what serves tests alone share two.
func TestRoomsAreOnTheMap(t *testing.T) {
	page, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		rows[m[1]] = true
	}
	dirs, err := filepath.Glob("../cmd/mailsync/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	rooms := map[string]bool{"cmd/mailsync": true}
	for _, file := range dirs {
		rooms[strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../")] = true
	}
	for room := range mayImport {
		if room != "cmd" && !forTests(room) {
			rooms[room] = true
		}
	}
	for room := range rooms {
		if !rows[room] {
			t.Errorf("docs/architecture.md has no row for %s", room)
		}
	}
	for row := range rows {
		if !rooms[row] {
			t.Errorf("docs/architecture.md has a row for %s, which is no room", row)
		}
	}
}

// forTests tells whether a room serves tests alone.
func forTests(room string) bool {
	return strings.HasSuffix(room, "test") || room == "restore/place/faulty"
}

func checkFile(t *testing.T, path, room string, used map[[2]string]bool) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	owner, known := rule(room)
	if !known {
		t.Errorf("%s: room %q is not in the picture of docs/architecture.md", path, room)
		return
	}
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Error(err)
			continue
		}
		if home, ok := onlyIn[imp]; ok && (home == "" || room != home && !strings.HasPrefix(room, home+"/")) {
			// cmd/internal holds suites, not the product.
			if !strings.HasPrefix(room, "cmd/internal/") {
				t.Errorf("%s imports %s, which belongs to %q", path, imp, home)
			}
		}
		inside, ok := strings.CutPrefix(imp, "mailsync/")
		if !ok || inside == room {
			continue
		}
		if strings.HasPrefix(inside, "cmd/") {
			inside = "cmd"
		}
		if !slices.Contains(mayImport[owner], inside) {
			t.Errorf("%s: %s must not import %s", path, room, imp)
		}
		used[[2]string{owner, inside}] = true
	}
}

// rule names the entry of a room: its own, or that of all of cmd.
func rule(room string) (entry string, ok bool) {
	if _, ok := mayImport[room]; ok {
		return room, true
	}
	return "cmd", strings.HasPrefix(room, "cmd/")
}

// The checker itself notices an arrow that runs the wrong way.
func TestImportRule(t *testing.T) {
	for _, c := range []struct {
		room, imp string
		want      bool
	}{
		{"compare", "scan", false},
		{"manifest", "compare", false},
		{"scan", "restore", false},
		{"restore", "scan", false},
		{"restore", "scan/beneath", true},
		{"scan/verify", "scan", true},
		{"cmd/mailsync", "restore", true},
	} {
		entry, known := rule(c.room)
		if got := slices.Contains(mayImport[entry], c.imp); !known || got != c.want {
			t.Errorf("%s -> %s: allowed %v, want %v", c.room, c.imp, got, c.want)
		}
	}
	if _, known := rule("util"); known {
		t.Error("a room outside the picture was accepted")
	}
}
