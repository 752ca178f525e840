// Package vm boots Debian's own kernel in a virtual machine (QEMU, in software),
// for what the kernel of this machine has not, or has not as process 1: quotas
// of ext4 and XFS, systemd, a boot and a stop in good order, a crash.
//
// The machine's root is this one's, below a layer in its memory: programs are
// those that are installed here, and nothing that it writes comes back, but on
// disks that a test gives it. It has no network.
//
// The tests need root, qemu-system-x86, cpio, kmod and apt-get, and have the
// build tag vm:
//
//	make vm
package vm
