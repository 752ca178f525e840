//go:build powerfail

package powerfail

import (
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/cmd/internal/drive"
)

// fsIocShutdown is FS_IOC_SHUTDOWN, _IOR('X', 125, __u32): the file system
// stops at once, as it does when its journal cannot be written.
const fsIocShutdown = 0x8004587d

// The ways to go down.
const (
	logFlush   = 1 // what was committed to the journal's memory is written first
	noLogFlush = 2 // nothing more is written
)

func shutdown(mnt string, how int) error {
	fd, err := unix.Open(mnt, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.IoctlSetPointerInt(fd, fsIocShutdown, how)
}

// shutAll runs the scene's command n times and shuts the file system down in
// the middle. Whatever the command acknowledges, before or after, must be
// there when the file system is mounted again.
func (l *lab) shutAll(s scene, n int, o series) (*tally, error) {
	began := time.Now()
	img, err := l.base(s)
	if err != nil {
		return nil, err
	}
	t := &tally{}
	r := rand.New(rand.NewPCG(o.seed, 2))
	// one run to its end, to know how long it takes
	whole, _, err := l.shutOnce(img, s, 0, 0)
	if err != nil {
		return nil, err
	}
	for i := range n {
		// Acknowledgements come in the later part of a run: the first is planning.
		after := whole.Wall * time.Duration(30+r.IntN(75)) / 100
		how := noLogFlush
		if i%3 == 2 {
			how = logFlush
		}
		res, made, err := l.shutOnce(img, s, after, how)
		if err != nil {
			return t, err
		}
		c := cut{at: int(after / time.Millisecond), kind: keepAll}
		t.States++
		t.Promises += len(made)
		if res.Hung {
			t.add(c, []string{"the command hung on the dead file system: " + res.String()})
		}
		for _, f := range res.Faults {
			t.add(c, []string{f})
		}
		then := left
		if o.rerun > 0 && i%o.rerun == 0 {
			then = runAgain
		}
		if err := l.look(s, c, made, then, t); err != nil {
			return t, err
		}
	}
	t.Took = time.Since(began)
	return t, nil
}

// shutOnce runs the command on a fresh copy of the image and shuts the file
// system down after a while; how 0 = never.
func (l *lab) shutOnce(img *image, s scene, after time.Duration, how int) (*drive.Result, []promise, error) {
	if err := img.save(l.work()); err != nil {
		return nil, nil, err
	}
	if err := l.fs.mount(l.work(), l.loop, l.mnt()); err != nil {
		return nil, nil, err
	}
	stopNoise := l.makeNoise()
	g := l.groundOf(s)
	g.bin.Limit = 30 * time.Second
	var made []promise
	var shut error
	var timer *time.Timer
	down := make(chan struct{})
	if how != 0 {
		timer = time.AfterFunc(after, func() {
			defer close(down)
			shut = shutdown(l.mnt(), how)
		})
	}
	res, err := g.bin.Stream(ctx(), func(line drive.Line) {
		if p, ok := s.acknowledged(line); ok {
			made = append(made, p)
		}
	}, s.args(g)...)
	if timer != nil && !timer.Stop() {
		<-down
	}
	stopNoise()
	if e := unmount(l.loop, l.mnt()); err == nil {
		err = e
	}
	if err == nil && shut != nil {
		err = fmt.Errorf("shutting %s down: %w", l.fs.name, shut)
	}
	return res, made, err
}
