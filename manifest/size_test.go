package manifest

import "testing"

// TestBytesAMessage measures what a message costs on disk with every field
// filled, for names as Dovecot makes them. docs/manifest-format.md shows the
// table that it logs (go test -run BytesAMessage -v ./manifest).
func TestBytesAMessage(t *testing.T) {
	const n = 10_000
	mb, list := sample("anna", n, 1)
	for i := range list {
		if e := &list[i]; e.Inode == 0 || e.UID == 0 || e.Checked == 0 || e.HeaderID == (HeaderID{}) || e.MTime%second == 0 {
			t.Fatalf("entry %d has not every field: %+v", i, e)
		}
	}
	data := encode(t, mb, list, nil)
	per := float64(len(data)) / n
	t.Logf("%6.2f bytes a message, %d bytes in all", per, len(data))
	if per > 100 {
		t.Errorf("%.2f bytes a message, at most 100 are promised", per)
	}

	var c columns
	c.alg = mb.Alg
	c.reset()
	var plain [numColumns]int
	raw, blocks, packed, compressed := 0, 0, 0, 0
	flush := func() {
		for i := range c.col {
			plain[i] += len(c.col[i])
		}
		p := c.pack(nil)
		packed += len(p)
		compressed += len(compress(nil, p))
		raw += len(c.raw)
		blocks++
		c.reset()
	}
	for i := range list {
		size, err := checkEntry(&list[i], mb.Alg)
		if err != nil {
			t.Fatal(err)
		}
		if c.size()+size > MaxBlock {
			flush()
		}
		c.add(&list[i])
	}
	flush()
	names := [numColumns]string{
		"shape", "lengths of unique names", "own part of unique names", "rest of names (flags)", "folders, keywords, odd flags",
		"size", "S=, W= less size", "mtime less name's time", "ctime less mtime", "inode", "UID", "checked", "absences",
	}
	for i, name := range names {
		t.Logf("%6.2f %s", float64(plain[i])/n, name)
	}
	t.Logf("%6.2f columns together, %.2f compressed", float64(packed)/n, float64(compressed)/n)
	t.Logf("%6.2f raw: 32 digest, 16 header identity, %.2f nanoseconds", float64(raw)/n, float64(raw)/n-48)
	t.Logf("%6.2f frames of %d blocks, header, end", per-float64(raw+compressed)/n, blocks)
}

// TestManyEntriesInLittleMemory: many writers may be open, and a mailbox may
// be large: a writer holds one block, whatever it has written.
func TestManyEntriesInLittleMemory(t *testing.T) {
	mb, list := sample("anna", 5000, 1)
	c := &counter{}
	w, err := NewWriter(c, mb)
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if err := w.Add(&list[i]); err != nil {
			t.Fatal(err)
		}
		if held := cap(w.body.packed) + cap(w.body.sealer.buf) + cap(w.body.cols.raw); held > 6*MaxBlock {
			t.Fatalf("%d bytes held after %d entries", held, i)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
