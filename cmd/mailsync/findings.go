package main

import (
	"fmt"
	"maps"
	"slices"
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
	if f.Kind.Class() == manifest.Disorder && a.out.Quiet() || !a.show(f.Kind.String()) {
		return
	}
	switch {
	case f.Kind.Class() == manifest.Disorder:
		word = a.out.Style.Dim(pad("disorder", 10))
	case f.Certainty == manifest.Proof:
		word = a.out.Style.Red(pad(word, 10))
	default:
		word = a.out.Style.Yellow(pad(word, 10))
	}
	a.out.Text(11, fmt.Sprintf("%s %s  %s", word, pad(f.Kind.String(), 15), where(f.Mailbox, f.Folder, f.File)))
	if f.Detail != "" {
		a.out.Text(0, strings.Repeat(" ", 11)+a.out.Style.Dim(ui.EscapeText(f.Detail)))
	}
}

// manyLines is how many lines of one kind a person is shown without --verbose.
const manyLines = 40

// show tells whether one more line of a kind is worth showing to a person; those
// that are not are counted for tellMore.
func (a *app) show(kind string) bool {
	if a.shown == nil {
		a.shown = map[string]int64{}
	}
	a.shown[kind]++
	return a.out.Verbose() || a.shown[kind] <= manyLines
}

// tellMore says how many lines were not shown.
func (a *app) tellMore() {
	if a.out.JSON() || a.out.Verbose() {
		return
	}
	for _, kind := range slices.Sorted(maps.Keys(a.shown)) {
		if n := a.shown[kind] - manyLines; n > 0 {
			a.out.Print("… and " + ui.Count(n) + " more " + kind + "; -v lists all of them")
		}
	}
	clear(a.shown)
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
