// Package faulty lets one system call fail, for tests: on a mail store, where
// all of them go through place.Calls and beneath.Calls, and in the state
// directory, where they go through durable.Calls.
//
// A point is one call of one kind in the course of a command, and one way in
// which it can go wrong. A run without a fault tells which calls there are, and
// so all points; a run for each point lets that call fail. Calls are numbered
// by kind, so that what other goroutines do meanwhile does not move them.
package faulty

import (
	"fmt"
	"os"
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
	EMFILE Way = "EMFILE"
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
	case EMFILE:
		return unix.EMFILE
	}
	return unix.EIO
}

// The ways in which the kernel lets each kind of call fail.
var (
	opens   = []Way{EIO, EACCES, EINTR, EMFILE}        // of what is there
	looks   = []Way{EIO, EACCES, EINTR}                // stat, statfs, list
	reads   = []Way{EIO, EINTR, Short}                 // of bytes
	creates = []Way{EIO, ENOSPC, EDQUOT, EACCES, Late} // a name comes to be
	writes  = []Way{EIO, ENOSPC, EDQUOT, EINTR, Short} // of bytes
	syncs   = []Way{EIO, ENOSPC, EDQUOT, EINTR}        // what was accepted before fails now
	removes = []Way{EIO, EACCES, ENOSPC, Late}         // a name goes; some file systems need room for it
	changes = []Way{EIO, EACCES, EDQUOT}               // of owner, mode, times
	cuts    = []Way{EIO, EACCES, EDQUOT, EINTR}        // of a file's length
	locks   = []Way{EIO, EINTR}
	rests   = []Way{EIO} // seek, close
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

// Hit tells whether the point was met, and the name that the call was made on.
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

// now counts a call of a kind that can fail in the given ways, on a name or, where
// that is "", on a descriptor. It returns how this one fails, "" where it does
// not.
func (j *Injector) now(op, name string, fd int, ways []Way) Way {
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
	if name == "" {
		name, _ = os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	}
	j.name, j.hit = name, true
	return j.At.Way
}

// done is a sync where nothing is cut.
func done() error { return nil }

// do makes a call on a name that only succeeds or fails.
func (j *Injector) do(op, name string, ways []Way, call func() error) error {
	return j.now(op, name, -1, ways).around(call)
}

// on makes a call on a descriptor that only succeeds or fails.
func (j *Injector) on(op string, fd int, ways []Way, call func() error) error {
	return j.now(op, "", fd, ways).around(call)
}

func (w Way) around(call func() error) error {
	switch w {
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

// close makes a call that has its effect also where it fails.
func (j *Injector) close(op string, fd int, call func(fd int) error) error {
	w := j.now(op, "", fd, rests)
	if err := call(fd); err != nil || w == "" {
		return err
	}
	return w.errno()
}

// open makes a call that returns a descriptor.
func (j *Injector) open(op, name string, ways []Way, call func() (int, error)) (fd int, err error) {
	err = j.do(op, name, ways, func() error {
		fd, err = call()
		return err
	})
	if err != nil {
		if fd > 0 { // denied late
			_ = unix.Close(fd)
		}
		return -1, err
	}
	return fd, nil
}

// move makes a call that transfers bytes. A full disk takes half of them
// before it fails.
func (j *Injector) move(op string, fd int, ways []Way, p []byte, call func(fd int, p []byte) (int, error)) (int, error) {
	switch w := j.now(op, "", fd, ways); w {
	case "":
		return call(fd, p)
	case Short:
		return call(fd, p[:(len(p)+1)/2])
	case ENOSPC, EDQUOT:
		_, _ = call(fd, p[:len(p)/2])
		return -1, w.errno()
	default:
		return -1, w.errno()
	}
}
