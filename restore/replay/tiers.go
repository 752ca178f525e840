package replay

import (
	"mailsync/compare"
)

// bodyTier finds the archived message with the same Message-ID and body, where
// a list or a gateway rewrote From, Date or Subject.
func (l *look) bodyTier(ev *compare.Evidence) *class {
	if ev.Body.IsZero() {
		return nil
	}
	return l.byBody[ev.Body]
}

// noIDTier finds an archived message without Message-ID, to which the server
// may have added one.
func (l *look) noIDTier(ev *compare.Evidence) *class {
	if ev.NoID.IsZero() {
		return nil
	}
	return l.byNoID[ev.NoID]
}
