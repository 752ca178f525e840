// Package corpustest reads, for tests, the corpus of real mail and real stores
// that may lie beside the project. Without it such a test is skipped, and says
// what has not been tested.
package corpustest

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// Each calls fn with every file of the corpus, from a test of a package two
// levels below the module.
func Each(t testing.TB, fn func(h *tar.Header, p []byte)) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "corpus", "mail.tar.zst"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("NOT TESTED ON REAL MAIL: the mail corpus (../shared/corpus/mail.tar.zst) is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	tr := tar.NewReader(z)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		p, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		fn(h, p)
	}
}
