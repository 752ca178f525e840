package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/manifest"
)

// msg builds a small message with an envelope prefix.
func msg(i int) string {
	return fmt.Sprintf("X-Envelope-From: <s%d@example.net>\nX-Envelope-To: <r%d@example.com>\n", i, i) + plain(i)
}

func plain(i int) string {
	return fmt.Sprintf("Received: from a by gw.example.com for <x@example.com>; Mon, 5 Jan 2026 10:00:%02d +0100\nFrom: s%d@example.net\nTo: all@example.com\nSubject: %d\nMessage-ID: <%d@example.net>\n\nbody of %d\nsecond line\n", i%60, i, i, i, i)
}

func mboxOf(n int, m func(int) string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "From s%d@example.net  Mon Jan  5 10:00:%02d 2026\n%s\n", i, i%60, m(i))
	}
	return b.String()
}

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func gz(t testing.TB, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(p)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

type tarEntry struct {
	name, body, link string
	typ              byte
}

func tarOf(t testing.TB, entries ...tarEntry) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.typ == 0 {
			e.typ = tar.TypeReg
		}
		h := &tar.Header{Name: e.name, Typeflag: e.typ, Linkname: e.link, Mode: 0o644, Size: int64(len(e.body)), ModTime: time.Unix(1767607200, 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zipOf(t testing.TB, method uint16, streamed bool, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, n := range names {
		h := &zip.FileHeader{Name: n, Method: method, Modified: time.Unix(1767607200, 0)}
		if streamed {
			f, err := w.CreateHeader(h)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write([]byte(msg(i))); err != nil {
				t.Fatal(err)
			}
			continue
		}
		body := []byte(msg(i))
		h.CRC32 = crc(body)
		h.UncompressedSize64, h.CompressedSize64 = uint64(len(body)), uint64(len(body))
		h.Method = zip.Store
		f, err := w.CreateRaw(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func count(findings []manifest.Finding, k manifest.Kind) int {
	n := 0
	for _, f := range findings {
		if f.Kind == k {
			n++
		}
	}
	return n
}

// stream reads an archive without looking for its messages again.
func stream(t testing.TB, path string, o Options) (n int, findings []manifest.Finding) {
	t.Helper()
	a, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	for it, err := range a.Messages(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if it.Finding != nil {
			findings = append(findings, *it.Finding)
		} else {
			n++
		}
	}
	return n, findings
}
