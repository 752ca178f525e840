package scan

import "sync/atomic"

// Progress is updated while a scan runs and may be read at any time.
type Progress struct {
	Mailboxes, TotalMailboxes atomic.Int64 // looked at or skipped; found
	Messages, TotalMessages   atomic.Int64 // total: as recorded, 0 where not known
	Bytes, TotalBytes         atomic.Int64
	ReadBytes                 atomic.Int64
	Findings                  atomic.Int64
}

// note adds what one batch did.
func (p *Progress) note(messages, bytes, read int64) {
	if p != nil {
		p.Messages.Add(messages)
		p.Bytes.Add(bytes)
		p.ReadBytes.Add(read)
	}
}
