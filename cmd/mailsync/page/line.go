package page

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"mailsync/cmd/mailsync/ui"
)

// Start opens the log of a run: what was asked for, by which binary, where.
// It is no part of --json.
type Start struct {
	ui.Head
	Command string    `json:"command"`
	Args    []string  `json:"args"`
	Version string    `json:"version"`
	Host    string    `json:"host"`
	Began   time.Time `json:"began"`
}

// Store is a store that the run looked at. It is no part of --json.
type Store struct {
	ui.Head
	Store    string    `json:"store"`
	Path     string    `json:"path"`
	Role     string    `json:"role"`
	Device   string    `json:"device"`
	Recorded time.Time `json:"recorded,omitzero"` // when it was last recorded whole
	Offline  bool      `json:"offline"`           // taken from its record
}

// Arrivals are the messages of a store that arrived in one hour, as its record
// tells. It is no part of --json.
type Arrivals struct {
	ui.Head
	Store    string    `json:"store"`
	Start    time.Time `json:"start"`
	Messages int64     `json:"messages"`
}

// Device is how a device answered, as docs/json.md has it.
type Device struct {
	Device    string
	Reads     int64
	Median    float64 `json:"median_ms"`
	P99       float64 `json:"p99_ms"`
	BackedOff int64   `json:"backed_off"`
	Slow      bool
}

// The lines of docs/json.md, as far as a page shows them.
type (
	finding struct {
		Store, Mailbox, Folder, File, Kind, Certainty, Detail string
		FileB64                                               string `json:"file_b64"`
	}
	difference struct {
		Mailbox, Folder, Kind, Reason string
		Copies                        map[string]json.RawMessage
		Good                          []string
		Messages                      int64
	}
	action struct {
		Op, Mailbox, Folder, File, From, State, Detail string
		FileB64                                        string `json:"file_b64"`
	}
	delivery struct {
		Recipient, Mailbox, Outcome, Detail string
		MessageID                           string `json:"message_id"`
		Date                                time.Time
	}
	account struct {
		Mailbox                                         string
		Archived, Present, Delivered, Deleted, Filtered int64
		Duplicate, Ambiguous, Failed, Unexplained       int64
		WouldDeliver                                    int64 `json:"would_deliver"`
		Closed                                          bool
	}
	sending struct {
		Sender, Recipient, Service, Outcome, Detail string
		MessageID                                   string `json:"message_id"`
		Queue                                       string `json:"queue_id"`
		Date                                        time.Time
	}
	service struct {
		Service                                         string
		Archived, Sent, Delayed, Bounced, Expired, Lost int64
		Closed                                          bool
	}
	survey struct {
		Messages, Bytes int64
		First, Last     time.Time
	}
	window struct {
		Since, Until time.Time
		All, Found   bool
		Reason       string
	}
	hour struct {
		Start                              time.Time
		Archived, Present, Absent, Unknown int64
	}
	stage struct {
		Name, Known string
	}
	summary struct {
		Command, Run, Error, Hint string
		Exit                      int
		Seconds                   float64
		Counts                    map[string]int64
	}
)

// fileName is a file's path whichever way it came.
func fileName(file, b64 string) string {
	if file != "" || b64 == "" {
		return file
	}
	raw, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		return b64
	}
	return string(raw)
}
