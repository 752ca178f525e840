package budget

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Idle puts the whole process into the idle IO class (ioprio_set(2)): its
// reads wait for everybody else's where the IO scheduler knows classes (bfq,
// mq-deadline); elsewhere it changes nothing. The class belongs to threads and
// is inherited by those that they start, so it is set for every thread there
// is; it cannot be confined to some goroutines.
func Idle() error {
	const (
		whoProcess = 1
		classIdle  = 3 << 13
	)
	seen := map[int]bool{}
	for {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("idle IO class: %w", err)
		}
		news := 0
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil || seen[tid] {
				continue
			}
			seen[tid] = true
			news++
			_, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, uintptr(tid), classIdle)
			if errno != 0 && errno != unix.ESRCH {
				return fmt.Errorf("idle IO class: %w", errno)
			}
		}
		if news == 0 {
			return nil
		}
	}
}
