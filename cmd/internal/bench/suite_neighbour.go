package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// manner is a way to verify a store beside somebody else.
type manner struct {
	name   string
	config string   // of the store
	args   []string // more of the command
}

// manners are what is compared. The target is what 99 of 100 of the reader's
// reads take alone: slower ones of our own mean that somebody waits.
func manners(alone float64) []manner {
	target := time.Duration(alone) * time.Microsecond
	return []manner{
		{name: "verify"},
		{name: fmt.Sprintf("verify, latency_target %v", target), config: fmt.Sprintf("latency_target = %q\n", target)},
		{name: "verify, 1 reader, 20 MB/s", args: []string{"--readers", "1", "--limit-rate", "20M/s"}},
	}
}

const (
	neighbourRun  = 4 * time.Second // of the reader
	neighbourPace = 1 * time.Second // until verify has found its pace
	neighbourReps = 2               // at the most: the whole takes about four minutes
)

// neighbour measures what a verify costs somebody else, and what its restraint
// costs itself: a reader of small blocks who waits for each of them, alone and
// beside verify, and verify alone and beside that reader.
func (b *bench) neighbour() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: a cold cache needs root", errSkipped)
	}
	if !have("fio") {
		return fmt.Errorf("%w: fio is not installed", errSkipped)
	}
	store := b.store
	if store == "" {
		var err error
		if store, _, err = b.stores(); err != nil {
			return err
		}
	}
	target := b.path("neighbour.fio")
	if err := neighbourFile(target); err != nil {
		return err
	}
	reps := min(b.reps, neighbourReps)
	var list []manner
	var reader []float64              // p99 alone
	beside := map[string][]float64{}  // p99 beside a manner
	pace := map[string][2][]float64{} // MB/s of a manner: alone, beside
	for rep := range reps {
		us, err := fioReader(target)
		if err != nil {
			return err
		}
		reader = append(reader, us)
		fmt.Fprintf(os.Stderr, "neighbour %d/%d %-32s p99 %8.0f us\n", rep+1, reps, "the reader alone", us)
		if rep == 0 {
			list = manners(us)
		}
		for i := range list {
			m := &list[(i+rep)%len(list)]
			p := pace[m.name]
			for k, with := range []func() (float64, error){
				func() (float64, error) { time.Sleep(neighbourRun); return 0, nil },
				func() (float64, error) { return fioReader(target) },
			} {
				us, rate, err := b.besides(m, store, with)
				if err != nil {
					return fmt.Errorf("%s: %w", m.name, err)
				}
				p[k] = append(p[k], rate)
				if k == 1 {
					beside[m.name] = append(beside[m.name], us)
					fmt.Fprintf(os.Stderr, "neighbour %d/%d %-32s p99 %8.0f us; it read %.1f MB/s, alone %.1f\n", rep+1, reps, m.name, us, rate, p[0][rep])
				}
			}
			pace[m.name] = p
		}
	}
	alone := spread(reader)
	fmt.Println("| beside the reader | runs | p99 of its 4 KiB reads, us: median (lowest to highest) | times its value alone | verify reads MB/s beside it | alone |")
	fmt.Println("|---|---|---|---|---|---|")
	fmt.Printf("| nobody | %d | %s | 1 | | |\n", reps, alone)
	for _, m := range list {
		us, p := spread(beside[m.name]), pace[m.name]
		fmt.Printf("| %s | %d | %s | %.2f | %.1f | %.1f |\n", m.name, reps, us, us.middle/alone.middle, spread(p[1]).middle, spread(p[0]).middle)
	}
	return nil
}

// spreadOf is the median of some values, and their ends.
type spreadOf struct{ middle, low, high float64 }

func spread(list []float64) spreadOf {
	s := slices.Sorted(slices.Values(list))
	return spreadOf{middle(s), s[0], s[len(s)-1]}
}

func (s spreadOf) String() string { return fmt.Sprintf("%.0f (%.0f to %.0f)", s.middle, s.low, s.high) }

// besides starts a verify from a cold cache, runs something beside it once it
// has found its pace, and ends it. It returns what the other one measured, and
// how many MB a second verify read meanwhile.
func (b *bench) besides(m *manner, store string, with func() (float64, error)) (us, rate float64, err error) {
	config := b.path("neighbour.toml")
	text := fmt.Sprintf("[stores.primary]\npath = %q\n%s", store, m.config)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return 0, 0, err
	}
	syscall.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200); err != nil {
		return 0, 0, err
	}
	line := b.mailsync(append([]string{"verify", "primary", "--config", config, "--state", b.path("state-neighbour")}, m.args...)...)
	c := exec.Command(line[0], line[1:]...)
	if err := c.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	// Verify looks at names and sizes first; what is measured is its reading.
	for end := time.Now().Add(2 * time.Minute); ioOf(c.Process.Pid, "rchar") < 16<<20 && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(neighbourPace)
	from, began := ioOf(c.Process.Pid, "rchar"), time.Now()
	us, err = with()
	rate = (ioOf(c.Process.Pid, "rchar") - from) / 1e6 / time.Since(began).Seconds()
	select {
	case <-ended:
		err = errors.Join(err, errors.New("verify had ended before the measurement had: a larger -store is needed"))
	default:
		_ = c.Process.Signal(syscall.SIGTERM)
		<-ended
	}
	return us, rate, err
}

// fioReader reads small blocks here and there, one after the other and past
// the cache, and returns the 99th percentile of what one takes, in microseconds.
func fioReader(file string) (float64, error) {
	out, err := exec.Command("fio", "--name=neighbour", "--filename="+file, "--rw=randread", "--bs=4k", "--iodepth=1", "--direct=1",
		"--time_based", fmt.Sprintf("--runtime=%d", int(neighbourRun.Seconds())), "--output-format=json").Output()
	if err != nil {
		return 0, err
	}
	var report struct {
		Jobs []struct {
			Read struct {
				Clat struct {
					Percentile map[string]float64 `json:"percentile"`
				} `json:"clat_ns"`
			} `json:"read"`
		} `json:"jobs"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return 0, err
	}
	if len(report.Jobs) != 1 || report.Jobs[0].Read.Clat.Percentile["99.000000"] == 0 {
		return 0, fmt.Errorf("fio says nothing of its latency: %.200s", out)
	}
	return report.Jobs[0].Read.Clat.Percentile["99.000000"] / 1000, nil
}

// neighbourFile writes the file that the reader reads, once.
func neighbourFile(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return sh("fio", "--name=file", "--filename="+path, "--rw=write", "--size=2g", "--bs=1m")
}

// ioOf is a counter of what a process has read so far (proc_pid_io(5)).
func ioOf(pid int, counter string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var n float64
		if _, err := fmt.Sscanf(line, counter+": %f", &n); err == nil {
			return n
		}
	}
	return 0
}
