package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench holds what the suites share.
type bench struct {
	*options
	self string // this program, for the bare ones
}

func newBench(o *options) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &bench{options: o, self: self}, os.MkdirAll(o.work, 0o755)
}

// path returns a path below the work directory.
func (b *bench) path(parts ...string) string {
	return filepath.Join(append([]string{b.work}, parts...)...)
}

func (b *bench) describeMachine() {
	var u syscall.Utsname
	_ = syscall.Uname(&u)
	release := []byte{}
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		release = append(release, byte(c))
	}
	model := ""
	if p, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(p)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	var st syscall.Sysinfo_t
	_ = syscall.Sysinfo(&st)
	fmt.Printf("%s, %d cores (%s), %d MiB, Linux %s, %s; %d repetitions, interleaved\n",
		time.Now().UTC().Format("2006-01-02 15:04Z"), runtime.NumCPU(), model, st.Totalram*uint64(st.Unit)>>20, release, runtime.Version(), b.reps)
}

// job is one command of a suite.
type job struct {
	name    string
	line    []string // command and arguments; one argument = a line for bash
	env     []string
	before  func(rep int) error              // not timed
	after   func(rep int, m *measured) error // not timed
	codes   []int                            // exit codes that are right; nil = 0
	only    int                              // run only so many times; 0 = as often as asked
	units   float64                          // messages handled, for rates; 0 = the table shows seconds
	subject bool                             // mailsync itself: ratios are against the first of these
}

// measured is one run of a job.
type measured struct {
	Suite, Job string
	Rep        int
	Wall       float64 // seconds
	User, Sys  float64
	RSS        int64   // bytes, of the largest process
	OtherCPU   float64 // cores that everything else on the machine used
	Units      float64
	Bytes      int64 `json:",omitempty"` // that went over a link, both ways
}

// measure runs the jobs, interleaved, and prints their table.
func (b *bench) measure(name string, jobs []job, cold bool) (map[string][]measured, error) {
	all := map[string][]measured{}
	for rep := range b.reps {
		for i := range jobs {
			j := &jobs[(i+rep)%len(jobs)]
			if j.only > 0 && rep >= j.only {
				continue
			}
			m, err := b.once(name, j, rep, cold)
			if err != nil {
				return all, fmt.Errorf("%s: %w", j.name, err)
			}
			all[j.name] = append(all[j.name], m)
			fmt.Fprintf(os.Stderr, "%s %d/%d %-40s %8.2f s\n", name, rep+1, b.reps, j.name, m.Wall)
		}
	}
	printTable(jobs, all)
	return all, b.keepResults(all)
}

func (b *bench) once(name string, j *job, rep int, cold bool) (measured, error) {
	m := measured{Suite: name, Job: j.name, Rep: rep, Units: j.units}
	if j.before != nil {
		if err := j.before(rep); err != nil {
			return m, err
		}
	}
	if cold {
		syscall.Sync()
		if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200); err != nil {
			return m, err
		}
	}
	line := j.line
	if len(line) == 1 {
		line = []string{"bash", "-c", line[0]}
	}
	u, err := b.timed(line, j.env)
	if err != nil {
		return m, err
	}
	m.Wall, m.User, m.Sys, m.RSS = u.Wall, u.User, u.Sys, u.RSS
	m.OtherCPU = max(0, (u.Busy-m.User-m.Sys)/m.Wall)
	if !slices.Contains(j.codes, u.Code) && (u.Code != 0 || j.codes != nil) {
		return m, fmt.Errorf("exit %d: %s\n%.2000s", u.Code, strings.Join(line, " "), u.Stderr)
	}
	if j.after != nil {
		return m, j.after(rep, &m)
	}
	return m, nil
}

func (b *bench) keepResults(all map[string][]measured) error {
	if b.out == "" {
		return nil
	}
	f, err := os.OpenFile(b.out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	e := json.NewEncoder(f)
	for _, list := range all {
		for _, m := range list {
			if err := e.Encode(m); err != nil {
				return err
			}
		}
	}
	return f.Close()
}
