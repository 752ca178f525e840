//go:build hostile

package hostile

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/sample"
)

// zeros is an endless run of one byte.
type zeros byte

func (z zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(z)
	}
	return len(p), nil
}

// gzipBomb is a small file that becomes n bytes.
func gzipBomb(n int64) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, "Subject: bomb\n\n")
	_, _ = io.CopyN(w, zeros('A'), n)
	_ = w.Close()
	return b.Bytes()
}

func eml(i int, more string) []byte {
	return fmt.Appendf(nil, "X-Envelope-To: <anna@example.org>\nMessage-ID: <h%d@example.net>\nDate: Tue, 24 Nov 2026 10:00:00 +0000\nFrom: a@example.net\n%s\nbody %d\n", i, more, i)
}

func mboxOf(messages ...[]byte) []byte {
	var b bytes.Buffer
	for _, m := range messages {
		b.WriteString("From a@example.net Tue Nov 24 10:00:00 2026\n")
		b.Write(m)
		b.WriteString("\n")
	}
	return b.Bytes()
}

func tarOf(hs ...*tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, h := range hs {
		p := eml(i, "")
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(p))
		}
		h.Mode, h.ModTime = 0o644, time.Unix(1795000000, 0)
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if h.Typeflag == tar.TypeReg {
			_, _ = w.Write(p)
		}
	}
	_ = w.Close()
	return b.Bytes()
}

func zipOf(names ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, n := range names {
		f, err := w.Create(n)
		if err != nil {
			panic(err)
		}
		_, _ = f.Write(eml(i, ""))
	}
	_ = w.Close()
	return b.Bytes()
}

func nested(p []byte, deep int) []byte {
	for range deep {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(p)
		_ = w.Close()
		p = b.Bytes()
	}
	return p
}

func mime(deep int) []byte {
	var b bytes.Buffer
	b.WriteString("X-Envelope-To: <anna@example.org>\nMessage-ID: <mime@example.net>\nMIME-Version: 1.0\n")
	for i := range deep {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"b%d\"\n\n--b%d\n", i, i)
	}
	b.WriteString("Content-Type: text/plain\n\nx\n")
	return b.Bytes()
}

