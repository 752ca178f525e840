package page

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"mailsync/cmd/mailsync/ui"
)

// table are rows as they come: texts and int64s.
type table struct {
	rows [][]any
	more int64
}

func (t *table) add(cells ...any) {
	if len(t.rows) >= maxRows {
		t.more++
		return
	}
	for i, c := range cells {
		if s, ok := c.(string); ok {
			cells[i] = ui.EscapeText(s)
		}
	}
	t.rows = append(t.rows, cells)
}

// tally counts by a few words.
type tally map[string]int64

const sep = "\x00"

func (t *tally) add(n int64, words ...string) {
	if *t == nil {
		*t = tally{}
	}
	(*t)[strings.Join(words, sep)] += n
}

// table gives the words and, last, their count: the largest first.
func (t tally) table() table {
	keys := slices.SortedFunc(maps.Keys(t), func(x, y string) int {
		if t[x] != t[y] {
			if t[x] > t[y] {
				return -1
			}
			return 1
		}
		return strings.Compare(x, y)
	})
	var out table
	for _, k := range keys {
		var cells []any
		for _, w := range strings.Split(k, sep) {
			cells = append(cells, w)
		}
		out.add(append(cells, t[k])...)
	}
	return out
}

// Table is one table of a page.
type Table struct {
	ID      string
	Title   string
	Note    string
	Columns []Column
	Rows    [][]any
	More    int64 // rows that are left out
}

// Column is a column's head. Numbers are aligned and sorted as such.
type Column struct {
	Name string `json:"name"`
	Num  bool   `json:"num"`
}

// columns reads heads as "mailbox >archived": '>' marks numbers.
func columns(heads ...string) []Column {
	var out []Column
	for _, h := range heads {
		name, num := strings.CutPrefix(h, ">")
		out = append(out, Column{Name: name, Num: num})
	}
	return out
}

// tables are all tables that have a row, in the order of the page.
func (r *Report) tables() []Table {
	all := []struct {
		id, title, note string
		t               table
		heads           []string
	}{
		{"kinds", "Findings by kind and store", "A proof stands by itself; a suspicion needs a second look; unknown is what could not be read.", r.kinds.table(), []string{"kind", "certainty", "store", ">findings"}},
		{"by-device", "Damage and differences by device", "The device that a store lies on. Where one stands out, look at it first.", r.byDevice(), []string{"device", "store", "what", ">messages"}},
		{"finding-boxes", "Findings by mailbox", "", r.boxes.table(), []string{"store", "mailbox", ">findings"}},
		{"difference-kinds", "Differences by kind", "", r.diffKinds.table(), []string{"kind", ">messages"}},
		{"lacks", "What each store has of what differs", "", r.lacks.table(), []string{"store", "kind", "this store", ">messages"}},
		{"difference-boxes", "Differences by mailbox", "", r.diffBoxes.table(), []string{"mailbox", ">messages"}},
		{"ops", "What was done", "", r.ops.table(), []string{"action", "state", ">number"}},
		{"op-boxes", "What was done, by mailbox", "", r.opBoxes.table(), []string{"mailbox", "state", ">actions"}},
		{"accounts", "The account of each mailbox", "Archived is the sum of the columns after it. A mailbox is closed where nothing is left to deliver, ambiguous, failed or unexplained.", r.accounts, []string{"mailbox", ">archived", ">present", ">delivered", ">to deliver", ">deleted by its owner", ">filtered", ">duplicate", ">ambiguous", ">failed", ">unexplained", "account"}},
		{"deliveries", "Messages delivered, or still open", "", r.deliveries, []string{"outcome", "mailbox or recipient", "arrived", "Message-ID", "why"}},
		{"services", "The account of each service", "Counted for each recipient. Archived is the sum of the columns after it. An account is closed where nothing is lost or delayed.", r.services, []string{"service", ">archived", ">sent", ">delayed", ">bounced", ">expired", ">lost", "account"}},
		{"lost", "Messages lost", "No log tells their end, and no queue has them.", r.lost, sendingHeads},
		{"delayed", "Messages delayed", "The queue had them when the queue, or else the log, was read.", r.delayed, sendingHeads},
		{"differences", "Every difference", "", r.differences, []string{"kind", "mailbox", "folder", ">messages", "good copy", "why"}},
		{"findings", "Every finding", "", r.findings, []string{"kind", "certainty", "store", "mailbox", "folder", "file", "why"}},
		{"actions", "Every action", "", r.actions, []string{"state", "action", "mailbox", "folder", "file", "from", "why"}},
		{"devices", "Devices", "How long reads took. A device far slower than its peers is marked.", r.deviceTable(), []string{"device", ">reads", ">median ms", ">99 of 100 within ms", ">times slowed down for", "verdict"}},
	}
	openFirst(r.accounts.rows, func(row []any) bool { return row[len(row)-1] == "open" })
	openFirst(r.deliveries.rows, func(row []any) bool { return row[0] != "delivered" })
	var out []Table
	for _, x := range all {
		if len(x.t.rows) > 0 {
			out = append(out, Table{ID: x.id, Title: x.title, Note: x.note, Columns: columns(x.heads...), Rows: x.t.rows, More: x.t.more})
		}
	}
	return out
}

var sendingHeads = []string{"service", "sender", "recipient", "arrived", "Message-ID", "queue id", "why"}

// openFirst puts what waits for somebody before what is settled.
func openFirst(rows [][]any, open func([]any) bool) {
	slices.SortStableFunc(rows, func(x, y []any) int {
		switch a, b := open(x), open(y); {
		case a == b:
			return 0
		case a:
			return -1
		}
		return 1
	})
}

// byDevice counts what is wrong with each store by the device that it lies on,
// where that of any store is known.
func (r *Report) byDevice() table {
	devices := map[string]string{}
	for _, s := range r.stores {
		if s.Device != "" {
			devices[s.Store] = s.Device
		}
	}
	if len(devices) == 0 {
		return table{}
	}
	var t tally
	add := func(n int64, store, what string) {
		t.add(n, cmp.Or(devices[store], "not known"), store, what)
	}
	for k, n := range r.kinds {
		words := strings.Split(k, sep)
		add(n, words[2], words[0])
	}
	for k, n := range r.lacks {
		if words := strings.Split(k, sep); words[2] != hasCopy {
			add(n, words[0], words[1]+": "+words[2])
		}
	}
	return t.table()
}

func (r *Report) deviceTable() table {
	var t table
	for _, d := range r.devices {
		verdict := "as its peers"
		if d.Slow {
			verdict = "SLOW: look at this one"
		}
		if len(r.devices) == 1 {
			verdict = "the only one"
		}
		t.add(d.Device, d.Reads, d.Median, d.P99, d.BackedOff, verdict)
	}
	return t
}
