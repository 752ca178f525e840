package archive

import (
	"io"
	"strings"
)

// Quarantine directories: one directory a message, with the message in one file
// and its envelope in others, one address a line. MIMEDefang writes
// ENTIRE_MESSAGE, SENDER and RECIPIENTS beside the message's parts; other
// filters and scripts write message, sender and recipients.

// quarantineNames are the names of one filter's files.
type quarantineNames struct {
	message, recipients, sender string
}

var quarantines = []quarantineNames{
	{"ENTIRE_MESSAGE", "RECIPIENTS", "SENDER"},
	{"message", "recipients", "sender"},
	{"message.eml", "recipients", "sender"},
}

// quarantineOf tells which filter a file is of, and whether it is the message.
func quarantineOf(in *input) (q quarantineNames, message, ok bool) {
	if in.beside == nil {
		return q, false, false
	}
	there := func(name string) bool {
		f, err := in.beside(name)
		if err != nil {
			return false
		}
		f.Close()
		return true
	}
	for _, q := range quarantines {
		switch {
		case in.name == q.message:
			if there(q.recipients) {
				return q, true, true
			}
		case in.name == q.recipients, in.name == q.sender, q.message == "ENTIRE_MESSAGE" && mimedefangPart(in.name):
			if there(q.message) && there(q.recipients) {
				return q, false, true
			}
		}
	}
	return q, false, false
}

// mimedefangPart tells the names of what MIMEDefang keeps beside the message.
func mimedefangPart(name string) bool {
	return name == "HEADERS" || name == "SENDMAIL-QID" || strings.HasPrefix(name, "PART.") || strings.HasPrefix(name, "MSG.")
}

func matchQuarantine(in *input, _ []byte) bool {
	_, _, ok := quarantineOf(in)
	return ok
}

func readQuarantine(p *pass, in *input) error {
	q, message, _ := quarantineOf(in)
	if !message {
		return nil
	}
	c, err := p.whole(in)
	if err == nil && in.w.broken() != nil {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return p.badContent(in.pos, in, err)
	}
	m := &p.msg
	*m = Message{Pos: in.pos, Format: "quarantine", content: c}
	add := func(a string) bool { return m.add(Recipient{Addr: a, How: Container}) }
	if err := addressLines(in, q.recipients, add); err != nil {
		return p.refuse(in.pos, "its file "+q.recipients+" cannot be read: "+reason(err))
	}
	first := func(a string) bool { m.Sender = a; return false }
	m.SenderKnown = addressLines(in, q.sender, first) == nil // an empty file is the null sender
	return p.emit(in, m)
}

// maxAddressFile bounds a file of addresses: some hundred thousand.
const maxAddressFile = 8 << 20

// addressLines reads a file of addresses, one a line, or several between commas,
// for as long as they are wanted.
func addressLines(in *input, name string, add func(string) bool) error {
	f, err := in.beside(name)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAddressFile+1))
	if err != nil {
		return err
	}
	if len(b) > maxAddressFile {
		return errTooLarge
	}
	for l := range strings.Lines(string(b)) {
		for a := range addresses(strings.TrimRight(l, "\r\n")) {
			if a != "<>" && !add(a) {
				return nil
			}
		}
	}
	return nil
}