// archives that a gateway, or somebody who can send mail through it, may leave.
var archives = []struct {
	name, file string
	make       func() []byte
}{
	{"tar with names that escape", "a.tar", func() []byte {
		return tarOf(
			&tar.Header{Name: "../../escape.eml", Typeflag: tar.TypeReg},
			&tar.Header{Name: "/tmp/mailsync-hostile-absolute.eml", Typeflag: tar.TypeReg},
			&tar.Header{Name: "link.eml", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink},
			&tar.Header{Name: "hard.eml", Linkname: "../outside/secret", Typeflag: tar.TypeLink},
			&tar.Header{Name: "null.eml", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
			&tar.Header{Name: "fifo.eml", Typeflag: tar.TypeFifo},
			&tar.Header{Name: "dir\x1b[2J/a\nb.eml", Typeflag: tar.TypeReg},
			&tar.Header{Name: "good/anna@example.org/1.eml", Typeflag: tar.TypeReg},
		)
	}},
	{"zip with names that escape", "a.zip", func() []byte {
		return zipOf("../../escape.eml", "/tmp/mailsync-hostile-absolute.eml", `..\..\windows.eml`, "good/1.eml", "good/1.eml", strings.Repeat("d/", 2000)+"deep.eml")
	}},
	{"gzip bomb", "bomb.mbox.gz", func() []byte { return gzipBomb(int64(size(2048, 256)) << 20) }},
	{"gzip twenty deep", "deep.gz", func() []byte { return nested(mboxOf(eml(1, "")), 20) }},
	{"zip bomb", "bomb.zip", func() []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for i := range 8 {
			f, err := w.Create(fmt.Sprintf("%d.eml", i))
			if err != nil {
				panic(err)
			}
			_, _ = f.Write(eml(i, ""))
			_, _ = io.CopyN(f, zeros(' '), int64(size(300, 60))<<20)
		}
		_ = w.Close()
		return b.Bytes()
	}},
	{"MIME nested 10,000 deep", "mime.mbox", func() []byte { return mboxOf(mime(10000), eml(2, "")) }},
	{"huge header", "header.mbox", func() []byte {
		return mboxOf(eml(1, "X-Long: "+strings.Repeat("y", size(100, 20)<<20)+"\n"), eml(2, ""))
	}},
	{"very many recipients", "many.mbox", func() []byte {
		var b strings.Builder
		b.WriteString("X-Envelope-To: <anna@example.org>")
		for i := range size(1000000, 200000) {
			fmt.Fprintf(&b, ",\n <u%d@example.org>", i)
		}
		return mboxOf([]byte(b.String() + "\nMessage-ID: <many@example.net>\n\nx\n"))
	}},
	{"one long line", "line.mbox", func() []byte {
		return mboxOf(append(eml(1, ""), bytes.Repeat([]byte("x"), size(200, 40)<<20)...), eml(2, ""))
	}},
	{"addresses that inject", "inject.bsmtp", func() []byte {
		return []byte("MAIL FROM:<a@example.net>\nRCPT TO:<anna@example.org\rRCPT TO:<x@y>>\nRCPT TO:<../../../etc@example.org>\nRCPT TO:<anna@example.org/../../outside>\nRCPT TO:<\x1b[31m@example.org>\nRCPT TO:<\"\"@example.org>\nDATA\nMessage-ID: <inj@example.net>\n\nx\n.\nMAIL FROM:<a@example.net>\nRCPT TO:<anna@example.org>\nDATA\nMessage-ID: <inj2@example.net>\n\nx\n.\n")
	}},
	{"BSMTP without an end", "open.bsmtp", func() []byte {
		return append([]byte("MAIL FROM:<a@example.net>\nRCPT TO:<anna@example.org>\nDATA\nMessage-ID: <ok@example.net>\n\nx\n.\nMAIL FROM:<b@example.net>\nRCPT TO:<anna@example.org>\nDATA\n"), bytes.Repeat([]byte("never ends\n"), 1<<20)...)
	}},
	{"queue file with a loop of pointers", "queue/deferred/A/ABCDEF", func() []byte {
		return []byte("C\x5f             10              20               1               0              10               0T\x111795337760 211520S\x0ff@example.net..p\x0f              0p\x0f             97p\x0f             97")
	}},
	{"queue file whose pointers lead back to large records", "queue/deferred/A/ABCDEF", func() []byte {
		head := []byte(fmt.Sprintf("C\x5f%15d %15d %15d %15d %15d %15d", 10, 20, 1, 0, 10, 0) + "S\x0da@example.net" + "")
		long := append([]byte{'O', 0x80, 0x80, 0x3c}, bytes.Repeat([]byte("o"), 0x3c<<14)...)
		p := append(append(bytes.Clone(head), long...), "R\x10anna@example.org"...)
		return append(p, fmt.Sprintf("p\x0f%15d", len(head))...)
	}},
	{"batch of very many short recipients", "short.bsmtp", func() []byte {
		return []byte("MAIL FROM:<>\n" + strings.Repeat("RCPT TO:<a>\n", size(20_000_000, 2_000_000)) + "DATA\nMessage-ID: <short@example.net>\n\nx\n.\nMAIL FROM:<>\nRCPT TO:<anna@example.org>\nDATA\nMessage-ID: <after@example.net>\n\nx\n.\n")
	}},
	{"very many fields of recipients", "fields.eml", func() []byte {
		return []byte(strings.Repeat("X-Envelope-To: "+strings.Repeat("a,", 5000)+"\n", size(2000, 300)) + "Message-ID: <fields@example.net>\n\nx\n")
	}},
	{"journal report of one line", "report.mbox", func() []byte {
		return mboxOf([]byte("X-MS-Journal-Report:\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nSender: a@example.net\nTo: anna@example.org\n\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <j@example.net>\n\n" + strings.Repeat("--b", 1<<20) + "\n"))
	}},
	{"Exim variable of the largest length", "input/1wMail-000001-Ab-H", func() []byte {
		return []byte("1wMail-000001-Ab-H\nexim 100 100\n<a@example.net>\n1795337760 0\n-acl 1 9223372036854775807\nvalue\nXX\n1\nanna@example.org\n\n")
	}},
	{"an mbox that is all From lines", "from.mbox", func() []byte {
		return bytes.Repeat([]byte("From a@example.net Tue Nov 24 10:00:00 2026\n"), 500000)
	}},
	{"NULs", "nul.mbox", func() []byte { return append(mboxOf(eml(1, "")), make([]byte, 50<<20)...) }},
	{"nothing", "empty.mbox", func() []byte { return nil }},
}

