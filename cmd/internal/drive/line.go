package drive

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Line is one JSON object of the output. Fields that its type does not have
// are zero. The numbers of an account are in Sums.
type Line struct {
	V    int    `json:"v"`
	Type string `json:"type"`

	Store     string `json:"store"`
	Mailbox   string `json:"mailbox"`
	Folder    string `json:"folder"`
	File      string `json:"file"`
	FileB64   string `json:"file_b64"`
	Kind      string `json:"kind"`
	Certainty string `json:"certainty"`
	Detail    string `json:"detail"`

	Copies   map[string]json.RawMessage `json:"copies"`
	Good     []string                   `json:"good"`
	Reason   string                     `json:"reason"`
	Messages int64                      `json:"messages"`

	Op     string `json:"op"`
	Digest string `json:"digest"`
	From   string `json:"from"`
	State  string `json:"state"`

	Source    string  `json:"source"`
	Recipient string  `json:"recipient"`
	MessageID *string `json:"message_id"`
	Outcome   string  `json:"outcome"`
	Match     string  `json:"match"`

	Command  string           `json:"command"`
	Run      string           `json:"run"`
	Complete bool             `json:"complete"`
	Exit     int              `json:"exit"`
	Seconds  float64          `json:"seconds"`
	Counts   map[string]int64 `json:"counts"`
	Error    string           `json:"error"`
	Hint     string           `json:"hint"`

	Sums   map[string]int64 `json:"-"` // account: archived, present, delivered …
	Closed bool             `json:"-"`
	Raw    string           `json:"-"`
}

// Name returns the file's path as raw bytes.
func (l *Line) Name() string {
	if l.FileB64 == "" {
		return l.File
	}
	p, err := base64.StdEncoding.DecodeString(l.FileB64)
	if err != nil {
		return l.FileB64
	}
	return string(p)
}

// ParseLine reads one line of output, strictly: one object with v and type.
func ParseLine(p []byte) (Line, error) {
	var l Line
	l.Raw = string(p)
	d := json.NewDecoder(bytes.NewReader(p))
	var err error
	if bytes.Contains(p, []byte(`"type":"account"`)) || bytes.Contains(p, []byte(`"type": "account"`)) {
		err = l.account(d)
	} else {
		err = d.Decode(&l)
	}
	switch {
	case err != nil:
		return l, fmt.Errorf("output line %.200q: %w", p, err)
	case d.More():
		return l, fmt.Errorf("output line %.200q holds more than one object", p)
	case l.V != 1 || l.Type == "":
		return l, fmt.Errorf("output line %.200q has no \"v\":1 or no type", p)
	}
	return l, nil
}

// account reads an account line: its numbers share names with fields of other
// lines.
func (l *Line) account(d *json.Decoder) error {
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return err
	}
	l.Sums = map[string]int64{}
	for k, v := range m {
		switch x := v.(type) {
		case float64:
			if k == "v" {
				l.V = int(x)
				continue
			}
			l.Sums[k] = int64(x)
		case string:
			switch k {
			case "type":
				l.Type = x
			case "mailbox":
				l.Mailbox = x
			}
		case bool:
			if k == "closed" {
				l.Closed = x
			}
		}
	}
	return nil
}
