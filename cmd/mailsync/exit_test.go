package main

import (
	"fmt"
	"io/fs"
	"testing"

	"mailsync/restore/archive"
	"mailsync/scan"
)

// What may not be read is refused, and what is not there is no input: for a
// store and an archive alike.
func TestPermissionIsNoAbsence(t *testing.T) {
	for _, room := range []error{scan.ErrNoStore, archive.ErrNoInput} {
		for why, want := range map[error]int{fs.ErrPermission: exitNoPerm, fs.ErrNotExist: exitNoInput} {
			if got := errorCode(fmt.Errorf("%w: %w", room, why)); got != want {
				t.Errorf("%v: %v: exit %d, want %d", room, why, got, want)
			}
		}
	}
}
