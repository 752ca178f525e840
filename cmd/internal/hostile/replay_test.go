//go:build hostile

package hostile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/sample"
)

// nest is a message of multiparts in multiparts.
func nest(head string, deep int) []byte {
	var b bytes.Buffer
	b.WriteString(head + "MIME-Version: 1.0\n")
	for i := range deep {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"b%d\"\n\n--b%d\n", i, i)
	}
	b.WriteString("Content-Type: text/plain\n\nx\n")
	return b.Bytes()
}

// stored are messages that somebody may have sent, so that they lie in a mailbox.
var stored = []struct {
	name string
	make func(head string) []byte
}{
	{"MIME nested 10,000 deep", func(head string) []byte { return nest(head, 10_000) }},
	{"100,000 MIME parts", func(head string) []byte {
		return []byte(head + "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\nContent-Type: text/plain\n\nx\n", 100_000) + "--b--\n")
	}},
	{"a header of 100 MB", func(head string) []byte {
		return []byte(head + "X-Long: " + strings.Repeat("y", size(100, 20)<<20) + "\n\nx\n")
	}},
	{"very many header fields", func(head string) []byte {
		return []byte(head + strings.Repeat("a: b\n", size(2_000_000, 200_000)) + "\nx\n")
	}},
	{"one line of broken escapes", func(head string) []byte {
		return []byte(head + "Content-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat(strings.Repeat("=X", 16<<10)+strings.Repeat(" ", 32<<10)+"\n", size(512, 64)))
	}},
	{"very many signatures", func(head string) []byte {
		return []byte(strings.Repeat("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=x; s=y; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=\n", 10_000) + head + "\n" + strings.Repeat("\n", size(32, 4)<<20) + "x\n")
	}},
	{"one long line", func(head string) []byte {
		return append([]byte(head+"\n"), bytes.Repeat([]byte("x"), size(200, 40)<<20)...)
	}},
}

// What is archived is looked for among hostile messages of the same Message-ID,
// the same sender and the same date: they are examined as closely as any.
func TestReplayAmongHostileMail(t *testing.T) {
	g := newGround(t, sample.Options{Seed: 11, Mailboxes: 2, PerMailbox: 6})
	box := g.e.Boxes[0]
	var archive [][]byte
	for i, s := range stored {
		head := fmt.Sprintf("Message-ID: <s%d@example.net>\nDate: Tue, 24 Nov 2026 10:00:00 +0000\nFrom: a@example.net\nSubject: s\n", i)
		p := s.make(head)
		must(t, os.WriteFile(filepath.Join(g.inbox("cur"), fmt.Sprintf("1795500000.M%dP1.a,S=%d:2,S", i, len(p))), p, 0o600))
		archive = append(archive, []byte("X-Envelope-To: <"+box.Address+">\n"+head+"\nanother body\n"))
	}
	must(t, os.WriteFile(g.path("gw.mbox"), mboxOf(archive...), 0o644))
	g.configure("gw.mbox")
	g.bin.Limit = 5 * time.Minute
	codes := []int{0, 1, 3}
	before := g.look("store")
	g.once(codes, "scan", "primary")
	g.once(codes, "verify", "primary")
	g.once(codes, "audit", "--from", "gw", "--to", "primary", "--since", "all")
	for _, d := range same(before, g.look("store")) {
		t.Errorf("a reading command changed the store: %s", d)
	}
	g.once(codes, "replay", "--from", "gw", "--to", "primary", "--since", "all", "--yes")
	if again := g.once(codes, "replay", "--from", "gw", "--to", "primary", "--since", "all", "--yes"); again.Count("delivered") != 0 {
		t.Errorf("a second replay delivered %d", again.Count("delivered"))
	}
	g.safe()
}

// configure names the store, its replica and an archive below the ground.
func (g *ground) configure(archive string) {
	g.t.Helper()
	conf := fmt.Sprintf("[stores.primary]\npath = %q\nlayout = %q\nrole = \"primary\"\n[stores.spare]\npath = %q\nlayout = %q\n[archives.gw]\npath = %q\n",
		g.store(), sample.Layout, g.replica(), sample.Layout, g.path(archive))
	must(g.t, os.WriteFile(g.path("c.toml"), []byte(conf), 0o644))
	g.bin.Config = g.path("c.toml")
}

// Whatever runs keep beside the record (doubts, places at which to go on, copies
// of the server's logs, what a run told, journals of replays and their ledger),
// cut or flipped anywhere: commands say so or go on without it, none panics, none
// that reads changes the store, and no message is delivered twice.
func TestKeptHarmed(t *testing.T) {
	g := newGround(t, sample.Options{Seed: 12, Mailboxes: 2, PerMailbox: 8})
	var mbox bytes.Buffer
	must(t, sample.WriteMbox(&mbox, g.e.Gateway(nil)))
	must(t, os.WriteFile(g.path("gw.mbox"), mbox.Bytes(), 0o644))
	g.configure("gw.mbox")
	for _, s := range []string{"primary", "spare"} {
		g.once([]int{0}, "scan", s)
	}
	recorded := map[string]bool{}
	for _, f := range files(t, g.path("state")) {
		recorded[f] = true // harmed by TestRecordHarmed
	}
	lost := g.e.Boxes[0].Folders[0].Messages[0]
	hurt := g.e.Boxes[1].Folders[0].Messages[0]
	must(t, os.Remove(lost.Path(g.store())))
	p, err := os.ReadFile(hurt.Path(g.store()))
	must(t, err)
	must(t, os.WriteFile(hurt.Path(g.store()), make([]byte, len(p)), 0o600))
	g.once(nil, "verify", "primary", "--save-evidence")
	g.once(nil, "verify", "primary", "--max-duration", "1ms")
	g.once(nil, "replay", "--from", "gw", "--to", "primary", "--since", "all", "--yes")
	g.once(nil, "manifest", "stopped", "primary")

	before := g.look("store")
	codes := []int{0, 1, 3, 65, 66}
	n := size(16, 2)
	kept := map[string][]byte{}
	dirs := map[string]int{}
	for _, path := range files(t, g.path("state")) {
		if recorded[path] || strings.HasSuffix(path, ".lock") {
			continue
		}
		rel, _ := filepath.Rel(g.path("state"), path)
		dirs[strings.Split(rel, string(filepath.Separator))[0]]++
		if kept[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	tried := 0
	for path, good := range kept {
		rel, _ := filepath.Rel(g.path("state"), path)
		for how, p := range harms(good, n) {
			if bytes.Equal(p, good) {
				continue
			}
			tried++
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, p, 0o600))
			g.once(codes, "verify", "primary", "--max-duration", "1s")
			g.once(codes, "diff", "primary", "spare")
			g.once(codes, "audit", "--from", "gw", "--to", "primary", "--since", "all")
			g.once(codes, "runs")
			g.once(codes, "report", "last", "--html", g.path("page.html"))
			again := g.once(codes, "replay", "--from", "gw", "--to", "primary", "--since", "all", "--yes")
			if again.Count("delivered") != 0 {
				t.Errorf("%s %s: delivered once more: %d", rel, how, again.Count("delivered"))
			}
			for _, d := range same(before, g.look("store")) {
				t.Errorf("%s %s: the store has changed: %s", rel, how, d)
			}
			must(t, os.WriteFile(path, good, 0o600))
		}
	}
	t.Logf("%d harms to files of %v", tried, dirs)
	if len(dirs) < 4 {
		t.Errorf("only files of %v were there to be harmed", dirs)
	}
	g.safe()
}
