package ui

import (
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/restore"
)

// Head begins every JSON line.
type Head struct {
	V    int    `json:"v"`
	Type string `json:"type"`
}

func head(t string) Head { return Head{V: 1, Type: t} }

// Path is a file's path in JSON: as text where it is UTF-8, else as base64
// under another key.
type Path struct {
	File    *string `json:"file,omitempty"`
	FileB64 string  `json:"file_b64,omitempty"`
}

// PathOf makes a Path of raw bytes.
func PathOf(file string) Path {
	if utf8.ValidString(file) {
		return Path{File: &file}
	}
	return Path{FileB64: base64.StdEncoding.EncodeToString([]byte(file))}
}

// RawMailbox accompanies a mailbox' name that is not UTF-8.
func rawName(s string) string {
	if utf8.ValidString(s) {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(s))
}

// Finding is the line of one finding.
type Finding struct {
	Head
	Store      string `json:"store"`
	Mailbox    string `json:"mailbox"`
	MailboxB64 string `json:"mailbox_b64,omitempty"` // where the name is not UTF-8
	Folder     string `json:"folder"`
	Path
	Kind      manifest.Kind      `json:"kind"`
	Certainty manifest.Certainty `json:"certainty"`
	Detail    string             `json:"detail"`
}

// FindingOf makes the line of a finding.
func FindingOf(f *manifest.Finding) Finding {
	return Finding{
		Head: head("finding"), Store: f.Store, Mailbox: f.Mailbox, MailboxB64: rawName(f.Mailbox), Folder: f.Folder,
		Path: PathOf(f.File), Kind: f.Kind, Certainty: f.Certainty, Detail: f.Detail,
	}
}

// Unknown is one reason why a run is not complete.
type Unknown struct {
	Head
	Store      string `json:"store,omitempty"`
	Mailbox    string `json:"mailbox,omitempty"`
	MailboxB64 string `json:"mailbox_b64,omitempty"`
	Detail     string `json:"detail"`
	Messages   int64  `json:"messages,omitempty"`
}

// UnknownOf makes the line of a reason; store and mailbox are "" where it is
// not about one.
func UnknownOf(store, mailbox, why string, messages int64) Unknown {
	return Unknown{Head: head("unknown"), Store: store, Mailbox: mailbox, MailboxB64: rawName(mailbox), Detail: why, Messages: messages}
}

// Copy is one store's side of a difference.
type Copy struct {
	Path
	Digest   manifest.Digest `json:"digest"`
	Size     int64           `json:"size"`
	Flags    string          `json:"flags"`
	Keywords []string        `json:"keywords"`
	UID      uint32          `json:"uid"`
	Date     time.Time       `json:"date"`
}

// unknownCopy is a copy that could not be looked at.
type unknownCopy struct {
	Unknown string `json:"unknown"`
}

// folderCopy is a folder as a whole: folder_missing, uidvalidity.
type folderCopy struct {
	UIDValidity uint32   `json:"uidvalidity"`
	UIDNext     uint32   `json:"uidnext"`
	Keywords    []string `json:"keywords"`
}

// mailboxCopy is a mailbox as a whole: mailbox_missing, subscriptions.
type mailboxCopy struct {
	Folders       int      `json:"folders"`
	Subscriptions []string `json:"subscriptions"`
}

// Difference is the line of one difference.
type Difference struct {
	Head
	Mailbox    string         `json:"mailbox"`
	MailboxB64 string         `json:"mailbox_b64,omitempty"`
	Folder     string         `json:"folder"`
	Kind       compare.Kind   `json:"kind"`
	Copies     map[string]any `json:"copies"` // store → null, Copy or unknownCopy
	Good       []string       `json:"good"`
	Reason     string         `json:"reason"`
	Messages   *int64         `json:"messages,omitempty"`
}

