package page

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"mailsync/cmd/mailsync/ui"
)

// ErrNoLines reports an input that holds no line of a run.
var ErrNoLines = errors.New("these are no JSON lines of a mailsync run")

// maxRows is how many rows a table takes.
const maxRows = 100_000

// maxLine bounds one line: a name is at most 4 KiB, a copy a store.
const maxLine = 4 << 20

// Report is what the lines of one run come to. Its zero value is ready: give
// it the lines in order, then ask for HTML or Text.
type Report struct {
	start   Start
	summary summary
	ended   bool // there was a summary
	lines   int64
	left    int64 // lines that the log did not keep

	stores   []Store
	stages   []stage
	devices  []Device
	survey   *survey
	window   *window
	hours    map[int64]*hour            // by hour since 1970
	filled   map[int64]int64            // delivered by this run
	arrivals map[string]map[int64]int64 // store, hour

	kinds     tally // findings by kind and store
	boxes     tally // findings by store and mailbox
	diffKinds tally
	diffBoxes tally
	lacks     tally // differences by store and what it has
	ops       tally // actions by op and state
	opBoxes   tally

	findings    table
	differences table
	actions     table
	deliveries  table
	accounts    table
	services    table
	lost        table
	delayed     table
}

// Read takes all lines of a stream. A stream that ends within a line, as that
// of a killed run does, gives what came before; the report says so.
func Read(in io.Reader) (*Report, error) {
	r := new(Report)
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 64<<10), maxLine)
	for s.Scan() {
		if err := r.Line(s.Bytes()); err != nil {
			if r.lines > 0 && !s.Scan() {
				break // the last line, cut short
			}
			return nil, err
		}
	}
	if err := s.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if r.lines == 0 {
		return nil, ErrNoLines
	}
	return r, nil
}

// Line takes one line. Lines of types that a page does not show are passed
// over.
func (r *Report) Line(data []byte) error {
	var h ui.Head
	if err := json.Unmarshal(data, &h); err != nil || h.V != 1 || h.Type == "" {
		return ErrNoLines
	}
	r.lines++
	take := map[string]func([]byte) error{
		"start": into(func(v *Start) { r.start = *v }), "store": into(r.store), "arrivals": into(r.arrival),
		"left_out": into(func(v *struct{ Lines int64 }) { r.left = v.Lines }),
		"finding":  into(r.finding), "difference": into(r.difference), "action": into(r.action),
		"delivery": into(r.delivery), "account": into(r.account), "stage": into(func(v *stage) { r.stages = append(r.stages, *v) }),
		"sending": into(r.sending), "service": into(r.service),
		"survey": into(func(v *survey) { r.survey = v }), "window": into(func(v *window) { r.window = v }),
		"hour": into(r.hour), "device": into(func(v *Device) { r.devices = append(r.devices, *v) }),
		"summary": into(func(v *summary) { r.summary, r.ended = *v, true }),
	}[h.Type]
	if take == nil {
		return nil
	}
	if err := take(data); err != nil {
		return fmt.Errorf("line %d (%s): %w", r.lines, h.Type, err)
	}
	return nil
}

// into decodes a line into its type.
func into[T any](f func(*T)) func([]byte) error {
	return func(data []byte) error {
		v := new(T)
		if err := json.Unmarshal(data, v); err != nil {
			return err
		}
		f(v)
		return nil
	}
}

func (r *Report) store(s *Store) {
	for i := range r.stores {
		if r.stores[i].Store == s.Store {
			r.stores[i] = *s
			return
		}
	}
	r.stores = append(r.stores, *s)
}

func (r *Report) arrival(a *Arrivals) {
	if r.arrivals == nil {
		r.arrivals = map[string]map[int64]int64{}
	}
	if r.arrivals[a.Store] == nil {
		r.arrivals[a.Store] = map[int64]int64{}
	}
	r.arrivals[a.Store][hourOf(a.Start)] += a.Messages
}

func (r *Report) finding(f *finding) {
	file := fileName(f.File, f.FileB64)
	r.kinds.add(1, f.Kind, f.Certainty, f.Store)
	r.boxes.add(1, f.Store, f.Mailbox)
	r.findings.add(f.Kind, f.Certainty, f.Store, f.Mailbox, f.Folder, file, f.Detail)
}

// hasCopy is what a store has that nothing is wrong with.
const hasCopy = "has a copy"

func (r *Report) difference(d *difference) {
	n := max(1, d.Messages)
	r.diffKinds.add(n, d.Kind)
	r.diffBoxes.add(n, d.Mailbox)
	for store, c := range d.Copies {
		has := hasCopy
		switch {
		case string(c) == "null":
			has = "lacks it"
		case strings.HasPrefix(string(c), `{"unknown"`):
			has = "not known"
		case len(d.Good) > 0 && !contains(d.Good, store):
			has = "has one that is not good"
		}
		r.lacks.add(n, store, d.Kind, has)
	}
	good := "undecided"
	if len(d.Good) > 0 {
		good = strings.Join(d.Good, ", ")
	}
	r.differences.add(d.Kind, d.Mailbox, d.Folder, n, good, d.Reason)
}

func (r *Report) action(a *action) {
	r.ops.add(1, a.Op, a.State)
	r.opBoxes.add(1, a.Mailbox, a.State)
	r.actions.add(a.State, a.Op, a.Mailbox, a.Folder, fileName(a.File, a.FileB64), a.From, a.Detail)
}

func (r *Report) delivery(d *delivery) {
	if d.Outcome == "delivered" && !d.Date.IsZero() {
		if r.filled == nil {
			r.filled = map[int64]int64{}
		}
		r.filled[hourOf(d.Date)]++
	}
	who := d.Mailbox
	if who == "" {
		who = d.Recipient
	}
	switch d.Outcome {
	case "present", "deleted", "filtered", "duplicate", "outside_window":
		return // settled: the account counts them
	}
	r.deliveries.add(strings.ReplaceAll(d.Outcome, "_", " "), who, moment(d.Date), d.MessageID, d.Detail)
}

func (r *Report) account(a *account) {
	closed := "closed"
	if !a.Closed {
		closed = "open"
	}
	r.accounts.add(a.Mailbox, a.Archived, a.Present, a.Delivered, a.WouldDeliver, a.Deleted, a.Filtered, a.Duplicate,
		a.Ambiguous, a.Failed, a.Unexplained, closed)
}

func (r *Report) hour(h *hour) {
	if r.hours == nil {
		r.hours = map[int64]*hour{}
	}
	r.hours[hourOf(h.Start)] = h
}

// Stores are the stores that the run looked at.
func (r *Report) Stores() []Store { return r.stores }

// Devices are the devices that were read from.
func (r *Report) Devices() []Device { return r.devices }

// Ended tells how the run ended: the exit code, and whether it ended at all.
func (r *Report) Ended() (exit int, ended bool) { return r.summary.Exit, r.ended }

// Command is what was run, and when it began.
func (r *Report) Command() (command string, began time.Time) {
	if r.start.Command != "" {
		return r.start.Command, r.start.Began
	}
	return r.summary.Command, time.Time{}
}

// Count is one of the summary's counts.
func (r *Report) Count(name string) int64 { return r.summary.Counts[name] }

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func hourOf(t time.Time) int64 { return t.Unix() / 3600 }

// moment is a time as it stands in a table: UTC, sortable as text.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
