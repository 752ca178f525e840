package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/archive"
	"mailsync/restore/lmtp"
	"mailsync/restore/remote"
	"mailsync/restore/replay"
	"mailsync/restore/userdb"
	"mailsync/scan"
)

// The exit codes. docs/exit-codes.md is their reference; the numbers from 64
// on are those of sysexits.h.
const (
	exitClean       = 0
	exitFindings    = 1
	exitPartial     = 3
	exitUsage       = 64
	exitData        = 65
	exitNoInput     = 66
	exitUnavailable = 69
	exitSoftware    = 70
	exitCantCreate  = 73
	exitIO          = 74
	exitTempFail    = 75
	exitNoPerm      = 77
	exitConfig      = 78
)

// outcome is what a command has to say when it did not fail.
type outcome struct {
	findings bool // damage, a difference, an open item
	partial  bool // something could not be read, reached or applied

	// own and status are for monitor alone, whose exit codes are those of a
	// monitoring plugin.
	own    bool
	status int
}

// clean tells whether nothing was left over.
func (o *outcome) clean() bool { return !o.findings && !o.partial }

// errOutput is the cause of a run whose standard output takes no more.
var errOutput = errors.New("standard output cannot be written")

// outputError says what the first error of standard output means. A reader that
// has gone (head, less) ended the run as SIGPIPE ends other programs; all else
// is a failure.
func outputError(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return &signalError{syscall.SIGPIPE}
	}
	return fmt.Errorf("%w: %w", errOutput, err)
}

// headed tells whether err is worth no word: the reader has seen enough of a
// command whose output is all that it does. Of a run that keeps a log it is
// told that it did not come to its end, and how to go on.
func (a *app) headed(err error) bool {
	var sig *signalError
	return errors.As(err, &sig) && sig.sig == syscall.SIGPIPE && a.log == nil
}

// exitCode is the one switch from what happened to an exit code. Precedence:
// signal, failure, partial, findings, clean.
func exitCode(ctx context.Context, o outcome, err error) int {
	var sig *signalError
	if errors.As(context.Cause(ctx), &sig) || errors.As(err, &sig) {
		return 128 + int(sig.sig)
	}
	if err == nil {
		// A cancelled run is never a success, whatever it has found.
		err = context.Cause(ctx)
	}
	switch {
	case err != nil:
		return errorCode(err)
	case o.own:
		return o.status
	case o.partial:
		return exitPartial
	case o.findings:
		return exitFindings
	}
	return exitClean
}

// errorCode maps an error to its code: what the command said itself, then the
// sentinels of the rooms, then what the kernel said.
func errorCode(err error) int {
	var p *ui.Problem
	if errors.As(err, &p) && p.Code != 0 {
		return p.Code
	}
	for _, c := range codes {
		if errors.Is(err, c.is) {
			return c.code
		}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return exitIO
	}
	return exitSoftware
}

// codes is searched in order.
var codes = []struct {
	is   error
	code int
}{
	{errOutput, exitIO},
	{config.ErrConfig, exitConfig},
	{config.ErrHost, exitUsage},
	{config.ErrNoName, exitNoInput},
	{config.ErrEmptyName, exitUsage},
	{config.ErrValue, exitUsage},
	{remote.ErrLost, exitUnavailable},
	{remote.ErrHello, exitUnavailable},
	{remote.ErrVersion, exitUnavailable},
	{remote.ErrProtocol, exitUnavailable},
	{remote.ErrRefused, exitNoPerm},
	{manifest.ErrLocked, exitTempFail},
	{restore.ErrReadOnly, exitCantCreate},
	{manifest.ErrNoRecord, exitNoInput},
	{manifest.ErrNoMailbox, exitNoInput},
	{manifest.ErrNewer, exitData},
	{manifest.ErrCorrupt, exitData},
	{manifest.ErrTruncated, exitData},
	{manifest.ErrLimit, exitData},
	{manifest.ErrOrder, exitData},
	{scan.ErrConfig, exitConfig},
	{scan.ErrOtherFilesystem, exitPartial},
	{manifest.ErrOther, exitPartial},
	{scan.ErrHalfGone, exitPartial},
	{replay.ErrLedger, exitData},
	{replay.ErrResolver, exitUnavailable},
	{userdb.ErrOptions, exitConfig},
	{lmtp.ErrUnreachable, exitUnavailable},
	{lmtp.ErrTarget, exitUsage},
	{replay.ErrNoEnvelopes, exitData},
	{replay.ErrNoGap, exitUsage},
	{replay.ErrOptions, exitUsage},
	{archive.ErrOptions, exitUsage},
	{archive.ErrPosition, exitData},
	{restore.ErrBusy, exitTempFail},
	{restore.ErrPlan, exitData},
	{restore.ErrNewer, exitData},
	{restore.ErrRun, exitData},
	{restore.ErrNoRun, exitNoInput},
	{restore.ErrNotUndoable, exitNoInput},
	{restore.ErrNoSource, exitNoInput},
	{restore.ErrNoSpace, exitPartial},
	{restore.ErrDisk, exitIO},
	{restore.ErrOptions, exitUsage},
	{ui.ErrNotAsked, exitNoPerm},
	{ui.ErrNoAnswer, exitNoPerm},
	{fs.ErrPermission, exitNoPerm},
	{scan.ErrNoStore, exitNoInput},
	{archive.ErrNoInput, exitNoInput},
	{restore.ErrNoTarget, exitNoInput},
	{fs.ErrNotExist, exitNoInput},
}
