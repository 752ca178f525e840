package ui

import (
	"fmt"
	"strings"

	"github.com/rivo/uniseg"
)

// When says when something is shown: always, never, or as the terminal says.
type When string

// The choices of --color and --progress.
const (
	Auto   When = "auto"
	Always When = "always"
	Never  When = "never"
)

// Set implements pflag.Value.
func (w *When) Set(s string) error {
	switch v := When(s); v {
	case Auto, Always, Never:
		*w = v
		return nil
	}
	return fmt.Errorf("%q is none of auto, always, never", s)
}

// String implements pflag.Value.
func (w *When) String() string { return string(*w) }

// Type implements pflag.Value.
func (*When) Type() string { return "auto|always|never" }

// Style paints words where colours are wanted.
type Style struct{ on bool }

func (s Style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold is for what a reader should see first.
func (s Style) Bold(t string) string { return s.paint("1", t) }

// Dim is for what may be skipped.
func (s Style) Dim(t string) string { return s.paint("2", t) }

// Red is for damage and failure.
func (s Style) Red(t string) string { return s.paint("31", t) }

// Yellow is for suspicion and for what is not known.
func (s Style) Yellow(t string) string { return s.paint("33", t) }

// Green is for what is proven good or done.
func (s Style) Green(t string) string { return s.paint("32", t) }

// Cyan is for commands that can be pasted.
func (s Style) Cyan(t string) string { return s.paint("36", t) }

// Table is rows of cells; the first row is the header. Columns whose header
// begins with '>' are aligned right. Cells must be escaped already.
type Table [][]string

// WithoutZeros leaves out the columns of numbers that are 0 in every row, and
// those that are empty.
func (t Table) WithoutZeros() Table {
	out := make(Table, len(t))
	for i, h := range t[0] {
		zero := true
		for _, row := range t[1:] {
			zero = zero && (row[i] == "" || row[i] == "0" && strings.HasPrefix(h, ">"))
		}
		for n := range t {
			if !zero {
				out[n] = append(out[n], t[n][i])
			}
		}
	}
	return out
}

// Lines renders the table, two spaces between columns. Where it is wider than
// width (0: any width will do), long texts are cut in the middle.
func (t Table) Lines(s Style, width int) []string {
	if len(t) == 0 {
		return nil
	}
	widths := make([]int, len(t[0]))
	right := make([]bool, len(t[0]))
	for i, h := range t[0] {
		right[i] = strings.HasPrefix(h, ">")
		t[0][i] = strings.TrimPrefix(h, ">")
	}
	for _, row := range t {
		for i, c := range row {
			widths[i] = max(widths[i], uniseg.StringWidth(c))
		}
	}
	if width > 0 {
		t.fit(widths, right, width)
	}
	lines := make([]string, 0, len(t))
	for n, row := range t {
		var b strings.Builder
		for i, c := range row {
			pad := strings.Repeat(" ", max(0, widths[i]-uniseg.StringWidth(c)))
			if i > 0 {
				b.WriteString("  ")
			}
			if right[i] {
				b.WriteString(pad)
			}
			b.WriteString(c)
			if !right[i] {
				b.WriteString(pad)
			}
		}
		line := strings.TrimRight(b.String(), " ")
		if n == 0 {
			line = s.Dim(line)
		}
		lines = append(lines, line)
	}
	return lines
}