// DifferenceOf makes the line of a difference between the named stores.
func DifferenceOf(d *compare.Difference, stores []string) Difference {
	l := Difference{
		Head: head("difference"), Mailbox: d.Mailbox, MailboxB64: rawName(d.Mailbox), Folder: d.Folder,
		Kind: d.Kind, Copies: make(map[string]any, len(stores)), Good: make([]string, 0, len(d.Good)), Reason: d.Reason,
	}
	for i, name := range stores {
		l.Copies[name] = nil
		if i >= len(d.Copies) {
			continue
		}
		switch c := d.Copies[i]; {
		case c.Unknown != "":
			l.Copies[name] = unknownCopy{c.Unknown}
		case c.Entry != nil:
			l.Copies[name] = copyOf(c.Entry)
		case c.Folder != nil:
			l.Copies[name] = folderCopy{UIDValidity: c.Folder.Validity(), UIDNext: c.Folder.UIDNext, Keywords: words(c.Folder.Keywords)}
		case c.Mailbox != nil:
			l.Copies[name] = mailboxCopy{Folders: len(c.Mailbox.Folders), Subscriptions: words(c.Mailbox.Subscriptions)}
		}
	}
	for _, g := range d.Good {
		l.Good = append(l.Good, stores[g])
	}
	if d.Kind == compare.FolderMissing || d.Kind == compare.MailboxMissing {
		l.Messages = &d.Messages
	}
	return l
}

func copyOf(e *manifest.Entry) Copy {
	held := e.Digest
	if e.Good || !e.Held.IsZero() {
		held = e.Held // and not what was recorded while the message was sound
	}
	return Copy{
		Path: PathOf(e.File()), Digest: held, Size: e.Size, Flags: e.Flags,
		Keywords: words(e.Keywords), UID: e.UID, Date: e.Date(),
	}
}

// words is a list that is never null.
func words(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Action is the line of one action.
type Action struct {
	Head
	Op         restore.Op `json:"op"`
	Mailbox    string     `json:"mailbox"`
	MailboxB64 string     `json:"mailbox_b64,omitempty"`
	Folder     string     `json:"folder"`
	Path
	Digest manifest.Digest `json:"digest"`
	From   string          `json:"from"`
	State  restore.State   `json:"state"`
	Detail string          `json:"detail"`
}

// ActionOf makes the line of an action.
func ActionOf(a *restore.Action) Action {
	g := a.Post
	if len(g.Name) == 0 {
		g = a.Pre
	}
	file := ""
	if len(g.Name) > 0 {
		file = string(g.Name)
		if g.Sub != 0 {
			file = g.Sub.String() + "/" + file
		}
	}
	return Action{
		Head: head("action"), Op: a.Op, Mailbox: a.Ref.Mailbox, MailboxB64: rawName(a.Ref.Mailbox), Folder: a.Ref.Folder,
		Path: PathOf(file), Digest: g.Digest, From: FromText(a.From), State: a.State, Detail: a.Detail,
	}
}

// Summary is the last line of every run.
type Summary struct {
	Head
	Command  string           `json:"command"`
	Run      string           `json:"run"`
	Complete bool             `json:"complete"`
	Exit     int              `json:"exit"`
	Seconds  float64          `json:"seconds"`
	Log      string           `json:"log,omitempty"` // that report takes
	Counts   map[string]int64 `json:"counts"`
	Error    string           `json:"error,omitempty"`
	Hint     string           `json:"hint,omitempty"`
}

// SummaryOf fills the head of a summary.
func SummaryOf(command string) Summary {
	return Summary{Head: head("summary"), Command: command, Counts: map[string]int64{}}
}

// Text returns the path for a person, before escaping.
func (p *Path) Text() string {
	if p.File != nil {
		return *p.File
	}
	raw, err := base64.StdEncoding.DecodeString(p.FileB64)
	if err != nil {
		return p.FileB64
	}
	return string(raw)
}

// FromText writes where an action's bytes come from: a store, or an archive
// and the position in it.
func FromText(from string) string {
	name, position, ok := strings.Cut(from, "\x00")
	if !ok || position == "" {
		return name
	}
	return name + " " + position
}
