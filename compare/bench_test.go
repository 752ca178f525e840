package compare_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"os"
	"testing"

	"mailsync/compare"
	"mailsync/manifest"
)

// streamed is a store of one mailbox whose entries are made as they are asked
// for, so that what a benchmark measures is the comparison's own.
type streamed struct {
	name  string
	tag   string // part of every name
	from  int    // content of the first message
	count int
}

func (s *streamed) Info() compare.Info { return compare.Info{Name: s.name} }

func (s *streamed) Mailboxes(context.Context) iter.Seq2[compare.Head, error] {
	return func(yield func(compare.Head, error) bool) {
		yield(compare.Head{Name: "m", Messages: -1, Damaged: -1}, nil)
	}
}

func (s *streamed) Open(context.Context, string) (compare.View, error) { return s, nil }

func (s *streamed) Mailbox() *manifest.Mailbox {
	return &manifest.Mailbox{Name: "m", Folders: []manifest.Folder{{Name: "INBOX", UIDValidity: 7}}}
}
func (s *streamed) Close() error { return nil }

func (s *streamed) Absences(context.Context) iter.Seq2[manifest.Absence, error] {
	return func(func(manifest.Absence, error) bool) {}
}

func (s *streamed) Entries(context.Context) iter.Seq2[manifest.Entry, error] {
	return func(yield func(manifest.Entry, error) bool) {
		for i := range s.count {
			e := manifest.Entry{
				Folder: "INBOX", Unique: fmt.Sprintf("%010d.M%06dP%05d.%s", 1_700_000_000+i, i%999_999, i%65_536, s.tag),
				Sub: manifest.Cur, Flags: "S", Size: 8000, MTime: int64(1_700_000_000+i) * 1e9, CTime: int64(1_700_000_000+i) * 1e9,
				Inode: uint64(i + 1), UID: uint32(i + 1), Status: manifest.Sound, Checked: 1_700_000_000,
			}
			e.Name = e.Unique + ",S=8000,W=8200:2,S"
			var seed [8]byte
			binary.LittleEndian.PutUint64(seed[:], uint64(s.from+i))
			e.Digest = manifest.BLAKE3.Sum(seed[:])
			copy(e.HeaderID[:], e.Digest.Sum[16:])
			if !yield(e, nil) {
				return
			}
		}
	}
}

func residentPeak(b *testing.B) float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("no /proc: ", err)
	}
	var kb float64
	for line := range lines(string(data)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kb); err == nil {
			return kb / 1024
		}
	}
	return 0
}

func lines(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(s) > 0 {
			i := 0
			for i < len(s) && s[i] != '\n' {
				i++
			}
			if !yield(s[:i]) {
				return
			}
			s = s[min(i+1, len(s)):]
		}
	}
}

// Two mailboxes without a name in common: the worst for memory. With contents
// in common nothing differs; without, everything is missing on one side.
func BenchmarkNoNameInCommon(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		for _, common := range []bool{true, false} {
			b.Run(fmt.Sprintf("messages=%d/contents_in_common=%v", n, common), func(b *testing.B) {
				for b.Loop() {
					x := &streamed{name: "a", tag: "primary", count: n}
					y := &streamed{name: "b", tag: "spare", count: n}
					want := int64(0)
					if !common {
						y.from, want = n, int64(2*n)
					}
					compared(b, x, y, want)
				}
				b.ReportMetric(residentPeak(b), "MB-peak")
				b.ReportMetric(float64(2*n)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			})
		}
	}
}

// Two equal mailboxes that are opened: the cost of merging.
func BenchmarkMerge(b *testing.B) {
	const n = 200_000
	for b.Loop() {
		compared(b, &streamed{name: "a", tag: "primary", count: n}, &streamed{name: "b", tag: "primary", count: n}, 0)
	}
	b.ReportMetric(float64(2*n)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func compared(b *testing.B, x, y *streamed, want int64) {
	b.Helper()
	dir := b.TempDir()
	o := compare.Options{Spill: func() (compare.Spill, error) { return os.CreateTemp(dir, "residue") }}
	c, err := compare.New([]compare.Side{{Source: x}, {Source: y}}, o)
	if err != nil {
		b.Fatal(err)
	}
	n := int64(0)
	for _, err := range c.Differences(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	if n != want {
		b.Fatalf("%d lines, want %d", n, want)
	}
}
