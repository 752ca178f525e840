package restore

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"mailsync/restore/place"
)

// A target that is mounted read-only is told before anything is tried, once,
// and no run is begun.
func TestReadOnlyTarget(t *testing.T) {
	w := newWorld(t)
	w.maildir("primary", "a", "")
	calls := place.System()
	real := calls.Read.Fstatfs
	calls.Read.Fstatfs = func(fd int, st *unix.Statfs_t) error {
		err := real(fd, st)
		st.Flags |= unix.ST_RDONLY
		return err
	}
	w.calls = &calls
	if _, err := w.begin("primary", "restore"); !errors.Is(err, ErrReadOnly) || !errors.Is(err, unix.EROFS) {
		t.Errorf("%v, want ErrReadOnly", err)
	}
	if _, err := os.Stat(w.state()); !os.IsNotExist(err) {
		t.Errorf("the state directory: %v", err)
	}
}

// A plan says what it takes of each file system of the target and what is free
// there, before anything is written.
func TestPlanForetellsSpace(t *testing.T) {
	w := newWorld(t)
	w.maildir("primary", "a", "")
	for _, box := range []string{"a", "b"} { // b is to be made
		w.maildir("backup", box, "")
		for n := range 5 {
			w.put("backup", box, "", n, ":2,S")
		}
	}
	p := w.plan("primary", "backup")
	defer p.Close()
	list := p.Forecast().Space
	if len(list) != 1 {
		t.Fatalf("%d file systems: %+v", len(list), list)
	}
	s := list[0]
	block := (s.Need - p.Forecast().Bytes) / (10/2 + 4)
	if s.Path != w.store("primary") || s.Need != p.Forecast().Bytes+9*block || block < 512 || s.Files != 14 || s.Free <= 0 || !s.Fits() {
		t.Errorf("%+v", s)
	}
	for _, c := range []struct {
		s    Space
		fits bool
	}{
		{Space{Need: 10, Free: 10, Files: 1, Inodes: 1}, true},
		{Space{Need: 11, Free: 10, Files: 1, Inodes: 1}, false},
		{Space{Need: 10, Free: 10, Files: 2, Inodes: 1}, false},
		{Space{Need: 10, Free: 10, Files: 2, Inodes: -1}, true},
	} {
		if c.s.Fits() != c.fits {
			t.Errorf("%+v fits: %v", c.s, !c.fits)
		}
	}

	full := w.plan("primary", "primary")
	defer full.Close()
	if f := full.Forecast(); len(f.Space) != 0 {
		t.Errorf("nothing is written, and space is told: %+v", f.Space)
	}
}
