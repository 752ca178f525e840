//go:build vm

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/internal/drive"
)

// modules are what the first steps need: the way to this machine's root, the
// layer above it, and disks.
var modules = []string{"virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_blk", "loop", "ext4"}

// machine is a kernel with its first file system. It can be booted again and
// again.
type machine struct {
	t              *testing.T
	dir            string // of the test's, the same path inside
	kernel, initrd string
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, line ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), line[0], line[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(line, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// needs skips where the machine lacks something, and fails where it promises to
// have it.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	lacks := ""
	if os.Geteuid() != 0 {
		lacks = "the root of this machine is given to the other by root only"
	}
	drive.Needs(t, lacks, programs...)
}

// newMachine fetches the kernel's package, which is unpacked and not installed.
func newMachine(t *testing.T) *machine {
	t.Helper()
	needs(t, "qemu-system-x86_64", "apt-get", "apt-cache", "dpkg-deb", "depmod", "modprobe", "cpio")
	dir, err := os.MkdirTemp("/var/tmp", "mailsync-vm")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))

	image := ""
	for _, f := range strings.Fields(do(t, "apt-cache", "depends", "linux-image-amd64")) {
		if strings.HasPrefix(f, "linux-image-") && f != "linux-image-amd64" {
			image = f
		}
	}
	fetch := exec.CommandContext(t.Context(), "apt-get", "-qq", "download", image, "busybox-static")
	fetch.Dir = dir
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Fatalf("apt-get download %s: %v\n%s", image, err, out)
	}
	debs, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	must(t, err)
	for _, deb := range debs {
		do(t, "dpkg-deb", "-x", deb, filepath.Join(dir, "kernel"))
		must(t, os.Remove(deb))
	}
	kernels, err := filepath.Glob(filepath.Join(dir, "kernel/boot/vmlinuz-*"))
	must(t, err)
	if len(kernels) != 1 {
		t.Fatalf("kernels in %s: %v", image, kernels)
	}
	m := &machine{t: t, dir: dir, kernel: kernels[0], initrd: filepath.Join(dir, "initrd")}
	m.makeInitrd(strings.TrimPrefix(filepath.Base(kernels[0]), "vmlinuz-"))
	return m
}

// path names a file of the test's.
func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

// write writes such a file.
func (m *machine) write(name, text string) {
	m.t.Helper()
	must(m.t, os.WriteFile(m.path(name), []byte(text), 0o755))
}

// makeInitrd builds the first file system: a static shell, the modules, and an
// init that puts the layer over the root, runs the file before there, and makes
// the root's program init process 1.
func (m *machine) makeInitrd(release string) {
	m.t.Helper()
	do(m.t, "depmod", "-b", m.path("kernel"), release)
	first := m.path("first")
	for _, d := range []string{"bin", "proc", "sys", "dev", "host", "layer", "root"} {
		must(m.t, os.MkdirAll(filepath.Join(first, d), 0o755))
	}
	do(m.t, "cp", m.path("kernel/bin/busybox"), filepath.Join(first, "bin/"))
	var insert strings.Builder
	seen := map[string]bool{}
	for _, name := range modules {
		for line := range strings.Lines(do(m.t, "modprobe", "-d", m.path("kernel"), "-S", release, "--show-depends", name)) {
			f := strings.Fields(line)
			if len(f) < 2 || f[0] != "insmod" || seen[f[1]] {
				continue
			}
			seen[f[1]] = true
			do(m.t, "cp", f[1], first)
			fmt.Fprintf(&insert, "$b insmod /%s\n", filepath.Base(f[1]))
		}
	}
	must(m.t, os.WriteFile(filepath.Join(first, "init"), []byte(`#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
`+insert.String()+`
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose host /host
$b mount -t tmpfs tmpfs /layer
$b mkdir /layer/upper /layer/work
$b mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work root /root
$b mkdir -p /root/lib/modules
$b mount --bind /host`+m.dir+`/kernel/lib/modules /root/lib/modules
for d in proc sysfs:sys devtmpfs:dev tmpfs:tmp tmpfs:run; do
	$b mount -t ${d%%:*} none /root/${d#*:}
done
$b chroot /root /bin/bash `+m.dir+`/before
$b umount /root/proc /root/sys /root/dev /root/tmp /root/run /proc
exec $b switch_root /root /bin/bash -c `+m.dir+`/init
`), 0o755))
	pack := exec.CommandContext(m.t.Context(), "sh", "-c", "find . | cpio -o -H newc --quiet >"+m.initrd)
	pack.Dir = first
	if out, err := pack.CombinedOutput(); err != nil {
		m.t.Fatalf("cpio: %v\n%s", err, out)
	}
}

// boot runs the machine to its end, and returns what was written to its second
// serial line, /dev/ttyS1. Before is a script in the machine's root, init what
// becomes process 1.
func (m *machine) boot(limit time.Duration, before, init string, disks ...string) string {
	m.t.Helper()
	m.write("before", before)
	m.write("init", init)
	m.write("said", "")
	ctx, stop := context.WithTimeout(m.t.Context(), limit)
	defer stop()
	args := []string{
		"-m", "2048", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none", "-serial", "stdio", "-serial", "file:" + m.path("said"), "-monitor", "none",
		"-kernel", m.kernel, "-initrd", m.initrd, "-append", "console=ttyS0 quiet loglevel=3 panic=-1 systemd.show_status=no",
		"-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
	}
	for _, d := range disks {
		args = append(args, "-drive", "format=raw,if=virtio,file="+d)
	}
	console, err := exec.CommandContext(ctx, "qemu-system-x86_64", args...).CombinedOutput()
	said, err2 := os.ReadFile(m.path("said"))
	text := strings.ReplaceAll(string(said), "\r", "")
	m.t.Logf("said:\n%s", text)
	if err := errors.Join(err, err2); err != nil || text == "" {
		m.t.Fatalf("%v; on the console:\n%s", err, console)
	}
	return text
}
