package page

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"mailsync/cmd/mailsync/ui"
)

// series is one row of the timeline: what arrived in each hour, and what of it
// is missing or was put back.
type series struct {
	name                  string
	there, filled, absent map[int64]int64
}

// Chart is the timeline of arriving mail.
type Chart struct {
	SVG   template.HTML
	Unit  string // "hour" or "day"
	From  string
	To    string
	Words string // the same in a sentence, for whoever cannot see it
	Gap   bool
}

// Bounds of a timeline: hours as long as a fortnight is shown, days beyond,
// and of a longer history its end.
const (
	hoursShown = 14 * 24
	daysShown  = 400
	margin     = 24 // hours shown before and after a window
)

// Span is the stretch of time that a page shows, for whoever collects
// arrivals.
func (r *Report) Span() (from, to time.Time) {
	_, began := r.Command()
	to = began
	if w := r.window; w != nil && !w.Since.IsZero() && !w.All {
		from = w.Since.Add(-margin * time.Hour)
		switch {
		case !w.Until.IsZero():
			to = w.Until.Add(margin * time.Hour)
			if s := r.survey; s != nil && s.Last.After(w.Until) && s.Last.Before(to) {
				to = s.Last.Add(time.Hour)
			}
		case r.survey != nil && !r.survey.Last.IsZero():
			to = r.survey.Last.Add(time.Hour)
		}
	} else if s := r.survey; s != nil && !s.Last.IsZero() {
		from, to = s.First, s.Last.Add(time.Hour)
	}
	if !began.IsZero() && to.After(began) {
		to = began // nothing has arrived yet after that
	}
	if to.IsZero() {
		to = time.Now()
	}
	if longest := to.Add(-daysShown * 24 * time.Hour); from.IsZero() {
		from = to.Add(-hoursShown * time.Hour)
	} else if from.Before(longest) {
		from = longest
	}
	return from.Truncate(time.Hour), to
}

// series are the lines of the chart, the archive first.
func (r *Report) series() []series {
	var out []series
	if len(r.hours) > 0 {
		archive := series{name: "archive: all that arrived", there: map[int64]int64{}}
		before := series{name: "mailboxes before this run", there: map[int64]int64{}, absent: map[int64]int64{}}
		after := series{name: "mailboxes after this run", there: map[int64]int64{}, filled: map[int64]int64{}, absent: map[int64]int64{}}
		for k, h := range r.hours {
			archive.there[k] = h.Archived
			before.there[k], before.absent[k] = h.Present, h.Absent+h.Unknown
			filled := min(r.filled[k], h.Absent+h.Unknown)
			after.there[k], after.filled[k], after.absent[k] = h.Present, filled, h.Absent+h.Unknown-filled
		}
		out = append(out, archive, before, after)
	}
	for _, s := range r.stores {
		if a := r.arrivals[s.Store]; a != nil {
			out = append(out, series{name: "store " + ui.Name(s.Store) + ", as recorded", there: a})
		}
	}
	return out
}

// Geometry of the drawing, in its own units.
const (
	chartWidth = 960
	rowHeight  = 78
	barHeight  = 46
	rowTop     = 22 // of the bars in a row
	axisHeight = 26
	labelWidth = 75 // of a time below the axis
)

