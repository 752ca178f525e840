package main

import (
	"fmt"
	"strings"

	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
)

// finding prints one finding: a line of what and where, a line of why.
func (a *app) finding(f *manifest.Finding) {
	a.out.Record(ui.FindingOf(f))
	if a.out.JSON() {
		return
	}
	word := f.Certainty.String()
	switch {
	case f.Kind.Class() == manifest.Disorder:
		if a.out.Quiet() {
			return
		}
		word = a.out.Style.Dim(pad("disorder", 10))
	case f.Certainty == manifest.Proof:
		word = a.out.Style.Red(pad(word, 10))
	default:
		word = a.out.Style.Yellow(pad(word, 10))
	}
	a.out.Print(fmt.Sprintf("%s %s  %s", word, pad(f.Kind.String(), 15), where(f.Mailbox, f.Folder, f.File)))
	if f.Detail != "" {
		a.out.Print(strings.Repeat(" ", 11) + a.out.Style.Dim(ui.EscapeText(f.Detail)))
	}
}

// where writes a place in a store: mailbox, folder, file.
func where(mailbox, folder, file string) string {
	parts := []string{ui.Name(mailbox)}
	if folder != "" {
		parts = append(parts, ui.Name(folder))
	}
	if file != "" {
		parts = append(parts, ui.Name(file))
	}
	return strings.Join(parts, "  ")
}

func pad(s string, width int) string {
	if len(s) >= width {
		return s
	}
	return s + strings.Repeat(" ", width-len(s))
}
