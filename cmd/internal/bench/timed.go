package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// usage is what one process, and all that it waited for, took.
type usage struct {
	Wall, User, Sys float64 // seconds
	Busy            float64 // processor seconds of the whole machine meanwhile
	RSS             int64   // bytes, of the largest process
	Code            int
	Stderr          string
}

// timed runs a command through a small process of its own: the kernel counts
// the memory of whoever forks into the peak of the child.
func (b *bench) timed(line, env []string) (usage, error) {
	var u usage
	c := exec.Command(b.self, append([]string{"timed"}, line...)...)
	c.Env = append(os.Environ(), append([]string{"MAILSYNC_CONFIG=", "MAILSYNC_STATE="}, env...)...)
	out, err := c.Output()
	if err != nil {
		return u, err
	}
	return u, json.Unmarshal(out, &u)
}

// timedMain is that process.
func timedMain(args []string) error {
	if len(args) == 0 {
		return errors.New("timed: a command is missing")
	}
	errs, err := os.CreateTemp("", "bench-stderr")
	if err != nil {
		return err
	}
	defer os.Remove(errs.Name())
	defer errs.Close()
	c := exec.Command(args[0], args[1:]...)
	c.Stderr = errs
	busy, began := cpuBusy(), time.Now()
	err = c.Run()
	u := usage{Wall: time.Since(began).Seconds()}
	u.Busy = cpuBusy() - busy
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	st := c.ProcessState
	u.Code, u.User, u.Sys = st.ExitCode(), st.UserTime().Seconds(), st.SystemTime().Seconds()
	if ru, ok := st.SysUsage().(*syscall.Rusage); ok {
		u.RSS = ru.Maxrss * 1024
	}
	p, err := os.ReadFile(errs.Name())
	if err != nil {
		return err
	}
	u.Stderr = string(p[max(0, len(p)-2000):])
	return json.NewEncoder(os.Stdout).Encode(u)
}

// cpuBusy is the processor time that the whole machine has used, in seconds.
func cpuBusy() float64 {
	p, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(p), "\n")
	f := strings.Fields(line)
	var sum float64
	for i, v := range f[1:] {
		var n float64
		if _, err := fmt.Sscan(v, &n); err == nil && i != 3 && i != 4 { // idle, iowait
			sum += n
		}
	}
	return sum / 100
}
