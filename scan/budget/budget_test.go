package budget

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

type fixed map[string]string

func (f fixed) Device(path string, _ uint64) string { return f[path] }

func TestStoresOnOneDeviceShareABudget(t *testing.T) {
	s := NewSet(Limits{Readers: 4}, fixed{"/a": "sda", "/b": "sda", "/c": "sdb"})
	a, b, c := s.For("/a", 1), s.For("/b", 2), s.For("/c", 3)
	if a != b || a == c {
		t.Fatal("devices are not told apart")
	}
	if len(s.Devices()) != 2 {
		t.Errorf("%d devices", len(s.Devices()))
	}
	a.Tighten(Limits{Readers: 8}) // the first that names a number decides
	b.Tighten(Limits{Readers: 2, BytesPerSec: 100})
	a.Tighten(Limits{Readers: 3, BytesPerSec: 200})
	if got := a.Readers(); got != 2 {
		t.Errorf("%d readers, want the stricter 2", got)
	}
	if a.limits.BytesPerSec != 100 {
		t.Errorf("%d bytes a second, want the stricter 100", a.limits.BytesPerSec)
	}
}

func TestReadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewSet(Limits{Readers: 3}, fixed{}).For("/", 0)
		var mu sync.Mutex
		now, most := 0, 0
		var wg sync.WaitGroup
		for range 20 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := d.Acquire(t.Context()); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				d.Release()
			}()
		}
		wg.Wait()
		if most != 3 {
			t.Errorf("%d readers at once, want 3", most)
		}
	})
}

func TestAcquireEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewSet(Limits{Readers: 1}, fixed{}).For("/", 0)
		if err := d.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		cause := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error)
		go func() { done <- d.Acquire(ctx) }()
		synctest.Wait()
		cancel(cause)
		if err := <-done; !errors.Is(err, cause) {
			t.Errorf("%v, want the cause", err)
		}
		d.Release()
		if err := d.Acquire(t.Context()); err != nil {
			t.Errorf("a waiter that gave up kept its place: %v", err)
		}
	})
}

func TestADiskThatIsReadIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := NewSet(Limits{}, fixed{"/a": "sda", "/b": "sdb"})
		told := 0
		s.OnDisk(func() { told++ })
		a, b := s.For("/a", 1), s.For("/b", 2)
		read := func(d *Device, n int) {
			for range n {
				_, _ = d.Timed(t.Context(), func() (int, error) { return 1, nil })
			}
		}
		for range 10 { // strays
			read(a, busyReads-1)
			time.Sleep(2 * time.Second)
		}
		if told != 0 {
			t.Errorf("%d reads a second are called a disk's work", (busyReads-1)/2)
		}
		read(a, 3*busyReads)
		read(b, 3*busyReads)
		if told != 1 {
			t.Errorf("told %d times, want once", told)
		}
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewSet(Limits{BytesPerSec: 1000, FilesPerSec: 10}, fixed{}).For("/", 0)
		began := time.Now()
		if err := d.Bytes(t.Context(), 10_000); err != nil { // more than fits a burst
			t.Fatal(err)
		}
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("10,000 bytes at 1,000/s took %v", took)
		}
		began = time.Now()
		for range 31 {
			if err := d.File(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 2900*time.Millisecond || took > 3200*time.Millisecond {
			t.Errorf("31 files at 10/s took %v", took)
		}
	})
}

func TestQuantiles(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("an empty histogram has values")
	}
	for range 99 {
		h.add(100 * time.Microsecond)
	}
	h.add(time.Second)
	if q := h.Quantile(0.5); q < 100*time.Microsecond || q > 200*time.Microsecond {
		t.Errorf("median %v", q)
	}
	if q := h.Quantile(1); q < time.Second || q > 2*time.Second {
		t.Errorf("maximum %v", q)
	}
}

// tree makes a sysfs and a proc of a machine with a partition on sda, an array
// over sdb and sdc, ZFS, btrfs and NFS.
func tree(t *testing.T) *Kernel {
	t.Helper()
	base := t.TempDir()
	mk := func(dir string) {
		if err := os.MkdirAll(filepath.Join(base, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		mk(filepath.Dir(name))
		if err := os.Symlink(filepath.Join(base, target), filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
	}
	mk("sys/devices/pci/sda/sda1")
	if err := os.WriteFile(filepath.Join(base, "sys/devices/pci/sda/sda1/partition"), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	mk("sys/devices/pci/sdb")
	mk("sys/devices/pci/sdc")
	mk("sys/devices/virtual/md0/slaves")
	link("sys/devices/pci/sdb", "sys/devices/virtual/md0/slaves/sdb")
	link("sys/devices/pci/sdc", "sys/devices/virtual/md0/slaves/sdc")
	link("sys/devices/pci/sda/sda1", "sys/dev/block/8:1")
	link("sys/devices/virtual/md0", "sys/dev/block/9:0")
	mk("proc/self")
	const mounts = "22 1 8:1 / / rw,noatime shared:1 - ext4 /dev/sda1 rw\n" +
		"30 22 0:40 / /srv/tank rw - zfs tank/mail/a rw\n" +
		"31 22 0:41 / /srv/tank/b rw - zfs tank/mail/b rw\n" +
		"32 22 0:42 / /srv/with\\040space rw - nfs4 filer:/export rw\n" +
		"33 22 0:43 / /srv/odd rw - fuse.thing thing rw\n"
	if err := os.WriteFile(filepath.Join(base, "proc/self/mountinfo"), []byte(mounts), 0o644); err != nil {
		t.Fatal(err)
	}
	return &Kernel{Proc: filepath.Join(base, "proc"), Sys: filepath.Join(base, "sys")}
}

func TestKernelFindsDevices(t *testing.T) {
	k := tree(t)
	for i, c := range []struct {
		path         string
		major, minor uint32
		want         string
	}{
		{"/x", 8, 1, "sda"},
		{"/x", 9, 0, "sdb+sdc"},
		{"/srv/tank/x", 0, 40, "zfs:tank"},
		{"/srv/tank/b/x", 0, 41, "zfs:tank"},
		{"/srv/with space/x", 0, 42, "nfs:filer"},
		{"/srv/odd", 0, 43, Unknown},
	} {
		t.Run(fmt.Sprint(i, c.want), func(t *testing.T) {
			if got := k.Device(c.path, unix.Mkdev(c.major, c.minor)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func FuzzMountinfo(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue")
	f.Add(" - ")
	f.Add(`a b c d \04 f - g \777`)
	f.Fuzz(func(t *testing.T, line string) {
		if m, ok := parseMount(line); ok && m.fstype == "" {
			t.Errorf("%q has no type", line)
		}
	})
}
