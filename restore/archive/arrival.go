package archive

import (
	"strconv"
	"strings"
	"time"
)

// arrival settles when a message arrived: the container's own time before the
// file name's, before the modification time, before the topmost Received,
// before the Date field.
func (p *pass) arrival(in *input, m *Message) {
	if m.ArrivalFrom == ByContainer && !m.Arrival.IsZero() {
		return
	}
	if m.ArrivalFrom == NoTime && m.Format == "maildir" {
		if t, ok := maildirTime(in.name); ok {
			m.Arrival, m.ArrivalFrom = t, ByName
			return
		}
	}
	if m.ArrivalFrom == ByName {
		return
	}
	// A file of many messages has one modification time for all of them: it
	// says nothing of any.
	if m.Pos.Offset < 0 && !in.mtime.IsZero() && in.mtime.Unix() > 0 {
		m.Arrival, m.ArrivalFrom = in.mtime.UTC(), ByMTime
		return
	}
	var date string
	for f := range fields(m.content.head()) {
		switch {
		case f.is("Received"):
			s := f.text()
			if i := strings.LastIndexByte(s, ';'); i >= 0 {
				if t, ok := ParseDate(s[i+1:]); ok {
					m.Arrival, m.ArrivalFrom = t.UTC(), ByReceived
					return
				}
			}
		case f.is("Date") && date == "":
			date = f.text()
		}
	}
	if t, ok := ParseDate(date); ok {
		m.Arrival, m.ArrivalFrom = t.UTC(), ByDateHeader
	}
}

// maildirTime reads the delivery time that starts a Maildir file name.
func maildirTime(name string) (time.Time, bool) {
	s, _, ok := strings.Cut(name, ".")
	if !ok || len(s) < 8 || len(s) > 11 {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}, false
	}
	return time.Unix(n, 0).UTC(), true
}

// receivedZone is the zone of the topmost Received, for "From " lines without one.
func receivedZone(head []byte) *time.Location {
	for f := range fields(head) {
		if f.is("Received") {
			s := f.text()
			if i := strings.LastIndexByte(s, ';'); i >= 0 {
				if t, ok := ParseDate(s[i+1:]); ok {
					return t.Location()
				}
			}
			return nil
		}
	}
	return nil
}
