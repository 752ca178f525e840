//go:build powerfail

package powerfail

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
)

// die makes every further write and flush fail.
func (d *disk) die() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dead = true
}

// dieOnce runs the scene's command on the image and lets the disk take no more
// writes after a while (0 = never). The file system's journal cannot be written
// then; another program, which syncs all the while, may be told of it first.
// What was acknowledged, before or after, is returned, and the disk as it is
// when the machine is started again.
func (l *lab) dieOnce(img *image, s scene, after time.Duration, over bool) (*drive.Result, []promise, *image, error) {
	d, err := serve(img, filepath.Join(l.dir, "fuse"), time.Millisecond)
	if err != nil {
		return nil, nil, nil, err
	}
	defer d.close()
	under := l.mnt()
	if over {
		under = filepath.Join(l.dir, "under")
		if err := os.MkdirAll(under, 0o755); err != nil {
			return nil, nil, nil, err
		}
	}
	if err := l.fs.mount(d.file(), l.loop, under); err != nil {
		return nil, nil, nil, err
	}
	d.record() // the image stays as it was
	if over {
		if err := l.overlay(under); err != nil {
			return nil, nil, nil, err
		}
		// Another file system than that of the record; without one this fails, and nothing is lost.
		g := l.ground()
		if _, err := g.bin.JSON(ctx(), "scan", "--adopt", g.store()); err != nil {
			return nil, nil, nil, err
		}
	}
	stopNoise := l.makeNoise()
	g := l.groundOf(s)
	g.bin.Limit = 30 * time.Second
	var timer *time.Timer
	down := make(chan struct{})
	if after > 0 {
		timer = time.AfterFunc(after, func() {
			defer close(down)
			d.die()
		})
	}
	var made []promise
	res, err := g.bin.Stream(ctx(), func(line drive.Line) {
		if p, ok := s.acknowledged(line); ok {
			made = append(made, p)
		}
	}, s.args(g)...)
	if timer != nil && !timer.Stop() {
		<-down
	}
	stopNoise()
	if after > 0 {
		d.die() // what unmounting would write is lost with the power
	}
	if over {
		if _, e := command("umount", l.mnt()); err == nil {
			err = e
		}
	}
	if e := unmount(l.loop, under); err == nil {
		err = e
	}
	return res, made, d.img, err
}

// overlay mounts an overlay file system whose layers lie on a mounted one.
func (l *lab) overlay(under string) error {
	work := filepath.Join(under, "work")
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	lower := filepath.Join(l.dir, "lower")
	if err := os.MkdirAll(lower, 0o755); err != nil {
		return err
	}
	_, err := command("mount", "-t", "overlay", "-o", fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, filepath.Join(under, "upper"), work), "overlay", l.mnt())
	return err
}

// lieAll lets the disk die n times, and looks at what was acknowledged.
func (l *lab) lieAll(s scene, n int, o series, over bool) (*tally, error) {
	began := time.Now()
	img, err := l.base(s)
	if err != nil {
		return nil, err
	}
	if over {
		if img, err = l.sunk(img); err != nil {
			return nil, err
		}
	}
	t := &tally{}
	r := rand.New(rand.NewPCG(o.seed, 3))
	whole, all, _, err := l.dieOnce(img.clone(), s, 0, over)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("on a sound disk nothing is acknowledged: %s", whole)
	}
	for i := range n {
		after := max(time.Millisecond, whole.Wall*time.Duration(30+r.IntN(75))/100)
		res, made, disk, err := l.dieOnce(img.clone(), s, after, over)
		if err != nil {
			return t, err
		}
		c := cut{at: int(after / time.Millisecond), kind: keepAll}
		t.States++
		t.Promises += len(made)
		if res.Hung {
			t.add(c, []string{"the command hung on the dead disk: " + res.String()})
		}
		for _, f := range res.Faults {
			t.add(c, []string{f})
		}
		if over {
			if disk, err = l.risen(disk); err != nil {
				return t, err
			}
		}
		if err := disk.save(l.work()); err != nil {
			return t, err
		}
		then := left
		if i%3 == 0 && !over { // what was adopted is another file system again
			then = runAgain
		}
		if err := l.look(s, c, made, then, t); err != nil {
			return t, err
		}
	}
	t.Took = time.Since(began)
	return t, nil
}

// sunk moves what lies on a file system into the directory that becomes an
// overlay's upper layer; risen moves it back.
func (l *lab) sunk(img *image) (*image, error) {
	return l.moved(img, func(at string) error {
		return moveAll(at, filepath.Join(at, "upper"), "upper", "work", "lost+found")
	})
}

func (l *lab) risen(img *image) (*image, error) {
	return l.moved(img, func(at string) error { return moveAll(filepath.Join(at, "upper"), at) })
}

func (l *lab) moved(img *image, move func(at string) error) (*image, error) {
	if err := img.save(l.work()); err != nil {
		return nil, err
	}
	if err := l.fs.mount(l.work(), l.loop, l.mnt()); err != nil {
		return nil, err
	}
	err := move(l.mnt())
	if e := unmount(l.loop, l.mnt()); err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	return loadImage(l.work())
}

func moveAll(from, to string, but ...string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	list, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range list {
		keep := false
		for _, b := range but {
			keep = keep || e.Name() == b
		}
		if keep {
			continue
		}
		if err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Syncs that lie: on ext4 and XFS the error of a journal that cannot be written
// is told to the first who asks, who may be another program; through overlayfs
// syncfs(2) tells of none. (The third, a shut-down XFS, is TestShutdowns.)
// Nothing is acknowledged that is not there when the machine is started again.
func TestLyingSyncs(t *testing.T) {
	type ground struct {
		fs   fsys
		over bool
	}
	for _, x := range []ground{{fileSystems[0], false}, {fileSystems[1], false}, {fileSystems[2], false}, {fileSystems[0], true}, {fileSystems[1], true}} {
		name := x.fs.name
		if x.over {
			name = "overlay on " + name
		}
		t.Run(name, func(t *testing.T) {
			needs(t, &x.fs)
			for _, s := range scenes() {
				if *shuts == 0 && s.name() != "restore" && s.name() != "replay" {
					continue // in the long run only
				}
				if x.over && s.name() == "apply" {
					continue // its plan was made below the overlay, which is another file system
				}
				t.Run(s.name(), func(t *testing.T) {
					l := newTestLab(t, x.fs)
					t.Cleanup(func() { _, _ = command("umount", filepath.Join(l.dir, "under")) })
					ta, err := l.lieAll(s, number(*shuts, 6, 2), series{seed: *seed}, x.over)
					if err != nil {
						t.Fatal(err)
					}
					report(t, s, x.fs, "dead disk, "+name, ta)
				})
			}
		})
	}
}
