package scan

import (
	"time"

	"mailsync/manifest"
)

// Boot tells which boot of the machine this is, and when it began; "" and zero
// where the kernel does not say.
func Boot(now time.Time) (id string, at time.Time) { return bootID(), bootTime(now) }

// stopToBoot is how long after a recorded clean stop the next boot may begin.
// A boot in between that nobody recorded, and that crashed, would otherwise be
// taken for part of the clean stop; so would a stop that was recorded while the
// machine ran on.
const stopToBoot = 30 * time.Minute

// Crashed tells whether a crash may lie between what is recorded and the boot
// that began at bootAt: the machine was started since, and nobody recorded that
// it was stopped in good order right before.
func Crashed(rec *manifest.StoreRecord, bootID string, bootAt time.Time) bool {
	if bootID == "" {
		return false
	}
	stop := rec.Stop
	stopped := stop.BootID != "" && !stop.At.After(bootAt) && bootAt.Sub(stop.At) <= stopToBoot
	for _, l := range []*manifest.Look{&rec.Complete, &rec.Open} {
		if l.ID == 0 || l.BootID == "" || l.BootID == bootID {
			continue
		}
		if !stopped || stop.BootID != l.BootID || stop.At.Before(l.Began) || stop.At.Before(l.Ended) {
			return true
		}
	}
	return false
}

// Crashed is Crashed for the boot in which the scanner runs.
func (s *Scanner) Crashed(rec manifest.StoreRecord) bool {
	return Crashed(&rec, s.opt.BootID, s.opt.BootAt)
}
