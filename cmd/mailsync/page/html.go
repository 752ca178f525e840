package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"time"

	"mailsync/cmd/mailsync/ui"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// staticRows is how many rows of a table stand in the page without its script.
const staticRows = 100

// shown is what the template sees.
type shown struct {
	Title, Sentence, Version, Written, Policy string
	State                                     State
	Word                                      string
	Facts                                     []Fact
	Chart                                     *Chart
	Tables                                    []shownTable
	CSS                                       template.CSS
	JS                                        template.JS
}

type shownTable struct {
	Table
	First [][]any
	Data  template.JS // all rows, where there are more than First
	Total int64
}

var words = map[State]string{Good: "All is well", Open: "Needs attention", Partial: "Incomplete", Failed: "Failed"}

// HTML makes the page. version names the binary that writes it.
func (r *Report) HTML(version string) ([]byte, error) {
	tpl, err := template.New("page").Funcs(template.FuncMap{"cell": cell, "count": ui.Count}).Parse(pageHTML)
	if err != nil {
		return nil, err
	}
	command, began := r.Command()
	s := shown{
		Title: "mailsync " + ui.Escape(command), Sentence: ui.EscapeText(r.Sentence()), State: r.State(), Word: words[r.State()],
		Facts: r.Facts(), Chart: r.Chart(), Version: version, Written: moment(time.Now()),
		CSS: template.CSS(pageCSS), JS: template.JS(pageJS), //nolint:gosec // our own files
		Policy: fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'", hash(pageCSS), hash(pageJS)),
	}
	if !began.IsZero() {
		s.Title += ", " + began.UTC().Format("2 January 2006")
	}
	tables := r.tables()
	if t := r.hoursTable(); s.Chart != nil && t != nil {
		tables = append(tables, *t)
	}
	for _, t := range tables {
		st := shownTable{Table: t, First: t.Rows, Total: int64(len(t.Rows))}
		if len(t.Rows) > staticRows {
			st.First = t.Rows[:staticRows]
		}
		data, err := json.Marshal(t.Rows) // escapes <, > and &
		if err != nil {
			return nil, err
		}
		st.Data = template.JS(data) //nolint:gosec // JSON with HTML's characters escaped
		s.Tables = append(s.Tables, st)
	}
	var b bytes.Buffer
	if err := tpl.Execute(&b, s); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func cell(v any) string {
	switch v := v.(type) {
	case int64:
		return ui.Count(v)
	case float64:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprint(v)
}
