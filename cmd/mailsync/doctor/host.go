package doctor

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
)

// ErrStatus: /proc/self/status names no capabilities.
var ErrStatus = errors.New("no CapEff line")

// Rights are what a process may do to the files of others
// (capabilities(7)).
type Rights struct {
	Read    bool // CAP_DAC_READ_SEARCH or CAP_DAC_OVERRIDE: read mail of all owners
	NoAtime bool // CAP_FOWNER: without moving access times
	Write   bool // CAP_DAC_OVERRIDE and CAP_CHOWN: write into their mailboxes
}

// RightsOf reads /proc/PID/status.
func RightsOf(r io.Reader) (Rights, error) {
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		text, ok := strings.CutPrefix(sc.Text(), "CapEff:")
		if !ok {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
		if err != nil {
			return Rights{}, err
		}
		has := func(c int) bool { return set>>c&1 == 1 }
		return Rights{
			Read:    has(unix.CAP_DAC_READ_SEARCH) || has(unix.CAP_DAC_OVERRIDE),
			NoAtime: has(unix.CAP_FOWNER),
			Write:   has(unix.CAP_DAC_OVERRIDE) && has(unix.CAP_CHOWN),
		}, nil
	}
	return Rights{}, errors.Join(ErrStatus, sc.Err())
}

// ClockKept asks the kernel whether something (NTP, PTP) keeps its clock in
// step (adjtimex(2)).
func ClockKept() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, err
}

// Space is what is free of a file system: shares between 0 and 1 of what this
// process could use.
type Space struct {
	Free          int64 // bytes
	Bytes, Inodes float64
}

// SpaceOf asks statfs(2). A file system without a fixed number of inodes has
// all of them free.
func SpaceOf(path string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Space{}, err
	}
	s := Space{Free: int64(st.Bavail) * st.Bsize, Bytes: 1, Inodes: 1}
	if usable := st.Blocks - st.Bfree + st.Bavail; usable > 0 {
		s.Bytes = float64(st.Bavail) / float64(usable)
	}
	if st.Files > 0 {
		s.Inodes = float64(st.Ffree) / float64(st.Files)
	}
	return s, nil
}

// How much of a store Sample looks at.
const (
	sampleAll   = 4000 // names
	sampleEach  = 40   // of a directory
	sampleDepth = 8
)

// Sample is what a few thousand names of a store say.
type Sample struct {
	Empty  bool // there is no name in it
	Files  int
	Future int // files that change later than now
}

// SampleOf looks at a part of a store, and says how many files bear a time
// after now. It reads names and states only, within the rules of package
// beneath. Directories that cannot be opened end it with an error. With links,
// the way to a mailbox may lead through symbolic links; in a mailbox none is
// followed.
func SampleOf(dir *beneath.Dir, now time.Time, links bool) (Sample, error) {
	s := Sample{Empty: true}
	seen := 0
	err := s.walk(dir, now, links, sampleDepth, &seen)
	return s, err
}

func (s *Sample) walk(dir *beneath.Dir, now time.Time, links bool, depth int, seen *int) error {
	var down []string
	here := 0
	if _, err := dir.Stat("cur"); err == nil {
		links = false // a mailbox: what lies in it is its owner's
	}
	for e, err := range dir.List() {
		if err != nil {
			return err
		}
		s.Empty = s.Empty && string(e.Name) == "lost+found"
		if here, *seen = here+1, *seen+1; here > sampleEach || *seen > sampleAll {
			break
		}
		name := string(e.Name)
		st, err := dir.Stat(name)
		switch {
		case err != nil: // it went away
		case (st.Directory() || links && st.Symlink()) && depth > 0:
			down = append(down, name)
		case st.Regular():
			s.Files++
			if st.MTime > now.UnixNano() {
				s.Future++
			}
		}
	}
	for _, name := range down {
		if *seen > sampleAll {
			return nil
		}
		open := dir.OpenDir
		if links {
			open = dir.OpenLinked
		}
		sub, err := open(name)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return err
		}
		err = s.walk(sub, now, links, depth-1, seen)
		sub.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
