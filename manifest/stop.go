package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mailsync/manifest/durable"
)

// Stop is a clean stop of the host that a hook at shutdown has vouched for.
// What is scanned afterwards takes it back.
type Stop struct {
	BootID string
	At     time.Time
}

// errNoBoot reports that the kernel does not name its boot.
var errNoBoot = errors.New("the boot has no id: nothing can be vouched for")

// Stopped records durably that the host stops in good order. Errors:
// ErrNoRecord, ErrLocked while a session records the store.
func (r *Repo) Stopped(key string, stop Stop) error {
	if stop.BootID == "" {
		return errNoBoot
	}
	return r.amend(key, func(rec *StoreRecord) { rec.Stop = stop })
}

// Started records that the host was started as bootID. Where crashed says that
// nothing broke between the record and this start, the looks count as of this
// boot from now on; a clean stop before it has then served. Errors as Stopped.
func (r *Repo) Started(key, bootID string, crashed func(StoreRecord) bool) (unbroken bool, err error) {
	if bootID == "" {
		return false, errNoBoot
	}
	err = r.amend(key, func(rec *StoreRecord) {
		unbroken = !crashed(*rec)
		rec.started(bootID, unbroken)
	})
	return unbroken && err == nil, err
}

// started brings a record into this boot.
func (r *StoreRecord) started(bootID string, unbroken bool) {
	r.Stop = Stop{}
	if !unbroken || bootID == "" {
		return
	}
	for _, l := range []*Look{&r.Complete, &r.Open} {
		if l.ID != 0 {
			l.BootID = bootID
		}
	}
}

// amend changes the store's record outside a session.
func (r *Repo) amend(key string, change func(*StoreRecord)) error {
	if r.readOnly {
		return ErrReadOnly
	}
	dir := r.storeDir(key)
	if _, err := r.readRecord(dir); err != nil {
		return err // and no lock file where nothing is recorded
	}
	lock, err := r.fs.Open(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("record of store %s: %w", key, err)
	}
	rec, err := r.readRecord(dir)
	if err != nil {
		return err
	}
	change(rec)
	return durable.WriteFile(r.fs, filepath.Join(dir, recordName), rec.encode(), fileMode)
}
