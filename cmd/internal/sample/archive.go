package sample

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Archived is one message as a gateway keeps it: before delivery, with its
// envelope.
type Archived struct {
	From    string   // envelope sender
	To      []string // envelope recipients
	Arrival time.Time
	Data    []byte
	Message *Message // one of the delivered copies
}

// Gateway yields what the gateway archived, in order of arrival: every
// incoming message that want accepts (nil: all). A message that went to two
// mailboxes is one.
func (e *Estate) Gateway(want func(*Message) bool) []Archived {
	byID := map[[2]uint64]int{}
	var out []Archived
	for m := range e.Messages() {
		if !m.Incoming || want != nil && !want(m) {
			continue
		}
		if i, ok := byID[m.seed]; ok {
			out[i].To = append(out[i].To, m.Address)
			continue
		}
		byID[m.seed] = len(out)
		out = append(out, Archived{From: m.sender(), To: []string{m.Address}, Arrival: m.Date, Data: m.Archived(), Message: m})
	}
	slices.SortStableFunc(out, func(a, b Archived) int { return a.Arrival.Compare(b.Arrival) })
	return out
}

// WriteMbox writes an mbox in the mboxrd variant, each message behind an
// envelope prefix as amavis writes it.
func WriteMbox(w io.Writer, mail []Archived) error {
	b := bufio.NewWriter(w)
	for i, a := range mail {
		fmt.Fprintf(b, "From %s %s\n", a.From, a.Arrival.UTC().Format("Mon Jan _2 15:04:05 2006"))
		fmt.Fprintf(b, "Return-Path: <%s>\nDelivered-To: archive@gateway.example.org\nX-Envelope-From: <%s>\nX-Envelope-To: <%s>\nX-Envelope-To-Blocked:\nX-Quarantine-ID: <Q%08d>\n",
			a.From, a.From, strings.Join(a.To, ">, <"), i)
		for line := range bytes.Lines(a.Data) {
			if bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
				b.WriteByte('>')
			}
			b.Write(line)
		}
		if !bytes.HasSuffix(a.Data, []byte("\n")) {
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	return b.Flush()
}

// WriteBSMTP writes batched SMTP as Exim's use_bsmtp does: LF line ends, no
// greeting, no QUIT.
func WriteBSMTP(w io.Writer, mail []Archived) error {
	b := bufio.NewWriter(w)
	for _, a := range mail {
		fmt.Fprintf(b, "MAIL FROM:<%s>\n", a.From)
		for _, to := range a.To {
			fmt.Fprintf(b, "RCPT TO:<%s>\n", to)
		}
		b.WriteString("DATA\n")
		for line := range bytes.Lines(a.Data) {
			if line[0] == '.' {
				b.WriteByte('.')
			}
			b.Write(line)
		}
		if !bytes.HasSuffix(a.Data, []byte("\n")) {
			b.WriteByte('\n')
		}
		b.WriteString(".\n")
	}
	return b.Flush()
}
