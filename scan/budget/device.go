package budget

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Unknown is the name of the budget that all devices share which cannot be
// placed.
const Unknown = "unknown"

// Finder tells which physical device a path lies on.
type Finder interface {
	// Device returns a name that is equal for paths which share a physical
	// device, or Unknown.
	Device(path string, dev uint64) string
}

// Kernel asks sysfs for the disk below a block device, and mountinfo for the
// pool or the server behind a file system without one (ZFS, btrfs, NFS).
type Kernel struct {
	Proc string // "" = /proc
	Sys  string // "" = /sys

	mu    sync.Mutex
	known map[uint64]string
}

// Device implements Finder.
func (k *Kernel) Device(path string, dev uint64) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if name, ok := k.known[dev]; ok {
		return name
	}
	name := k.find(path, dev)
	if k.known == nil {
		k.known = make(map[uint64]string)
	}
	k.known[dev] = name
	return name
}

func (k *Kernel) find(path string, dev uint64) string {
	if name := k.disk(unix.Major(dev), unix.Minor(dev)); name != "" {
		return name
	}
	m, ok := k.mount(path)
	if !ok {
		return Unknown
	}
	switch {
	case m.fstype == "zfs":
		pool, _, _ := strings.Cut(m.source, "/")
		return "zfs:" + pool
	case strings.HasPrefix(m.fstype, "nfs"):
		host, _, _ := strings.Cut(m.source, ":/")
		return "nfs:" + host
	case m.fstype == "tmpfs" || m.fstype == "ramfs":
		return "memory"
	case strings.HasPrefix(m.source, "/dev/"):
		var st unix.Stat_t
		if unix.Stat(m.source, &st) == nil {
			if name := k.disk(unix.Major(st.Rdev), unix.Minor(st.Rdev)); name != "" {
				return name
			}
		}
	}
	return Unknown
}

// disk follows a block device to the disks below it. Several disks (RAID, LVM)
// are one name, as they answer together.
func (k *Kernel) disk(major, minor uint32) string {
	if major == 0 {
		return ""
	}
	at, err := filepath.EvalSymlinks(fmt.Sprintf("%s/dev/block/%d:%d", or(k.Sys, "/sys"), major, minor))
	if err != nil {
		return ""
	}
	var names []string
	k.below(at, &names, 0)
	slices.Sort(names)
	return strings.Join(slices.Compact(names), "+")
}

func (k *Kernel) below(at string, names *[]string, depth int) {
	if _, err := os.Stat(filepath.Join(at, "partition")); err == nil {
		at = filepath.Dir(at)
	}
	slaves, err := os.ReadDir(filepath.Join(at, "slaves"))
	if err != nil || len(slaves) == 0 || depth > 8 {
		*names = append(*names, filepath.Base(at))
		return
	}
	for _, s := range slaves {
		real, err := filepath.EvalSymlinks(filepath.Join(at, "slaves", s.Name()))
		if err != nil {
			*names = append(*names, s.Name())
			continue
		}
		k.below(real, names, depth+1)
	}
}

type mountLine struct{ point, fstype, source string }

// mount returns the mount with the longest mount point above the path.
func (k *Kernel) mount(path string) (mountLine, bool) {
	data, err := os.ReadFile(or(k.Proc, "/proc") + "/self/mountinfo")
	if err != nil {
		return mountLine{}, false
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	var best mountLine
	found := false
	for sc := bufio.NewScanner(bytes.NewReader(data)); sc.Scan(); {
		m, ok := parseMount(sc.Text())
		if !ok || !(m.point == "/" || path == m.point || strings.HasPrefix(path, m.point+"/")) {
			continue
		}
		// A later line of the same point is mounted over the earlier one.
		if !found || len(m.point) >= len(best.point) {
			best, found = m, true
		}
	}
	return best, found
}

// parseMount reads one line of /proc/PID/mountinfo, proc(5).
func parseMount(line string) (mountLine, bool) {
	before, after, ok := strings.Cut(line, " - ")
	if !ok {
		return mountLine{}, false
	}
	a, b := strings.Fields(before), strings.Fields(after)
	if len(a) < 6 || len(b) < 2 {
		return mountLine{}, false
	}
	return mountLine{point: unescape(a[4]), fstype: b[0], source: unescape(b[1])}, true
}

// unescape undoes the octal escapes of mountinfo ("\040").
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
