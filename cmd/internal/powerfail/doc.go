// Package powerfail cuts the power under mailsync, on real file systems.
//
// A FUSE file system with one file is put under a loop device, so that every
// block write and every flush of a mounted ext4, XFS or btrfs can be recorded
// while the built program runs on it. Afterwards the disk is rebuilt as a power
// cut could have left it: everything before the last flush is there; of what
// was written since, all, nothing, a random part, or random 4 KiB pieces. Each
// such state is mounted, so that the file system recovers, and looked at: what
// was acknowledged must be there byte for byte, nothing may be half visible,
// journals and manifests must be whole, the same command again must end in the
// right state, with nothing left behind, and undo of the cut run in the state
// before it. Recovery is cut too, and its recovery, three deep.
//
// A second kind of cut shuts a mounted file system down at a random moment
// (FS_IOC_SHUTDOWN).
//
// A harness that cannot see damage proves nothing: writers with one sync too
// few, and mounts without barriers, must be seen to lose mail.
//
// The tests need root, /dev/fuse, loop devices and the mkfs programs, and have
// the build tag powerfail:
//
//	go build -o bin/mailsync ./cmd/mailsync
//	go test -v -timeout 6h -tags powerfail ./cmd/internal/powerfail
//
// POWERFAIL_REPORT names a file to which each series appends a line: command,
// file system, kind, states, acknowledged messages looked for, reruns, undone,
// problems, states that did not mount, file systems that were not sound.
//
// What it cannot model: a disk that lies about flushes, and sectors of 512
// bytes torn inside 4 KiB.
package powerfail
