package cmd_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
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
	"restore/place":                {"manifest/durable", "scan/beneath", "scan/maildir"},
	"restore/place/faulty":         {"manifest/durable", "restore/place", "scan/beneath"}, // every call can fail, for tests
	"compare":                      {"manifest", "manifest/pack"},
	"scan/maildir":                 {"manifest"},
	"scan/message":                 {"manifest"},
	"scan/beneath":                 {},
	"scan/budget":                  {},
	"scan":                         {"compare", "manifest", "manifest/durable", "scan/maildir", "scan/message", "scan/beneath", "scan/budget"},
	"scan/verify":                  {"manifest/durable", "scan", "compare", "manifest", "scan/maildir", "scan/message", "scan/budget"},
	"scan/saved":                   {"manifest", "manifest/durable", "scan", "scan/beneath", "scan/maildir"},
	"restore":                      {"restore/place", "compare", "manifest", "manifest/durable", "manifest/pack", "scan/maildir", "scan/message", "scan/beneath", "scan/budget"},
	"restore/archive":              {"manifest", "restore", "scan/maildir", "scan/message", "scan/beneath", "scan/budget"},
	"restore/remote":               {"compare", "manifest", "restore", "restore/archive"},
	"restore/replay":               {"compare", "manifest", "manifest/durable", "restore", "restore/archive", "scan/maildir", "scan/message", "scan/beneath", "scan/budget"},
	"cmd":                          {"cmd", "compare", "manifest", "manifest/durable", "restore", "restore/archive", "restore/lmtp", "restore/place", "restore/remote", "restore/replay", "restore/userdb", "scan", "scan/maildir", "scan/message", "scan/beneath", "scan/budget", "scan/saved", "scan/verify"},
	"restore/userdb":               {"restore/replay"},
	"restore/lmtp":                 {"manifest", "restore", "restore/replay"},
	"cmd/mailsync/ui":              {"compare", "manifest", "restore", "restore/replay"},
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

// Imports point down only: whoever adds an arrow has to change the picture.
func TestImportDirection(t *testing.T) {
	files := 0
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
		checkFile(t, path, filepath.ToSlash(room))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Fatalf("only %d files were looked at: the walk is broken", files)
	}
}

func checkFile(t *testing.T, path, room string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	allowed, known := rule(room)
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
		if owner, ok := onlyIn[imp]; ok && (owner == "" || room != owner && !strings.HasPrefix(room, owner+"/")) {
			// cmd/internal holds suites, not the product.
			if !strings.HasPrefix(room, "cmd/internal/") {
				t.Errorf("%s imports %s, which belongs to %q", path, imp, owner)
			}
		}
		inside, ok := strings.CutPrefix(imp, "mailsync/")
		if !ok || inside == room {
			continue
		}
		if strings.HasPrefix(inside, "cmd/") {
			inside = "cmd"
		}
		good := false
		for _, a := range allowed {
			good = good || a == inside
		}
		if !good {
			t.Errorf("%s: %s must not import %s", path, room, imp)
		}
	}
}

// rule finds the entry of a room, or of the room above it in cmd.
func rule(room string) ([]string, bool) {
	if allowed, ok := mayImport[room]; ok {
		return allowed, true
	}
	if strings.HasPrefix(room, "cmd/") {
		return mayImport["cmd"], true
	}
	return nil, false
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
		allowed, known := rule(c.room)
		got := false
		for _, a := range allowed {
			got = got || a == c.imp
		}
		if !known || got != c.want {
			t.Errorf("%s -> %s: allowed %v, want %v", c.room, c.imp, got, c.want)
		}
	}
	if _, known := rule("util"); known {
		t.Error("a room outside the picture was accepted")
	}
}
