package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/scan/message"
)

// bareRead reads every file of a store once and hashes it: the least that a
// first scan has to do. It lists and reads at the same time.
func bareRead(args []string) error {
	f := flag.NewFlagSet("bare-read", flag.ContinueOnError)
	threads := f.Int("t", 2, "readers")
	procs := f.Int("procs", 0, "GOMAXPROCS; 0 = the cores")
	hash := f.String("hash", "blake3", "none, blake3, sha256, or checks: all that a scan finds out about a message")
	ahead := f.Int("ahead", 0, "files announced to the kernel before they are read, for each reader")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	r := &reader{hash: *hash, ahead: *ahead, dirs: make(chan string, 1024)}
	var wg sync.WaitGroup
	for range *threads {
		wg.Go(r.work)
	}
	var failed error
	for _, root := range f.Args() {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && (d.Name() == "cur" || d.Name() == "new") {
				r.dirs <- path
				return fs.SkipDir
			}
			return err
		})
		if err != nil {
			failed = err
		}
	}
	close(r.dirs)
	wg.Wait()
	fmt.Printf("%d files, %d bytes\n", r.files.Load(), r.bytes.Load())
	if r.err.Load() != nil {
		return *r.err.Load()
	}
	return failed
}

type reader struct {
	hash  string
	ahead int
	dirs  chan string
	files atomic.Int64
	bytes atomic.Int64
	err   atomic.Pointer[error]
}

// work reads whole directories.
func (r *reader) work() {
	buf := make([]byte, 256<<10)
	var x *message.Examiner
	if r.hash == "checks" {
		x = message.NewExaminer(message.Limits{})
		defer x.Close()
	}
	for dir := range r.dirs {
		if err := r.directory(dir, buf, x); err != nil {
			r.err.Store(&err)
		}
	}
}

func (r *reader) directory(dir string, buf []byte, x *message.Examiner) error {
	dfd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOATIME, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dfd)
	var names []string
	for {
		n, err := unix.Getdents(dfd, buf)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	open := func(name string) (int, error) {
		return unix.Openat(dfd, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOATIME, 0)
	}
	fds := make([]int, 0, r.ahead+1)
	next := 0
	for next < len(names) || len(fds) > 0 {
		for len(fds) <= r.ahead && next < len(names) {
			name := names[next]
			next++
			if strings.HasPrefix(name, ".") {
				continue
			}
			fd, err := open(name)
			if err != nil {
				return err
			}
			if r.ahead > 0 {
				_ = unix.Fadvise(fd, 0, 0, unix.FADV_WILLNEED)
			}
			fds = append(fds, fd)
		}
		if len(fds) == 0 {
			break
		}
		fd := fds[0]
		fds = append(fds[:0], fds[1:]...)
		if err := r.file(fd, buf, x); err != nil {
			return err
		}
	}
	return nil
}

// file reads one file. x, where there is one, digests and judges it.
func (r *reader) file(fd int, buf []byte, x *message.Examiner) error {
	defer unix.Close(fd)
	if x != nil {
		return r.examine(fd, buf, x)
	}
	var h interface{ Write([]byte) (int, error) }
	total := 0
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return err
		}
		if total == 0 && n < len(buf) { // all of a small file in one piece
			switch r.hash {
			case "blake3":
				_ = blake3.Sum256(buf[:n])
			case "sha256":
				_ = sha256.Sum256(buf[:n])
			}
			total = n
			break
		}
		if n == 0 {
			break
		}
		if h == nil {
			switch r.hash {
			case "blake3":
				h = blake3.New()
			case "sha256":
				h = sha256.New()
			default:
				h = nothing{}
			}
		}
		_, _ = h.Write(buf[:n])
		total += n
	}
	r.files.Add(1)
	r.bytes.Add(int64(total))
	return nil
}

func (r *reader) examine(fd int, buf []byte, x *message.Examiner) error {
	var facts message.Facts
	total := 0
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return err
		}
		total += n
		if total == n && n < len(buf) {
			facts = x.Examine(manifest.BLAKE3, buf[:n])
			break
		}
		if total == n {
			x.Reset(manifest.BLAKE3)
		}
		if n == 0 {
			facts = x.Finish()
			break
		}
		_, _ = x.Write(buf[:n])
	}
	message.Damage(&facts, &message.Claim{})
	r.files.Add(1)
	r.bytes.Add(int64(total))
	return nil
}

type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }
