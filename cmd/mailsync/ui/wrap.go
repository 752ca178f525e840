package ui

import (
	"strings"

	"github.com/rivo/uniseg"
)

// wrap breaks a line that is wider than a terminal between words. What follows
// the first break is indented by hang columns, or as the line itself is.
// Colours count for nothing.
func wrap(line string, width, hang int) string {
	if width < 20 || printed(line) <= width {
		return line
	}
	indent := len(line) - len(strings.TrimLeft(line, " "))
	hang = min(max(hang, indent), width/2)
	var b strings.Builder
	b.WriteString(line[:indent])
	at := indent
	for i, word := range splitWords(line[indent:]) {
		text := strings.TrimLeft(word, " ")
		space := len(word) - len(text)
		w := printed(text)
		switch {
		case i > 0 && at+space+w > width:
			b.WriteString("\n" + strings.Repeat(" ", hang))
			at = hang
		default:
			b.WriteString(word[:space])
			at += space
		}
		b.WriteString(text)
		at += w
	}
	return b.String()
}

// splitWords cuts a line before its spaces: each word but the first begins with
// those that stand before it.
func splitWords(s string) []string {
	var words []string
	for s != "" {
		n := len(s) - len(strings.TrimLeft(s, " "))
		if end := strings.IndexByte(s[n:], ' '); end >= 0 {
			n += end
		} else {
			n = len(s)
		}
		words = append(words, s[:n])
		s = s[n:]
	}
	return words
}

// printed is the width of a text on a terminal, colours left out.
func printed(s string) int {
	for {
		at := strings.Index(s, "\x1b[")
		if at < 0 {
			return uniseg.StringWidth(s)
		}
		end := strings.IndexByte(s[at:], 'm')
		if end < 0 {
			return uniseg.StringWidth(s)
		}
		s = s[:at] + s[at+end+1:]
	}
}

// narrowest is how far a column of text is cut to make a table fit.
const narrowest = 12

// fit cuts the widest columns of text in the middle until the table is no wider
// than width. Columns of numbers stay.
func (t Table) fit(widths []int, right []bool, width int) {
	total := -2
	for _, w := range widths {
		total += w + 2
	}
	for total > width {
		widest := -1
		for i, w := range widths {
			if !right[i] && w > narrowest && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break // as narrow as it gets
		}
		widths[widest]--
		total--
	}
	for _, row := range t[1:] {
		for i := range row {
			row[i] = shorten(row[i], widths[i])
		}
	}
}

// shorten cuts a text in its middle. The end tells more than the middle does:
// names of files and mailboxes differ there.
func shorten(s string, width int) string {
	if uniseg.StringWidth(s) <= width || width < 3 || strings.Contains(s, "\x1b") {
		return s
	}
	var parts []string
	for g := uniseg.NewGraphemes(s); g.Next(); {
		parts = append(parts, g.Str())
	}
	head, tail, left := "", "", width-1
	for i, j := 0, len(parts)-1; i <= j; {
		front := uniseg.StringWidth(head) <= uniseg.StringWidth(tail)
		p := parts[j]
		if front {
			p = parts[i]
		}
		if left -= uniseg.StringWidth(p); left < 0 {
			break
		}
		if front {
			head, i = head+p, i+1
		} else {
			tail, j = p+tail, j-1
		}
	}
	return head + "…" + tail
}
