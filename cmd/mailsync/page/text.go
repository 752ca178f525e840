package page

import (
	"fmt"
	"io"
	"strings"

	"mailsync/cmd/mailsync/ui"
)

// textRows is how many rows of a table an e-mail takes.
const textRows = 25

// textWidth is the width of a cell in an e-mail.
const textWidth = 48

// Text writes the report for an e-mail: plain text, the sentence first.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n\n", strings.ToUpper(words[r.State()]), r.Sentence())
	for _, f := range r.Facts() {
		fmt.Fprintf(&b, "%-16s %s\n", f.Name, strings.ReplaceAll(f.Value, "\n", "\n                 "))
	}
	if c := r.Chart(); c != nil {
		fmt.Fprintf(&b, "\nArriving mail, %s to %s: %s\n", c.From, c.To, c.Words)
	}
	for _, t := range r.tables() {
		fmt.Fprintf(&b, "\n%s\n%s\n", t.Title, strings.Repeat("-", len(t.Title)))
		rows := ui.Table{nil}
		for _, c := range t.Columns {
			name := c.Name
			if c.Num {
				name = ">" + name
			}
			rows[0] = append(rows[0], name)
		}
		for i, row := range t.Rows {
			if i == textRows {
				break
			}
			var cells []string
			for _, c := range row {
				text := []rune(cell(c))
				if len(text) > textWidth {
					text = append(text[:textWidth-1], '…')
				}
				cells = append(cells, string(text))
			}
			rows = append(rows, cells)
		}
		for _, l := range rows.Lines(ui.Style{}, 0) {
			b.WriteString(strings.TrimRight(l, " ") + "\n")
		}
		if more := int64(len(t.Rows)) + t.More - textRows; more > 0 {
			fmt.Fprintf(&b, "… and %s more\n", ui.Count(more))
		}
	}
	b.WriteString("\nNo text of any message is in this report.\n")
	_, err := io.WriteString(w, b.String())
	return err
}
