package replay

import (
	"fmt"
	"strings"

	"mailsync/scan/maildir"
)

// place finds the directories of what goes elsewhere than into INBOX: a damaged
// copy is healed where it lies, and ambiguous messages may have a folder.
func (l *look) place() error {
	for i := range l.out {
		v := &l.out[i]
		switch {
		case v.state == stAbsent && v.heal != nil:
			v.dir = l.dirs[v.heal.Folder]
		case (v.state == stAltered || v.state == stOpen) && l.r.o.Ambiguous == InFolder:
			if err := l.aside(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// aside finds the folder for an ambiguous message: the one that the mailbox has,
// else the one that it would be given.
func (l *look) aside(v *verdict) error {
	folder := l.r.o.AmbiguousFolder
	if dir, ok := l.dirs[folder]; ok {
		v.dir = dir
		return nil
	}
	name := l.r.o.FolderDir
	if name == nil {
		name = func(_, folder string) (string, error) {
			return maildir.FolderNames{Layout: maildir.PlusPlus}.Dir(folder)
		}
	}
	dir, err := name(l.mailbox, folder)
	if err != nil {
		return fmt.Errorf("%w: the folder for ambiguous messages: %w", ErrOptions, err)
	}
	v.dir, v.noDir = dir, true
	return nil
}

// maxKeyword is how long a keyword may be, in bytes: Dovecot's own limit
// (mail_max_keyword_length).
const maxKeyword = 50

// validKeyword tells whether a keyword can be set by IMAP: flag-keyword is an
// atom (RFC 9051, section 9).
func validKeyword(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("(){]%*\"\\", c) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxKeyword
}
