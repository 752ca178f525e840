// Package faulty lets one system call fail, for tests: on a mail store, where
// all of them go through place.Calls and beneath.Calls, and in the state
// directory, where they go through durable.FS.
//
// A point is one call of one kind in the course of a command, and one way in
// which it can go wrong. A run without a fault tells which calls there are, and
// so all points; a run for each point lets that call fail. Calls are numbered
// by kind, so that what other goroutines do meanwhile does not move them.
package faulty

import (
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Way is how a call goes wrong.
type Way string

// The ways. Short makes a read or write transfer less than it was asked for,
// which is no error; Late makes the call and then denies it, as a server may
// whose answer is lost.
const (
	EIO    Way = "EIO"
	ENOSPC Way = "ENOSPC"
	EDQUOT Way = "EDQUOT"
	EACCES Way = "EACCES"
	EINTR  Way = "EINTR"
	Short  Way = "short"
	Late   Way = "EIO, late"
)

func (w Way) errno() unix.Errno {
	switch w {
	case ENOSPC:
		return unix.ENOSPC
	case EDQUOT:
		return unix.EDQUOT
	case EACCES:
		return unix.EACCES
	case EINTR:
		return unix.EINTR
	}
	return unix.EIO
}

// The ways in which the kernel lets each kind of call fail.
var (
	looks   = []Way{EIO, EACCES, EINTR}                // open for reading, stat, statfs, list
	reads   = []Way{EIO, EINTR, Short}                 // of bytes
	creates = []Way{EIO, ENOSPC, EDQUOT, EACCES, Late} // a name comes to be
	writes  = []Way{EIO, ENOSPC, EDQUOT, EINTR, Short} // of bytes
	syncs   = []Way{EIO, ENOSPC, EDQUOT, EINTR}        // what was accepted before fails now
	removes = []Way{EIO, EACCES, ENOSPC, Late}         // a name goes; some file systems need room for it
	changes = []Way{EIO, EACCES, EDQUOT}               // of owner, mode, times
	rests   = []Way{EIO}                               // seek, close, lock
)

// Point is one call and one way in which it fails.
type Point struct {
	Op  string // such as "state fsync" or "store openat2"
	Nth int    // among the calls of this kind, from 1
	Way Way
}

func (p Point) String() string { return fmt.Sprintf("%s, call %d: %s", p.Op, p.Nth, p.Way) }

// Injector counts calls and lets one of them fail.
type Injector struct {
	// At is where, the zero Point nowhere.
	At Point
	// Hook, if not nil, is told of every call before it is made.
	Hook func(op, name string)

	mu    sync.Mutex
	count map[string]int
	ways  map[string][]Way
	name  string
	hit   bool
}

// Hit tells whether the point was met, and the name that the call was made on,
// "" where it was made on a descriptor.
func (j *Injector) Hit() (name string, hit bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.name, j.hit
}

// Calls returns how many calls were made.
func (j *Injector) Calls() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, c := range j.count {
		n += c
	}
	return n
}

// Points lists all that can go wrong in the calls that were made, in a fixed
// order.
func (j *Injector) Points() []Point {
	j.mu.Lock()
	defer j.mu.Unlock()
	ops := make([]string, 0, len(j.count))
	for op := range j.count {
		ops = append(ops, op)
	}
	slices.Sort(ops)
	var out []Point
	for _, op := range ops {
		for n := range j.count[op] {
			for _, w := range j.ways[op] {
				out = append(out, Point{op, n + 1, w})
			}
		}
	}
	return out
}

// now counts a call of a kind that can fail in the given ways. It returns how
// this one fails, "" where it does not.
func (j *Injector) now(op, name string, ways []Way) Way {
	if j.Hook != nil {
		j.Hook(op, name)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.count == nil {
		j.count, j.ways = map[string]int{}, map[string][]Way{}
	}
	j.count[op]++
	j.ways[op] = ways
	if j.At.Op != op || j.At.Nth != j.count[op] {
		return ""
	}
	j.name, j.hit = name, true
	return j.At.Way
}

// do makes a call that only succeeds or fails.
func (j *Injector) do(op, name string, ways []Way, call func() error) error {
	switch w := j.now(op, name, ways); w {
	case "":
		return call()
	case Late:
		if err := call(); err != nil {
			return err
		}
		return unix.EIO
	default:
		return w.errno()
	}
}

// open makes a call that returns a descriptor.
func (j *Injector) open(op, name string, ways []Way, call func() (int, error)) (int, error) {
	switch w := j.now(op, name, ways); w {
	case "":
		return call()
	case Late:
		fd, err := call()
		if err != nil {
			return fd, err
		}
		_ = unix.Close(fd)
		return -1, unix.EIO
	default:
		return -1, w.errno()
	}
}

// move makes a call that transfers bytes.
func (j *Injector) move(op string, ways []Way, p []byte, call func(p []byte) (int, error)) (int, error) {
	switch w := j.now(op, "", ways); w {
	case "":
		return call(p)
	case Short:
		return call(p[:(len(p)+1)/2])
	default:
		return -1, w.errno()
	}
}
