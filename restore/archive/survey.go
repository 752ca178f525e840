package archive

import "time"

// Survey is what an archive holds as a whole, drawn up before anything is
// delivered. Times are arrivals.
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
}

// Gap is a stretch without any archived message that is far longer than usual
// for this archive.
type Gap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}
