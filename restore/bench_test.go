package restore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/restore/place"
	"mailsync/scan/maildir"
)

const (
	benchMessages = 20_000
	benchSize     = 10_000
	benchBoxes    = 20
	benchBatch    = 512
)

func benchBody(n int, p []byte) {
	copy(p, fmt.Sprintf("Message-ID: <%d@bench>\n\n", n))
}

func benchBoxDirs(b *testing.B, root string) {
	b.Helper()
	for i := range benchBoxes {
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(root, fmt.Sprint(i), sub), 0o700); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// memory is a Source whose messages are made up as they are asked for.
type memory struct{ text []byte }

func (m memory) Open(_ context.Context, a *Action) (io.ReadCloser, error) {
	p := bytes.Clone(m.text)
	var n int
	_, _ = fmt.Sscanf(a.From, "bench\x00%d", &n)
	benchBody(n, p)
	return io.NopCloser(bytes.NewReader(p)), nil
}

func benchActions(text []byte) []Action {
	out := make([]Action, benchMessages)
	p := bytes.Clone(text)
	for n := range out {
		copy(p, text)
		benchBody(n, p)
		box := n * benchBoxes / benchMessages
		name := maildir.Sized(fmt.Sprintf("%d.M%dP1.bench", 1700000000+n, n), benchSize, benchSize+200)
		out[n] = Action{
			Op: Add, Ref: manifest.Ref{Store: "bench", Mailbox: fmt.Sprint(box), Folder: "INBOX", Unique: name},
			Post: Ground{Sub: manifest.Cur, Name: []byte(name), Size: benchSize, Digest: manifest.BLAKE3.Sum(p)},
			Date: time.Unix(1700000000+int64(n), 0), From: fmt.Sprintf("bench\x00%d", n),
		}
	}
	return out
}

func benchText() []byte {
	text := bytes.Repeat([]byte("0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJ\n"), benchSize/49+1)
	return text[:benchSize]
}

func rate(b *testing.B) {
	b.ReportMetric(float64(benchMessages*b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkRestore is the whole path: plan order, source, digest, durable
// batches, journal.
func BenchmarkRestore(b *testing.B) {
	text := benchText()
	actions := benchActions(text)
	for _, source := range []string{"memory", "disk"} {
		b.Run("source="+source, func(b *testing.B) {
			var src Source = memory{text}
			if source == "disk" {
				src = benchDisk(b, actions, text)
			}
			b.ResetTimer()
			for i := range b.N {
				b.StopTimer()
				dir := b.TempDir()
				root := filepath.Join(dir, "store")
				benchBoxDirs(b, root)
				site := &Site{Store: "bench", Path: root, Place: func(m string) (maildir.Place, error) {
					return maildir.Place{Mailbox: m, Store: root, Root: filepath.Join(root, m), Known: true}, nil
				}}
				b.StartTimer()
				r, err := Begin(RunOptions{Site: site, State: filepath.Join(dir, fmt.Sprint("state", i)), Command: "bench"})
				if err != nil {
					b.Fatal(err)
				}
				for a, err := range r.Deliver(context.Background(), actions, src) {
					if err != nil || a.State != Done {
						b.Fatal(err, a.State, a.Detail)
					}
				}
				if err := r.End(nil); err != nil {
					b.Fatal(err)
				}
			}
			rate(b)
		})
	}
}

// benchDisk writes the messages into a store of their own, cached.
func benchDisk(b *testing.B, actions []Action, text []byte) Source {
	b.Helper()
	root := b.TempDir()
	benchBoxDirs(b, root)
	p := bytes.Clone(text)
	for n := range actions {
		a := &actions[n]
		copy(p, text)
		benchBody(n, p)
		if err := os.WriteFile(filepath.Join(root, a.Ref.Mailbox, "cur", string(a.Post.Name)+":2,"), p, 0o600); err != nil {
			b.Fatal(err)
		}
		a.FromName, a.FromSub = []byte(string(a.Post.Name)+":2,"), manifest.Cur
	}
	return FromSite(&Site{Store: "source", Path: root, Place: func(m string) (maildir.Place, error) {
		return maildir.Place{Mailbox: m, Store: root, Root: filepath.Join(root, m), Known: true}, nil
	}})
}

// BenchmarkBare is the mandated sequence and nothing else: from memory, one
// batch after the other, no digest, no journal, no look at what is there.
func BenchmarkBare(b *testing.B) {
	text := benchText()
	for range b.N {
		b.StopTimer()
		root := b.TempDir()
		benchBoxDirs(b, root)
		b.StartTimer()
		bare(b, root, text)
	}
	rate(b)
}

func bare(b *testing.B, root string, text []byte) {
	b.Helper()
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	open := func(path string) int {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		check(err)
		return fd
	}
	c := place.System()
	p := bytes.Clone(text)
	for from := 0; from < benchMessages; from += benchBatch {
		to := min(from+benchBatch, benchMessages)
		sync := open(root)
		dirs := map[int][2]int{}
		type file struct {
			box        int
			temp, name string
		}
		var files []file
		for n := from; n < to; n++ {
			box := n * benchBoxes / benchMessages
			if _, ok := dirs[box]; !ok {
				at := filepath.Join(root, fmt.Sprint(box))
				dirs[box] = [2]int{open(at + "/tmp"), open(at + "/cur")}
			}
			f := file{box, fmt.Sprintf("mailsync.%d", n), fmt.Sprintf("%d.M%dP1.bench,S=%d,W=%d:2,", 1700000000+n, n, benchSize, benchSize+200)}
			benchBody(n, p)
			fd, err := c.Create(dirs[box][0], f.temp, 0o600)
			check(err)
			_, err = c.Write(fd, p)
			check(err)
			check(c.Fchown(fd, os.Geteuid(), os.Getegid()))
			check(c.Futimens(fd, &[2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: 1700000000 + int64(n)}}))
			check(c.Close(fd))
			files = append(files, f)
		}
		check(c.Syncfs(sync))
		for _, f := range files {
			check(c.Linkat(dirs[f.box][0], f.temp, dirs[f.box][1], f.name))
		}
		check(c.Syncfs(sync))
		for _, f := range files {
			check(c.Unlinkat(dirs[f.box][0], f.temp))
		}
		for _, d := range dirs {
			_ = unix.Close(d[0])
			_ = unix.Close(d[1])
		}
		_ = unix.Close(sync)
	}
}
