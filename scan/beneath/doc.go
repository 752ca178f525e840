// Package beneath opens things below a directory that other people own.
//
// A checker that runs as root walks trees that mailbox owners write: they may
// plant symbolic links, FIFOs, devices, mounts and directories that are swapped
// between two calls. Every name is therefore opened relative to a directory
// held by descriptor, with openat2(2) and RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS,
// RESOLVE_NO_MAGICLINKS and RESOLVE_NO_XDEV, never blocking (O_NONBLOCK), never
// following (O_NOFOLLOW), and without moving access times (O_NOATIME). Only
// regular files are read. Where the kernel has no openat2 the path is walked
// component by component.
//
// It promises that nothing outside the root is reached, that no call hangs on a
// FIFO or a leased file, and that a directory listing is either whole or an
// error, never a short list. It has no policy: it does not know what a Maildir
// is.
//
// Every system call goes through one table of functions (Calls), which is where
// faults are injected.
package beneath
