package archive

import "fmt"

// The recipients of one message are held in memory. A message with more than
// these is refused whole: nobody could say afterwards to whom it was not
// delivered.
const (
	maxRecipients = 1 << 20  // of them
	maxNames      = 32 << 20 // bytes of their addresses
)

var crowded = fmt.Sprintf("more than %d recipients, or %d bytes of their addresses", maxRecipients, maxNames)

// add takes up a recipient; false: the message is crowded, and will be refused.
func (m *Message) add(r Recipient) bool {
	if !m.room(len(r.Addr)+len(r.Original)) || len(m.Recipients) == maxRecipients {
		m.crowded = true
		return false
	}
	m.Recipients = append(m.Recipients, r)
	return true
}

// room counts bytes of addresses that are kept; false: there are too many.
func (m *Message) room(n int) bool {
	if m.names += n; m.names > maxNames {
		m.crowded = true
	}
	return !m.crowded
}
