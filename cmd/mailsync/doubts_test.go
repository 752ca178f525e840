package main

import (
	"os"
	"path/filepath"
	"testing"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
)

// A mailbox is doubted from the first finding of damage until it was read
// whole and found clean, over runs.
func TestDoubts(t *testing.T) {
	dir := t.TempDir()
	a := newApp(nil, std{getenv: func(string) string { return "" }}, nil)
	a.flags.state, a.cfg = dir, &config.Config{}
	store := &config.Store{Name: "primary", Path: "/srv/mail"}
	open := func() *doubts {
		t.Helper()
		d, err := a.doubts(store)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	all := func(string) bool { return true }
	d := open()
	if d.doubted("a") {
		t.Error("doubted without a reason")
	}
	d.note(&manifest.Finding{Mailbox: "a\xff", Kind: manifest.NULFilled})
	d.note(&manifest.Finding{Mailbox: "b", Kind: manifest.Missing})
	d.note(&manifest.Finding{Mailbox: "c", Kind: manifest.StaleTmp})
	if err := d.save(none); err != nil {
		t.Fatal(err)
	}
	d = open()
	if !d.doubted("a\xff") || !d.doubted("b") || d.doubted("c") {
		t.Errorf("doubted: %v", d.old)
	}
	first := d.since
	if first.IsZero() {
		t.Error("nobody knows since when")
	}
	// A look that has read b only, and found it clean.
	if err := d.save(func(m string) bool { return m == "b" }); err != nil {
		t.Fatal(err)
	}
	if d = open(); !d.doubted("a\xff") || d.doubted("b") || !d.since.Equal(first) {
		t.Errorf("doubted: %v since %s, at first %s", d.old, d.since, first)
	}
	if err := d.save(all); err != nil {
		t.Fatal(err)
	}
	if d = open(); d.doubted("a\xff") || !d.since.IsZero() {
		t.Errorf("doubted: %v", d.old)
	}
	// What cannot be read is an error, not an empty list.
	for _, text := range []string{"", "{", `{"v":2}`, `{"v":1,"mailboxes":[7]}`} {
		if err := os.WriteFile(filepath.Join(dir, "doubts", key(store)+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := a.doubts(store); err == nil || errorCode(err) != exitData || ui.Hint(err) == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}
