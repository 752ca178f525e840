package budget

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestIdle: every thread of the process, those that come later too, reads in
// the idle class.
func TestIdle(t *testing.T) {
	if err := Idle(); err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	end := make(chan struct{})
	for range 8 {
		go func() {
			runtime.LockOSThread() // a thread of its own, which ends with the goroutine
			started <- struct{}{}
			<-end
		}()
	}
	for range 8 {
		<-started
	}
	defer close(end)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		prio, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(tid), 0)
		if errno != unix.ESRCH && (errno != 0 || prio>>13 != 3) {
			t.Errorf("thread %d: class %d, %v", tid, prio>>13, errno)
		}
	}
}
