//go:build powerfail

package powerfail

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// loop is a loop device of our own: it is made, so that nobody else can have
// found it free, and removed at the end.
type loop struct {
	number int
	path   string
}

// firstLoop leaves the low numbers to those who ask for any free device.
const firstLoop = 900

// newLoop makes a device. The kernel makes each number only once.
func newLoop() (*loop, error) {
	c, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for n := firstLoop; n < firstLoop+100; n++ {
		if err = unix.IoctlSetInt(int(c.Fd()), unix.LOOP_CTL_ADD, n); errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("making a loop device: %w", err)
		}
		l := &loop{number: n, path: fmt.Sprintf("/dev/loop%d", n)}
		for range 100 { // udev, where it makes the names, needs a moment
			if _, err = os.Stat(l.path); err == nil {
				return l, nil
			}
			time.Sleep(20 * time.Millisecond)
		}
		l.remove()
		return nil, err
	}
	return nil, fmt.Errorf("loop devices %d to %d are there already: %w", firstLoop, firstLoop+99, err)
}

// detach takes the image off and waits until the device is free: the kernel
// does it when the last user is gone.
func (l *loop) detach() {
	_, _ = command("losetup", "-d", l.path)
	for range 1000 {
		if _, err := os.Stat(fmt.Sprintf("/sys/block/loop%d/loop/backing_file", l.number)); err != nil {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (l *loop) remove() {
	l.detach()
	c, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer c.Close()
	_ = unix.IoctlSetInt(int(c.Fd()), unix.LOOP_CTL_REMOVE, l.number)
}