// No archive makes a command leave its place, its time or its memory.
func TestArchives(t *testing.T) {
	for _, a := range archives {
		t.Run(a.name, func(t *testing.T) {
			g := newGround(t, sample.Options{Seed: 3, PerMailbox: 10})
			path := g.path("archive", a.file)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, a.make(), 0o700))
			conf := fmt.Sprintf("[stores.primary]\npath = %q\nlayout = %q\nrole = \"primary\"\n[archives.gw]\npath = %q\n", g.store(), sample.Layout, path)
			must(t, os.WriteFile(g.path("c.toml"), []byte(conf), 0o644))
			g.bin.Config = g.path("c.toml")
			g.bin.Limit = 2 * time.Minute
			before := g.look("store")
			codes := []int{0, 1, 3, 65}
			g.attack(codes, "audit", "--from", "gw", "--since", "all")
			for _, d := range same(before, g.look("store")) {
				t.Errorf("audit changed the store: %s", d)
			}
			g.once(codes, "replay", "--from", "gw", "--since", "all", "--yes")
			second := g.once(codes, "replay", "--from", "gw", "--since", "all", "--yes")
			if second.Count("delivered") != 0 {
				t.Errorf("a second replay delivered %d", second.Count("delivered"))
			}
			for _, p := range []string{g.path("escape.eml"), "/tmp/mailsync-hostile-absolute.eml", filepath.Join(filepath.Dir(g.dir), "escape.eml")} {
				if _, err := os.Lstat(p); err == nil {
					t.Errorf("an archive wrote %s", p)
				}
			}
			g.safe()
			g.noLeak("store")
		})
	}
}

// An archive cut anywhere, or with a byte flipped, ends in a code that says so
// or in what is whole of it; never in a panic, and never twice in a mailbox.
func TestArchiveCut(t *testing.T) {
	g := newGround(t, sample.Options{Seed: 4, Mailboxes: 2, PerMailbox: 6, Folders: []string{"INBOX"}})
	var mbox, bsmtp bytes.Buffer
	mail := g.e.Gateway(nil)
	must(t, sample.WriteMbox(&mbox, mail))
	must(t, sample.WriteBSMTP(&bsmtp, mail))
	for name, whole := range map[string][]byte{
		"a.mbox": mbox.Bytes(), "a.bsmtp": bsmtp.Bytes(), "a.mbox.gz": nested(mbox.Bytes(), 1), "a.tar": tarOf(
			&tar.Header{Name: "1.eml", Typeflag: tar.TypeReg}, &tar.Header{Name: "2.eml", Typeflag: tar.TypeReg}), "a.zip": zipOf("1.eml", "2.eml"),
	} {
		t.Run(name, func(t *testing.T) {
			g := *g
			g.t = t
			path := g.path(name)
			conf := fmt.Sprintf("[stores.primary]\npath = %q\nlayout = %q\n[archives.gw]\npath = %q\n", g.store(), sample.Layout, path)
			must(t, os.WriteFile(g.path(name+".toml"), []byte(conf), 0o644))
			g.bin.Config = g.path(name + ".toml")
			args := []string{"audit", "--from", "gw", "--to", "primary", "--since", "all"}
			for i := range size(48, 8) {
				p := bytes.Clone(whole)
				if i%2 == 0 {
					p = p[:len(p)*(i+1)/49]
				} else {
					p[len(p)*i/48] ^= 0x41
				}
				must(t, os.WriteFile(path, p, 0o644))
				g.once([]int{0, 1, 3, 65}, args...)
			}
		})
	}
}
