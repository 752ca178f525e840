package manifest

import "mailsync/manifest/pack"

// sums are what is told of the entries as a whole.
type sums struct {
	messages, bytes                  int64
	damaged, suspect, unread, opaque int64
	checked                          int64 // oldest; 0 where one was never read, or there is none
	absences                         int64
	content, state                   Digest
}

func (s *sums) count(e *Entry) {
	if s.messages == 0 || e.Checked < s.checked {
		s.checked = e.Checked
	}
	s.messages++
	s.bytes += e.Size
	switch e.Status {
	case Damaged:
		s.damaged++
	case Suspect:
		s.suspect++
	case Unread:
		s.unread++
	}
	if e.Opaque {
		s.opaque++
	}
}

func (s *sums) numbers() [8]*int64 {
	return [...]*int64{
		&s.messages, &s.bytes, &s.damaged, &s.suspect,
		&s.unread, &s.opaque, &s.checked, &s.absences,
	}
}

func (s *sums) append(b []byte) []byte {
	for _, p := range s.numbers() {
		b = pack.Int(b, *p)
	}
	return b
}

func (c *cursor) sums(s *sums) {
	for _, p := range s.numbers() {
		*p = c.Int()
	}
}

// appendRoots writes both roots, or nothing where they are not known.
func appendRoots(raw []byte, content, state Digest) []byte {
	if content.IsZero() {
		return raw
	}
	return append(append(raw, content.Sum[:]...), state.Sum[:]...)
}

// readSums reads the sums of an end mark.
func readSums(b block, alg Alg) (sums, error) {
	var s sums
	c, raw := cursorOver(b.data), cursorOver(b.raw)
	c.sums(&s)
	if len(raw.B) > 0 {
		s.content, s.state = raw.digest(alg), raw.digest(alg)
	}
	if !c.Done() || !raw.Done() {
		return s, corrupt("sums of a mailbox")
	}
	return s, nil
}
