package main

import "mailsync/compare"

// uidLines holds back the differences of UIDs of one mailbox. After a UID list
// was rebuilt every message of a folder has another UID: a person is told that
// once a folder, and sees the other differences.
type uidLines struct {
	whole bool // hold nothing back
	held  []compare.Difference
	more  []int64 // beside each of held, in the same folder
}

// take tells whether it keeps a difference for tell.
func (u *uidLines) take(d *compare.Difference) bool {
	if u.whole || d.Kind != compare.UID {
		return false
	}
	if n := len(u.held) - 1; n >= 0 && u.held[n].Folder == d.Folder {
		u.more[n]++
		return true
	}
	u.held, u.more = append(u.held, *d), append(u.more, 0)
	return true
}

// tell prints what was held back, a line a folder, and begins anew.
func (u *uidLines) tell(a *app, names []string) {
	for i := range u.held {
		d := &u.held[i]
		if u.more[i] > 0 && !a.out.JSON() {
			d.File, d.Messages = "", u.more[i]+1
		}
		a.difference(d, names)
	}
	u.held, u.more = u.held[:0], u.more[:0]
}
