package scan

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/scan/beneath"
)

// Procs is the GOMAXPROCS that a process which scans should use. Reads block
// their thread, and a goroutine that waits for the disk keeps its processor
// until the runtime notices: with as many processors as cores, half of a cold
// disk's throughput is lost.
func Procs(readers int) int { return min(max(readers, 2*runtime.NumCPU(), 8), 32) }

// bootID names the time since the machine was started (random(4)).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

// bootTime tells when the machine was started, zero where it cannot tell.
func bootTime(now time.Time) time.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return time.Time{}
	}
	return now.Add(-time.Duration(ts.Nano()))
}

// Magic numbers of statfs(2).
const (
	magicExt4  = 0xEF53
	magicXFS   = 0x58465342
	magicBtrfs = 0x9123683E
	magicTmpfs = 0x01021994
	magicNFS   = 0x6969
	magicFUSE  = 0x65735546
	magicCIFS  = 0xFF534D42
	magicSMB2  = 0xFE534D42
)

// Margins of time stamps: a change that comes within the margin after another
// may leave the same stamp behind.
const (
	fineMargin   = 20 * time.Millisecond
	coarseMargin = time.Second
	remoteMargin = 10 * time.Second // another machine's clock
)

// raceMargin tells how old a stamp must be to be trusted on a file system.
// Since Linux 6.13 the usual local file systems give a new time stamp to each
// change that somebody could have seen the previous stamp of (multigrain time
// stamps); before, the clock tick decides, and some file systems keep whole
// seconds only.
func raceMargin(fs beneath.FileSystem, multigrain bool) time.Duration {
	switch fs.Type {
	case magicExt4, magicXFS, magicBtrfs, magicTmpfs:
		if multigrain {
			return fineMargin
		}
	case magicNFS, magicFUSE, magicCIFS, magicSMB2:
		return remoteMargin
	}
	return coarseMargin
}

// multigrain tells whether the kernel is 6.13 or later.
func multigrain() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	release := unix.ByteSliceToString(u.Release[:])
	major, rest, _ := strings.Cut(release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	minor, _, _ = strings.Cut(minor, "-")
	a, err := strconv.Atoi(major)
	if err != nil {
		return false
	}
	b, err := strconv.Atoi(minor)
	if err != nil {
		return false
	}
	return a > 6 || a == 6 && b >= 13
}
