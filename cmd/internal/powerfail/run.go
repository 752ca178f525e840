//go:build powerfail

package powerfail

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"mailsync/cmd/internal/drive"
)

func ctx() context.Context { return context.Background() }

var digestPattern = regexp.MustCompile(`blake3:[0-9a-f]{64}`)

func digestIn(line string) string { return digestPattern.FindString(line) }

func splitLines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }

// lab is the place in which one file system is cut.
type lab struct {
	fs    fsys
	dir   string // on memory: images, mount points
	loop  *loop
	bin   drive.Bin
	noise bool // another program writes and syncs beside it
	log   func(format string, a ...any)
}

// tally counts what a series of cuts has shown.
type tally struct {
	States, Promises, Reruns, Undone, Flushes, Ops, Unmountable, Unsound int
	Bad                                                                  []string
	Lost                                                                 int // problems that begin with "acknowledged"
	Took                                                                 time.Duration
}

func (t *tally) add(c cut, bad []string) {
	for _, b := range bad {
		if strings.HasPrefix(b, "acknowledged") {
			t.Lost++
		}
		t.Bad = append(t.Bad, c.String()+": "+b)
	}
}

func (t *tally) String() string {
	return fmt.Sprintf("%d states, %d acknowledged messages looked for, %d reruns, %d taken back, %d problems; log of %d operations, %d flushes; %d did not mount, %d unsound; %.0f s",
		t.States, t.Promises, t.Reruns, t.Undone, len(t.Bad), t.Ops, t.Flushes, t.Unmountable, t.Unsound, t.Took.Seconds())
}

func newLab(dir string, f fsys, bin drive.Bin, log func(string, ...any)) (*lab, error) {
	if err := os.MkdirAll(filepath.Join(dir, "mnt"), 0o755); err != nil {
		return nil, err
	}
	loop, err := newLoop()
	if err != nil {
		return nil, err
	}
	return &lab{fs: f, dir: dir, loop: loop, bin: bin, log: log}, nil
}

func (l *lab) mnt() string  { return filepath.Join(l.dir, "mnt") }
func (l *lab) work() string { return filepath.Join(l.dir, "work.img") }

func (l *lab) ground() *ground {
	g := &ground{mnt: l.mnt(), safe: filepath.Join(l.dir, "safe"), bin: l.bin}
	g.bin.State = g.state()
	g.bin.Limit = 3 * time.Minute
	return g
}

// base makes the file system and puts the scene's ground on it.
func (l *lab) base(s scene) (*image, error) {
	g := l.ground()
	if err := os.MkdirAll(g.safe, 0o755); err != nil {
		return nil, err
	}
	if err := l.fs.format(l.work()); err != nil {
		return nil, err
	}
	if err := l.fs.mount(l.work(), l.loop, l.mnt()); err != nil {
		return nil, err
	}
	err := os.MkdirAll(filepath.Join(l.mnt(), "noise"), 0o755)
	if err == nil {
		err = s.prepare(g)
	}
	if e := unmount(l.loop, l.mnt()); err == nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("%s on %s: %w", s.name(), l.fs.name, err)
	}
	return loadImage(l.work())
}

// recording is what a run left: the disk before it, what reached the disk, and
// what was promised when.
type recording struct {
	start    *image
	log      []op
	promises []promise
	result   *drive.Result
}

// record runs the scene's command on a recorded disk.
func (l *lab) record(img *image, s scene) (*recording, error) {
	d, err := serve(img, filepath.Join(l.dir, "fuse"), time.Millisecond)
	if err != nil {
		return nil, err
	}
	defer d.close()
	if err := l.fs.mount(d.file(), l.loop, l.mnt()); err != nil {
		return nil, err
	}
	rec := &recording{start: d.record()}
	stopNoise := l.makeNoise()
	g := l.groundOf(s)
	var mu sync.Mutex
	rec.result, err = g.bin.Stream(ctx(), func(line drive.Line) {
		p, ok := s.acknowledged(line)
		if !ok {
			return
		}
		p.at = d.position()
		mu.Lock()
		rec.promises = append(rec.promises, p)
		mu.Unlock()
	}, s.args(g)...)
	stopNoise()
	rec.log = d.stop()
	if e := unmount(l.loop, l.mnt()); err == nil {
		err = e
	}
	return rec, err
}

// makeNoise starts a program that syncs a file of its own now and then, as a
// mail server beside us does: it moves the journal along at odd moments.
func (l *lab) makeNoise() (stop func()) {
	if !l.noise {
		return func() {}
	}
	self, err := os.Executable()
	if err != nil {
		return func() {}
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), childEnv+"=noise", "POWERFAIL_DIR="+filepath.Join(l.mnt(), "noise"))
	if err := c.Start(); err != nil {
		return func() {}
	}
	return func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

// ownBin is a scene that is not about the product: a control.
type ownBin interface{ bin(*ground) drive.Bin }

// groundOf is ground, with the program that the scene runs.
func (l *lab) groundOf(s scene) *ground {
	g := l.ground()
	if o, ok := s.(ownBin); ok {
		g.bin = o.bin(g)
	}
	return g
}

