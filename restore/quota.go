package restore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"mailsync/restore/place"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// quota is what a batch changed of a mailbox' usage.
type quota struct{ bytes, count int64 }

// counted tells whether servers count a message: not in Trash, not with flag T
// (README.maildirquota of courier-libs).
func counted(folder, flags string) bool {
	return folder != "Trash" && !bytes.ContainsRune([]byte(flags), 'T')
}

// quotaSize is the size of a message as servers count it: from its name, else
// the file's.
func quotaSize(name string, size int64) int64 {
	if n := maildir.ParseName(name); n.HasS {
		return n.S
	}
	return size
}

// settle appends what changed to maildirsize with one write. The file is moved
// aside instead, which makes servers count anew, where it has grown to the size
// at which they do, and with recalc: mail that was lost was never subtracted,
// so adding what comes back would count it twice. Without a file nothing is done.
func (m *mbox) settle(ops *place.Ops, recalc bool, aside func(dir *beneath.Dir, name string) error) error {
	q := m.quota
	m.quota = quota{}
	if q == (quota{}) {
		return nil
	}
	st, err := m.root.Stat(quotaName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !st.Regular() || st.Links != 1 || int(st.Owner) != m.own.UID {
		return fmt.Errorf("%s is not the mailbox' own file", quotaName)
	}
	line := maildir.QuotaLine(q.bytes, q.count)
	if recalc || st.Size+int64(len(line)) >= maildir.MaxQuotaSize {
		return aside(m.root, quotaName)
	}
	fd, err := ops.Append(m.root.Fd(), quotaName)
	if err != nil {
		return err
	}
	defer func() { _ = ops.Close(fd) }()
	var now unix.Stat_t
	if err := ops.Stat(fd, quotaName, &now); err != nil {
		return err
	}
	if now.Ino != st.Inode || now.Nlink != 1 {
		return fmt.Errorf("%s was replaced", quotaName)
	}
	return ops.Write(fd, quotaName, line)
}
