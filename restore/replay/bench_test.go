package replay

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore/archive"
	"mailsync/scan/message"
)

// recorded is a store of which only the record is in memory; bodies are made
// when they are asked for, as a read from the page cache would give them.
type recorded struct {
	*store
	entries map[string][]manifest.Entry
	body    func(id int) string
	reads   atomic.Int64
	pool    sync.Pool
}

func (r *recorded) Open(_ context.Context, box string) (compare.View, error) {
	e, ok := r.entries[box]
	if !ok {
		return nil, compare.ErrNoMailbox
	}
	return &recordedView{e: e}, nil
}

func (r *recorded) Evidence(_ context.Context, _, _ string, e *manifest.Entry, _ compare.EvidenceKind) (compare.Evidence, error) {
	r.reads.Add(1)
	x := r.pool.Get().(*message.Identifier)
	defer r.pool.Put(x)
	id, err := x.Identify([]byte(r.body(int(e.Inode))))
	return compare.Evidence{Known: err == nil, Exact: id.Exact, Delivery: id.Delivery, Body: id.Body, ID: id.ID, NoID: id.NoID}, nil
}

type recordedView struct{ e []manifest.Entry }

func (v *recordedView) Mailbox() *manifest.Mailbox { return &manifest.Mailbox{} }
func (v *recordedView) Close() error               { return nil }
func (v *recordedView) Entries(context.Context) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for _, e := range v.e {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (v *recordedView) Absences(context.Context) iter.Seq2[manifest.Absence, error] {
	return func(func(manifest.Absence, error) bool) {}
}

// BenchmarkRecognise measures a whole audit of an mbox with 10 kB messages, half
// of them present, as messages a second: warm archive, bodies in memory.
// REPLAY_MESSAGES=200000 gives the figure that the memory bound is about.
func BenchmarkRecognise(b *testing.B) {
	n := 20_000
	if s := os.Getenv("REPLAY_MESSAGES"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			b.Fatal(err)
		}
	}
	const boxes = 1000
	filler := strings.Repeat("Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do.\n", 150)
	body := func(id int) string { return mail(id, t0.Add(time.Duration(id)*time.Second)) + filler }
	box := func(id int) string { return fmt.Sprintf("u%d@example.com", id%boxes) }
	name := filepath.Join(b.TempDir(), "gw.mbox")
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	s := &recorded{store: newStore(), entries: map[string][]manifest.Entry{}, body: func(id int) string { return deliveredCopy(body(id), "x@example.com", 1) }}
	s.pool.New = func() any { return message.NewIdentifier(message.Limits{}) }
	for i := range boxes {
		s.boxes[box(i)], s.entries[box(i)] = nil, nil
	}
	for i := range n {
		at := t0.Add(time.Duration(i) * time.Second)
		fmt.Fprintf(w, "From s@example.net %s\nX-Envelope-To: <%s>\n%s\n", at.Format("Mon Jan _2 15:04:05 2006"), box(i), body(i))
		if i < n/2 {
			id, err := message.Identify(strings.NewReader(body(i)), message.Limits{})
			if err != nil {
				b.Fatal(err)
			}
			stored := s.body(i)
			s.entries[box(i)] = append(s.entries[box(i)], manifest.Entry{
				Folder: "INBOX", Unique: fmt.Sprint(i), Sub: manifest.Cur, Name: fmt.Sprint(i), Inode: uint64(i), Status: manifest.Sound,
				Digest: manifest.BLAKE3.Sum([]byte(stored)), HeaderID: id.HeaderID, Size: int64(len(stored)), MTime: at.UnixNano(),
			})
		}
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	names := &Names{}
	for i := range boxes {
		names.Add(box(i))
	}
	res, err := NewResolver(Maps{Mailboxes: names})
	if err != nil {
		b.Fatal(err)
	}
	a, err := archive.Open(name, archive.Options{Zone: time.UTC})
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	var before, top runtime.MemStats
	var recognised time.Duration
	runtime.ReadMemStats(&before)
	for b.Loop() {
		start := time.Now()
		r, err := Prepare(context.Background(), Options{Archive: a, Target: s, Witness: s, Resolver: res})
		if err != nil {
			b.Fatal(err)
		}
		recognised += time.Since(start)
		runtime.ReadMemStats(&top)
		for _, err := range r.Events(context.Background(), nil) {
			if err != nil {
				b.Fatal(err)
			}
		}
		if t := r.Totals(); t.Present != int64(n/2) || t.WouldDeliver != int64(n-n/2) {
			b.Fatalf("%+v", t)
		}
		r.Close()
	}
	b.ReportMetric(float64(n)*float64(b.N)/recognised.Seconds(), "messages/s")
	b.ReportMetric(float64(int64(top.Sys)-int64(before.HeapAlloc))/(1<<20), "MiB-above-store")
}
