//go:build hostile

package hostile

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
	"mailsync/cmd/internal/sample"
	"mailsync/manifest"
)

// ground is a store under attack, a sound replica, and what lies outside.
type ground struct {
	t       *testing.T
	dir     string
	e       *sample.Estate
	bin     drive.Bin
	memory  int64  // that a run may take
	secret  []byte // the bytes of outside/secret
	outside map[string]string
}

// size is a number as it was meant, or with -short a smaller one.
func size(full, short int) int {
	if testing.Short() {
		return short
	}
	return full
}

const mark = "SECRET-7f3a91c4"

func product(t *testing.T) string {
	t.Helper()
	path, err := drive.Built(os.Getenv("MAILSYNC_BIN"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func newGround(t *testing.T, opt sample.Options) *ground {
	t.Helper()
	g := &ground{t: t, dir: t.TempDir(), e: sample.New(opt), memory: 400 << 20}
	g.bin = drive.Bin{Path: product(t), State: g.path("state"), Limit: time.Minute}
	must(t, g.e.Write(g.store()))
	must(t, g.e.Write(g.replica()))
	must(t, os.MkdirAll(g.path("outside", "cur"), 0o755))
	g.secret = []byte("Message-ID: <" + mark + "@example.net>\nSubject: " + mark + "\n\n" + strings.Repeat(mark+"\n", 40))
	must(t, os.WriteFile(g.path("outside", "secret"), g.secret, 0o644))
	must(t, os.WriteFile(g.path("outside", "cur", "1700000000.M1P1.secret:2,S"), g.secret, 0o644))
	g.outside = g.look("outside")
	return g
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (g *ground) path(parts ...string) string {
	return filepath.Join(append([]string{g.dir}, parts...)...)
}
func (g *ground) store() string   { return g.path("store") }
func (g *ground) replica() string { return g.path("replica") }

// inbox is a directory of the first mailbox' INBOX.
func (g *ground) inbox(sub string) string { return filepath.Join(g.store(), g.e.Boxes[0].Path, sub) }

// look lists everything below a directory with its kind, size and bytes.
func (g *ground) look(name string) map[string]string {
	out := map[string]string{}
	err := filepath.WalkDir(g.path(name), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		s := fmt.Sprintf("%v %d", fi.Mode(), fi.Size())
		if d.IsDir() {
			s = fi.Mode().String()
		}
		if d.Type().IsRegular() && fi.Size() < 1<<22 {
			p, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			s += " " + manifest.BLAKE3.Sum(p).String()
		}
		out[path] = s
		return nil
	})
	if err != nil {
		g.t.Error(err)
	}
	return out
}

func same(a, b map[string]string) (diff []string) {
	for k, v := range a {
		if b[k] != v {
			diff = append(diff, fmt.Sprintf("%s was %q, is %q", k, v, b[k]))
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			diff = append(diff, k+" is new")
		}
	}
	slices.Sort(diff)
	return diff
}

// attack runs a command and wants one of the codes. It is run with --json and
// as for a person.
func (g *ground) attack(codes []int, args ...string) *drive.Result {
	g.t.Helper()
	r, err := g.bin.JSON(g.t.Context(), args...)
	must(g.t, err)
	g.judge(r, codes, args)
	text, err := g.bin.Text(g.t.Context(), args...)
	must(g.t, err)
	if slices.Contains(args, "--yes") {
		codes = nil // the second run finds the first one's work
	}
	g.judge(text, codes, args)
	return r
}

// once is attack without the run for a person.
func (g *ground) once(codes []int, args ...string) *drive.Result {
	g.t.Helper()
	r, err := g.bin.JSON(g.t.Context(), args...)
	must(g.t, err)
	g.judge(r, codes, args)
	return r
}

func (g *ground) judge(r *drive.Result, codes []int, args []string) {
	g.t.Helper()
	what := "mailsync " + strings.Join(args, " ")
	for _, f := range r.Faults {
		g.t.Errorf("%s: %s\n%s", what, f, tail(r.Stderr, 1500))
	}
	if codes != nil && !slices.Contains(codes, r.Code) {
		g.t.Errorf("%s: want exit %v: %s", what, codes, r)
	}
	if r.Code == 70 {
		g.t.Errorf("%s: it calls itself a bug: %s", what, r)
	}
	digest := manifest.BLAKE3.Sum(g.secret).String()
	leaks := func(text string) bool { return strings.Contains(text, mark) || strings.Contains(text, digest) }
	if leaks(r.Stdout) || leaks(r.Stderr) || slices.ContainsFunc(r.Lines, func(l drive.Line) bool { return leaks(l.Raw) }) {
		g.t.Errorf("%s: what lies outside is in the output", what)
	}
	if r.MaxRSS > g.memory {
		g.t.Errorf("%s: %d MiB of memory", what, r.MaxRSS>>20)
	}
}

// safe wants that nothing outside was touched and nothing of it came in.
func (g *ground) safe() {
	g.t.Helper()
	for _, d := range same(g.outside, g.look("outside")) {
		g.t.Errorf("outside the store: %s", d)
	}
	sum := manifest.BLAKE3.Sum(g.secret)
	for _, where := range []string{"state"} {
		_ = filepath.WalkDir(g.path(where), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			p, err := os.ReadFile(path)
			if err == nil && (bytes.Contains(p, []byte(mark)) || bytes.Contains(p, sum.Sum[:])) {
				g.t.Errorf("what lies outside is in %s", path)
			}
			return nil
		})
	}
	r, err := g.bin.Text(g.t.Context(), "manifest", "export", g.store())
	must(g.t, err)
	if strings.Contains(r.Stdout, sum.String()) {
		g.t.Error("the digest of what lies outside is in the record")
	}
}

// noLeak wants that nothing of the secret was copied into a directory, except
// through the links that were planted there.
func (g *ground) noLeak(name string) {
	g.t.Helper()
	_ = filepath.WalkDir(g.path(name), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		fi, err := d.Info()
		if err != nil || fi.Size() > 1<<22 {
			return nil
		}
		p, err := os.ReadFile(path)
		if err == nil && bytes.Contains(p, []byte(mark)) {
			g.t.Errorf("what lies outside was copied to %s", path)
		}
		return nil
	})
}

func tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}
