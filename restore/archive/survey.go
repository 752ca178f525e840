package archive

import (
	"slices"
	"time"

	"mailsync/manifest"
)

// Survey is what an archive holds as a whole, drawn up before anything is
// delivered. Times are arrivals. The zero value is ready; Add each item, then
// End.
type Survey struct {
	Messages     int64            `json:"messages"`
	Bytes        int64            `json:"bytes"`
	First        time.Time        `json:"first,omitzero"`
	Last         time.Time        `json:"last,omitzero"`
	NoTime       int64            `json:"no_time"` // messages whose arrival nothing tells
	NoMessageID  int64            `json:"no_message_id"`
	NoRecipients int64            `json:"no_recipients"`
	Truncated    int64            `json:"truncated"` // archive_truncated findings
	Refused      int64            `json:"refused"`   // archive_refused findings
	Formats      map[string]int64 `json:"formats"`   // messages by format
	Found        map[string]int64 `json:"found"`     // messages by where the envelope was found
	Gaps         []Gap            `json:"gaps"`      // longest first, at most ten

	hours map[int64]struct{}
}

// Gap is a stretch without any archived message that is far longer than usual
// for this archive.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Add counts one item of the archive's stream.
func (s *Survey) Add(it Item) {
	if s.Formats == nil {
		s.Formats, s.Found, s.hours = map[string]int64{}, map[string]int64{}, map[int64]struct{}{}
	}
	if f := it.Finding; f != nil {
		switch f.Kind {
		case manifest.ArchiveTruncated:
			s.Truncated++
		case manifest.ArchiveRefused:
			s.Refused++
		}
		return
	}
	m := it.Message
	s.Messages++
	s.Bytes += m.Size()
	s.Formats[m.Format]++
	if len(m.Recipients) == 0 {
		s.NoRecipients++
	} else {
		s.Found[m.Recipients[0].How.String()]++
	}
	if !m.hasMessageID() {
		s.NoMessageID++
	}
	if m.Arrival.IsZero() {
		s.NoTime++
		return
	}
	if s.First.IsZero() || m.Arrival.Before(s.First) {
		s.First = m.Arrival
	}
	if m.Arrival.After(s.Last) {
		s.Last = m.Arrival
	}
	// An hour is fine enough for gaps, and few: a million are 114 years.
	if h := m.Arrival.Unix() / 3600; len(s.hours) < 1e6 {
		s.hours[h] = struct{}{}
	}
}

// End computes the gaps: stretches of at least three hours that are longer than
// ten times the median distance of hours with mail.
func (s *Survey) End() {
	s.Gaps = []Gap{}
	hours := make([]int64, 0, len(s.hours))
	for h := range s.hours {
		hours = append(hours, h)
	}
	slices.Sort(hours)
	var d []int64
	for i := 1; i < len(hours); i++ {
		d = append(d, hours[i]-hours[i-1])
	}
	if len(d) == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(d))
	limit := max(3, 10*sorted[len(sorted)/2])
	for i, n := range d {
		if n >= limit {
			s.Gaps = append(s.Gaps, Gap{
				From: time.Unix((hours[i]+1)*3600, 0).UTC(),
				To:   time.Unix(hours[i+1]*3600, 0).UTC(),
			})
		}
	}
	slices.SortStableFunc(s.Gaps, func(a, b Gap) int { return int(b.To.Sub(b.From)/time.Hour) - int(a.To.Sub(a.From)/time.Hour) })
	if len(s.Gaps) > 10 {
		s.Gaps = s.Gaps[:10]
	}
}

func (m *Message) hasMessageID() bool {
	for f := range fields(m.content.head()) {
		if f.is("Message-ID") {
			return f.text() != ""
		}
	}
	return false
}
