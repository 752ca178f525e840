package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// neighbour measures what a verify costs somebody else: a reader of small
// blocks who waits for each of them, alone and beside verify, with and without
// a latency target.
func (b *bench) neighbour() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: a cold cache needs root", errSkipped)
	}
	if !have("fio") {
		return fmt.Errorf("%w: fio is not installed", errSkipped)
	}
	store, _, err := b.stores()
	if err != nil {
		return err
	}
	beside := []string{"nobody", "verify", "verify, latency_target 1ms", "verify, one reader, 20 MB/s"}
	p99, took := map[string][]float64{}, map[string][]float64{}
	for rep := range b.reps {
		for i := range beside {
			name := beside[(i+rep)%len(beside)]
			n, err := b.besides(name, store)
			if err != nil {
				return fmt.Errorf("beside %s: %w", name, err)
			}
			p99[name] = append(p99[name], n.p99)
			took[name] = append(took[name], n.read)
			fmt.Fprintf(os.Stderr, "neighbour %d/%d %-32s p99 %8.0f us\n", rep+1, b.reps, name, n.p99)
		}
	}
	fmt.Println("| beside | runs | p99 of a 4 KiB read, us (median) | lowest to highest | times its value alone | verify read MB/s |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, name := range beside {
		slices.Sort(p99[name])
		slices.Sort(took[name])
		list := p99[name]
		fmt.Printf("| %s | %d | %.0f | %.0f to %.0f | %.2f | %.1f |\n", name, len(list), middle(list), list[0], list[len(list)-1],
			middle(list)/middle(p99["nobody"]), middle(took[name]))
	}
	return nil
}

type neighbourhood struct {
	p99  float64 // microseconds
	read float64 // MB/s that verify read meanwhile
}

// besides runs the reader for a while beside a command that is ended then.
func (b *bench) besides(name, store string) (n neighbourhood, err error) {
	const seconds = 12
	config := b.path("neighbour.toml")
	text := fmt.Sprintf("[stores.primary]\npath = %q\n", store)
	var more []string
	switch {
	case strings.Contains(name, "latency_target"):
		text += "latency_target = \"1ms\"\n"
	case strings.Contains(name, "one reader"):
		more = []string{"--readers", "1", "--limit-rate", "20M/s"}
	}
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return n, err
	}
	target := b.path("neighbour.fio")
	if err := neighbourFile(target); err != nil {
		return n, err
	}
	syscall.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0o200); err != nil {
		return n, err
	}
	var c *exec.Cmd
	if name != "nobody" {
		line := b.mailsync(append([]string{"verify", "primary", "--config", config, "--state", b.path("state-neighbour")}, more...)...)
		c = exec.Command(line[0], line[1:]...)
		if err := c.Start(); err != nil {
			return n, err
		}
		defer func() {
			n.read = readBytes(c.Process.Pid) / 1e6 / seconds
			_ = c.Process.Signal(syscall.SIGTERM)
			_ = c.Wait()
		}()
		time.Sleep(2 * time.Second) // so that it has found its pace
	}
	out, err := exec.Command("fio", "--name=neighbour", "--filename="+target, "--rw=randread", "--bs=4k", "--iodepth=1", "--direct=1",
		"--time_based", fmt.Sprintf("--runtime=%d", seconds), "--output-format=json").Output()
	if err != nil {
		return n, err
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
		return n, err
	}
	if len(report.Jobs) != 1 || report.Jobs[0].Read.Clat.Percentile["99.000000"] == 0 {
		return n, fmt.Errorf("fio says nothing of its latency: %.200s", out)
	}
	n.p99 = report.Jobs[0].Read.Clat.Percentile["99.000000"] / 1000
	return n, nil
}

// neighbourFile writes the file that the reader reads, once.
func neighbourFile(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return sh("fio", "--name=file", "--filename="+path, "--rw=write", "--size=2g", "--bs=1m")
}

// readBytes is what a process has read from disks so far.
func readBytes(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var n float64
		if _, err := fmt.Sscanf(line, "read_bytes: %f", &n); err == nil {
			return n
		}
	}
	return 0
}
