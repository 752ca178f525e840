package replay

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/restore/archive"
)

// A compressed archive can only be read from its start, and mailboxes are
// delivered one after another: stretches grow, beyond memory too, and every
// message arrives once, with its own bytes.
func TestStretchesOfACompressedArchive(t *testing.T) {
	const boxes, n = 7, 420
	box := func(i int) string { return fmt.Sprintf("u%d@example.com", i%boxes) }
	name := filepath.Join(t.TempDir(), "gw.mbox.gz")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	bodies := map[string]string{}
	for i := range n {
		at := t0.Add(time.Duration(i) * time.Second)
		body := mail(i, at) + strings.Repeat("More of it.\n", i%40)
		bodies[body] = box(i)
		fmt.Fprintf(z, "From s@example.net %s\nX-Envelope-To: <%s>\n%s\n", at.Format("Mon Jan _2 15:04:05 2006"), box(i), body)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s := newStore()
	for i := range boxes {
		s.boxes[box(i)] = nil
	}
	o := options(t, newGateway(t), s)
	if o.Archive, err = archive.Open(name, archive.Options{Zone: time.UTC}); err != nil {
		t.Fatal(err)
	}
	o.All, o.Memory = true, 8<<10
	r, err := run(t, o, s)
	if err != nil {
		t.Fatal(err)
	}
	if r.totals.Delivered != n || r.exit != 0 {
		t.Fatalf("%+v, exit %d", r.totals, r.exit)
	}
	for b, list := range s.boxes {
		for _, m := range list {
			if bodies[string(m.body)] != b {
				t.Errorf("%s holds what was not archived for it, or twice", b)
			}
			delete(bodies, string(m.body))
		}
	}
	if len(bodies) != 0 {
		t.Errorf("%d messages are nowhere", len(bodies))
	}
}

func TestStretchLimitsGrow(t *testing.T) {
	l := stretchLimits{messages: 8 << 10, bytes: 32 << 20}
	l.grow(100, 100)
	if l.bytes != 32<<20 || l.messages != 8<<10 {
		t.Errorf("grown where the archive was read in order: %+v", l)
	}
	for range 10 {
		l.grow(1000, 10)
	}
	if l.bytes != maxStretchBytes || l.messages != maxStretchMessages {
		t.Errorf("no bound, or not reached: %+v", l)
	}
}
