package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

//go:embed testdata/*.eml
var sample embed.FS

// letter is one embedded message.
type letter struct {
	name string
	to   string // its recipient, and the name of the mailbox
	date time.Time
	data []byte
}

// letters reads the embedded messages, oldest first.
func letters() (map[string]letter, []string, error) {
	files, err := sample.ReadDir("testdata")
	if err != nil {
		return nil, nil, err
	}
	all := map[string]letter{}
	var order []string
	for _, f := range files {
		data, err := sample.ReadFile("testdata/" + f.Name())
		if err != nil {
			return nil, nil, err
		}
		m, err := mail.ReadMessage(bytes.NewReader(data))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		to, err := mail.ParseAddress(m.Header.Get("To"))
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		date, err := m.Header.Date()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		l := letter{name: strings.TrimSuffix(f.Name(), ".eml"), to: to.Address, date: date, data: data}
		all[l.name] = l
		order = append(order, l.name)
	}
	slices.SortFunc(order, func(a, b string) int { return all[a].date.Compare(all[b].date) })
	return all, order, nil
}

// file is the name under which a server has stored a letter: with its size, its
// size with CRLF line ends, and its flags.
func (l *letter) file(flags string) string {
	n := len(l.data)
	return fmt.Sprintf("%d.M%dP1.mail,S=%d,W=%d:2,%s", l.date.Unix(), l.date.Unix()%1e6, n, n+bytes.Count(l.data, []byte("\n")), flags)
}

// deliver stores a letter in a mailbox, as a server does.
func (l *letter) deliver(store, flags string) error {
	box := filepath.Join(store, l.to)
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(box, sub), 0o700); err != nil {
			return err
		}
	}
	path := filepath.Join(box, "cur", l.file(flags))
	if err := os.WriteFile(path, l.data, 0o600); err != nil {
		return err
	}
	return os.Chtimes(path, l.date, l.date)
}

// uidlist writes the server's list of UIDs of a mailbox, so that clients know
// its messages by number.
func uidlist(box string) error {
	names, err := filepath.Glob(filepath.Join(box, "cur", "*"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "3 V1794816000 N%d G0123456789abcdef0123456789abcdef\n", len(names)+1)
	for i, n := range names {
		base, _, _ := strings.Cut(filepath.Base(n), ":")
		fmt.Fprintf(&b, "%d :%s\n", i+1, base)
	}
	return os.WriteFile(filepath.Join(box, "dovecot-uidlist"), []byte(b.String()), 0o600)
}

// archive appends a letter to the gateway's mbox, with the envelope that the
// gateway knew.
func (l *letter) archive(w *bytes.Buffer) {
	at := l.date.UTC()
	fmt.Fprintf(w, "From sender@example.org %s\n", at.Format("Mon Jan _2 15:04:05 2006"))
	fmt.Fprintf(w, "X-Envelope-To: %s\n", l.to)
	fmt.Fprintf(w, "Received: from relay.example.org (relay.example.org [192.0.2.7])\n\tby gateway.example.org with ESMTP id %x;\n\t%s\n", at.Unix(), at.Format(time.RFC1123Z))
	for line := range bytes.Lines(l.data) {
		if bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			w.WriteByte('>')
		}
		w.Write(line)
	}
	w.WriteByte('\n')
}

// estate is the demo's two replicas and the gateway's archive.
type estate struct {
	dir     string
	letters map[string]letter
}

// flagsOf are the flags of the delivered letters; letters that are not here
// arrive in the gap and reach the gateway only.
var flagsOf = map[string]string{
	"welcome": "S", "tides": "RS", "minutes": "S", "invoice": "FS", "soup": "S", "photo": "", "list": "",
}

// build makes the estate as it was on Saturday evening.
func build(dir string) (*estate, error) {
	all, order, err := letters()
	if err != nil {
		return nil, err
	}
	e := &estate{dir: dir, letters: all}
	var mbox bytes.Buffer
	for _, name := range order {
		l := all[name]
		l.archive(&mbox)
		flags, delivered := flagsOf[name]
		if !delivered {
			continue
		}
		for _, store := range []string{"primary", "spare"} {
			if err := l.deliver(filepath.Join(dir, store), flags); err != nil {
				return nil, err
			}
		}
	}
	for _, store := range []string{"primary", "spare"} {
		boxes, err := os.ReadDir(filepath.Join(dir, store))
		if err != nil {
			return nil, err
		}
		for _, b := range boxes {
			if err := uidlist(filepath.Join(dir, store, b.Name())); err != nil {
				return nil, err
			}
		}
	}
	return e, os.WriteFile(filepath.Join(dir, "gateway.mbox"), mbox.Bytes(), 0o600)
}

// path is where the primary keeps a letter.
func (e *estate) path(name string) string {
	l := e.letters[name]
	return filepath.Join(e.dir, "primary", l.to, "cur", l.file(flagsOf[name]))
}

// powerCut does to the primary what power cuts do: a file of NULs with the
// right size, a file that ends in the middle, a file that is not there.
func (e *estate) powerCut() error {
	damage := func(name string, data []byte) error {
		path := e.path(name)
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
		return os.Chtimes(path, st.ModTime(), st.ModTime())
	}
	tides, minutes := e.letters["tides"], e.letters["minutes"]
	return errors.Join(
		damage("tides", make([]byte, len(tides.data))),
		damage("minutes", minutes.data[:len(minutes.data)/2]),
		os.Remove(e.path("soup")),
	)
}

// whole tells whether the primary holds every letter byte for byte, with its
// date: those that were delivered under the name that they had.
func (e *estate) whole(names ...string) error {
	for _, name := range names {
		l := e.letters[name]
		st, err := os.Stat(e.path(name))
		if err != nil {
			return err
		}
		data, err := os.ReadFile(e.path(name))
		if err != nil {
			return err
		}
		if !bytes.Equal(data, l.data) || !st.ModTime().Equal(l.date) {
			return fmt.Errorf("%s is not what it was", name)
		}
	}
	return nil
}

// holds counts the files of a mailbox whose content is the letter's, apart from
// the lines that the gateway put in front.
func (e *estate) holds(name string) (int, error) {
	l := e.letters[name]
	n := 0
	err := filepath.WalkDir(filepath.Join(e.dir, "primary", l.to), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.HasSuffix(data, l.data) {
			n++
		}
		return err
	})
	return n, err
}