// series is how a scene is cut.
type series struct {
	states int
	rerun  int // every nth state the command is run again; 0 = never
	deep   int // recovery is cut after every state, so deep; 0 = it is not
	seed   uint64
}

// cutAll records the scene once and looks at n states of its disk.
func (l *lab) cutAll(s scene, o series) (*tally, error) {
	began := time.Now()
	img, err := l.base(s)
	if err != nil {
		return nil, err
	}
	rec, err := l.record(img, s)
	if err != nil {
		return nil, err
	}
	t := &tally{Ops: len(rec.log)}
	for _, o := range rec.log {
		if o.data == nil {
			t.Flushes++
		}
	}
	if len(rec.result.Faults) > 0 {
		t.Bad = append(t.Bad, "while recording: "+rec.result.String())
	}
	if len(rec.log) == 0 || len(rec.promises) == 0 {
		return t, fmt.Errorf("%s on %s: nothing was written or nothing acknowledged: %s", s.name(), l.fs.name, rec.result)
	}
	r := rand.New(rand.NewPCG(o.seed, 1))
	err = l.examine(s, rec, r, o, t)
	t.Took = time.Since(began)
	return t, err
}

// examine cuts a recording o.states times.
func (l *lab) examine(s scene, rec *recording, r *rand.Rand, o series, t *tally) error {
	var acks []int
	for _, p := range rec.promises {
		acks = append(acks, p.at)
	}
	states := newReplayer(rec.start, rec.log)
	for i, c := range cuts(r, o.states, len(rec.log), acks) {
		img := states.state(c)
		var made []promise
		for _, p := range rec.promises {
			if p.at <= c.at {
				made = append(made, p)
			}
		}
		t.States++
		t.Promises += len(made)
		if err := img.save(l.work()); err != nil {
			return err
		}
		then := left
		switch {
		case o.rerun == 0 || o.deep > 0:
		case i%o.rerun == 0:
			then = runAgain
		case i%o.rerun == o.rerun/2:
			then = takenBack
		}
		if err := l.look(s, c, made, then, t); err != nil {
			return err
		}
		if o.deep > 0 {
			if err := l.deeper(s, img, made, r, o, t); err != nil {
				return err
			}
		}
		if i%10 == 0 && then == left && o.deep == 0 {
			line := append(append([]string{}, l.fs.fsck...), l.work())
			if _, err := command(line...); err != nil {
				t.Unsound++
				t.add(c, []string{"the file system is not sound: " + err.Error()})
			}
		}
	}
	return nil
}

// What is done with a state after it was looked at.
type after int

const (
	left      after = iota
	runAgain        // the same command runs to its end
	takenBack       // the run that was cut is undone, where the scene knows how
)

// undoable is a scene whose cut run can be taken back.
type undoable interface{ takeBack(*ground) []string }

// look mounts a state, checks it, and goes on from it where asked.
func (l *lab) look(s scene, c cut, made []promise, then after, t *tally) error {
	if err := l.fs.mount(l.work(), l.loop, l.mnt()); err != nil {
		t.Unmountable++
		t.add(c, []string{"does not mount: " + err.Error()})
		return nil
	}
	g := l.ground()
	t.add(c, s.check(g, made))
	if _, control := s.(ownBin); !control {
		t.add(c, records(g, s.args(g)[0], made))
	}
	if u, ok := s.(undoable); ok && then == takenBack {
		t.Undone++
		t.add(c, u.takeBack(g))
	}
	if then == runAgain {
		t.Reruns++
		res, err := g.bin.JSON(ctx(), s.args(g)...)
		if err != nil {
			t.add(c, []string{err.Error()})
		} else {
			t.add(c, append(res.Faults, s.final(g, res)...))
		}
	}
	return unmount(l.loop, l.mnt())
}

// deeper runs the command again on a cut disk, cuts that run too, and so on;
// at the end it runs to its end.
func (l *lab) deeper(s scene, img *image, made []promise, r *rand.Rand, o series, t *tally) error {
	for range o.deep {
		rec, err := l.record(img, s)
		if err != nil {
			return err
		}
		t.Reruns++
		t.add(cut{}, append(rec.result.Faults, notRight(rec.result)...))
		if len(rec.log) == 0 {
			break
		}
		c := cut{at: 1 + r.IntN(len(rec.log)), kind: cutKind(r.IntN(int(cutKinds))), seed: r.Uint64()}
		img = newReplayer(rec.start, rec.log).state(c)
		for _, p := range rec.promises {
			if p.at <= c.at {
				p.at = 0
				made = append(made, p)
			}
		}
		t.States++
		t.Promises += len(made)
		if err := img.save(l.work()); err != nil {
			return err
		}
		if err := l.look(s, c, made, left, t); err != nil {
			return err
		}
		if img, err = loadImage(l.work()); err != nil {
			return err
		}
	}
	if err := img.save(l.work()); err != nil {
		return err
	}
	return l.look(s, cut{}, made, runAgain, t)
}