// Chart draws the timeline; nil where nothing is known of time.
func (r *Report) Chart() *Chart {
	rows := r.series()
	from, to := r.Span()
	if first := firstHour(rows); r.window == nil && first.After(from) {
		from = first // nothing came before
	}
	unit, name := int64(1), "hour"
	if to.Sub(from) > (hoursShown+1)*time.Hour { // a span begins at a full hour
		unit, name = 24, "day"
	}
	lo := hourOf(from) / unit
	n := int(hourOf(to)/unit - lo + 1)
	if len(rows) == 0 || n < 1 {
		return nil
	}
	c := &Chart{Unit: name, From: moment(from), To: moment(to)}
	height := len(rows)*rowHeight + axisHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-labelledby="chart-title chart-words" preserveAspectRatio="xMidYMin meet">`, chartWidth, height)
	b.WriteString(`<title id="chart-title">Arriving mail per ` + name + `</title>`)
	b.WriteString(`<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="absent-ground" width="6" height="6"/><rect class="absent-line" width="3" height="6"/></pattern></defs>`)
	x := func(i int) float64 { return float64(i) * chartWidth / float64(n) }
	if w := r.window; w != nil && !w.Since.IsZero() {
		i, j := int(hourOf(w.Since)/unit-lo), n
		if !w.Until.IsZero() {
			j = int(hourOf(w.Until)/unit - lo + 1)
		}
		i, j = min(max(i, 0), n), min(max(j, 0), n)
		fmt.Fprintf(&b, `<rect class="gap" x="%.2f" y="0" width="%.2f" height="%d"/>`, x(i), x(j)-x(i), height-axisHeight)
		c.Gap = true
	}
	for i := range rows {
		rows[i].draw(&b, i*rowHeight, n, lo, unit, x)
	}
	axis(&b, height-axisHeight, n, lo, unit, x)
	b.WriteString(`</svg>`)
	c.SVG = template.HTML(b.String()) //nolint:gosec // numbers, and names that went through the escaper
	c.Words = r.chartWords(rows, lo*unit, (lo+int64(n))*unit)
	return c
}

// firstHour is the first in which anything arrived; zero where nothing did.
func firstHour(rows []series) (first time.Time) {
	for _, s := range rows {
		for h, n := range s.there {
			if t := time.Unix(h*3600, 0); n > 0 && (first.IsZero() || t.Before(first)) {
				first = t
			}
		}
	}
	return first
}

// bin adds the hours of one unit.
func bin(hours map[int64]int64, at, unit int64) (sum int64) {
	for h := at * unit; h < (at+1)*unit; h++ {
		sum += hours[h]
	}
	return sum
}

func (s *series) draw(b *strings.Builder, y, n int, lo, unit int64, x func(int) float64) {
	top := int64(1)
	for i := range n {
		at := lo + int64(i)
		top = max(top, bin(s.there, at, unit)+bin(s.filled, at, unit)+bin(s.absent, at, unit))
	}
	fmt.Fprintf(b, `<g><text class="row" x="0" y="%d">%s</text><text class="peak" x="%d" y="%d">most: %s</text>`,
		y+15, template.HTMLEscapeString(s.name), chartWidth, y+15, ui.Count(top))
	base := float64(y + rowTop + barHeight)
	for i := range n {
		at, foot := lo+int64(i), base
		for _, part := range []struct {
			class string
			n     int64
		}{{"there", bin(s.there, at, unit)}, {"filled", bin(s.filled, at, unit)}, {"absent", bin(s.absent, at, unit)}} {
			if part.n == 0 {
				continue
			}
			h := max(1.5, float64(part.n)*barHeight/float64(top))
			foot -= h
			fmt.Fprintf(b, `<rect class="%s" x="%.2f" y="%.2f" width="%.2f" height="%.2f"/>`, part.class, x(i), foot, max(0.8, x(1)-0.4), h)
		}
	}
	fmt.Fprintf(b, `<line class="base" x1="0" x2="%d" y1="%.1f" y2="%.1f"/></g>`, chartWidth, base, base)
}

// axis writes at most eight times below the drawing.
func axis(b *strings.Builder, y, n int, lo, unit int64, x func(int) float64) {
	step := max(1, (n+7)/8)
	layout := "2 Jan 15:04"
	if unit > 1 {
		layout = "2 Jan 2006"
	}
	for i := 0; i < n; i += step {
		if x(i) > chartWidth-labelWidth {
			break // it would be cut off
		}
		t := time.Unix((lo+int64(i))*unit*3600, 0).UTC()
		fmt.Fprintf(b, `<line class="tick" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text class="tick" x="%.1f" y="%d">%s</text>`, x(i), x(i), y, y+5, x(i), y+18, t.Format(layout))
	}
}

// chartWords tells the drawing.
func (r *Report) chartWords(rows []series, lo, hi int64) string {
	var parts []string
	for _, s := range rows {
		sum := func(m map[int64]int64) (n int64) {
			for h, v := range m {
				if h >= lo && h < hi {
					n += v
				}
			}
			return n
		}
		text := s.name + ": " + ui.Plural(sum(s.there), "message")
		if n := sum(s.filled); n > 0 {
			text += ", " + ui.Count(n) + " put back now"
		}
		if n := sum(s.absent); n > 0 {
			text += ", " + ui.Count(n) + " absent"
		}
		parts = append(parts, text)
	}
	return cap1(strings.Join(parts, "; ")) + "."
}

// hoursTable is the drawing as a table.
func (r *Report) hoursTable() *Table {
	rows := r.series()
	if len(rows) == 0 {
		return nil
	}
	from, to := r.Span()
	heads := []string{"hour (UTC)"}
	all := map[int64]bool{}
	for _, s := range rows {
		heads = append(heads, ">"+s.name)
		if s.filled != nil {
			heads = append(heads, ">put back now")
		}
		if s.absent != nil {
			heads = append(heads, ">absent")
		}
		for _, m := range []map[int64]int64{s.there, s.filled, s.absent} {
			for h, n := range m {
				if n > 0 && h >= hourOf(from) && h <= hourOf(to) {
					all[h] = true
				}
			}
		}
	}
	var t table
	for _, h := range slices.Sorted(maps.Keys(all)) {
		cells := []any{time.Unix(h*3600, 0).UTC().Format("2006-01-02 15:04Z")}
		for _, s := range rows {
			cells = append(cells, s.there[h])
			if s.filled != nil {
				cells = append(cells, s.filled[h])
			}
			if s.absent != nil {
				cells = append(cells, s.absent[h])
			}
		}
		t.add(cells...)
	}
	return &Table{ID: "hours", Title: "The timeline in numbers", Columns: columns(heads...), Rows: t.rows, More: t.more}
}
