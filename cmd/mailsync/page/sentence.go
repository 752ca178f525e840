package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mailsync/cmd/mailsync/ui"
)

// State is the whole answer in a word.
type State string

// The states. A run that did not see everything is never Good.
const (
	Good    State = "good"    // nothing to report
	Open    State = "open"    // findings, or something left to do
	Partial State = "partial" // not everything was seen or done
	Failed  State = "failed"
)

// State is the answer in a word.
func (r *Report) State() State {
	switch {
	case !r.ended:
	case r.summary.Exit == 0:
		return Good
	case r.summary.Exit == 1:
		return Open
	case r.summary.Exit == 3:
		return Partial
	}
	return Failed
}

// Sentence is what a manager reads: what is so, in plain words.
func (r *Report) Sentence() string {
	command, _ := r.Command()
	if !r.ended {
		return "This run did not end: it was killed, or is still going on. What stands below is what it had told until then."
	}
	if r.summary.Exit > 3 {
		return sentence("The %s did not succeed: %s.", command, strings.TrimSuffix(r.summary.Error, "."))
	}
	var s string
	switch command {
	case "scan", "verify":
		s = r.checked(command)
	case "diff":
		s = r.compared()
	case "replay", "audit":
		s = r.accounted()
		if r.outbound() {
			s = Outbound(r.Count)
		}
	case "drill":
		s = "A drill: " + map[State]string{Good: "all was recovered.", Open: "something was left, or a step went another way.", Partial: "it was ended before its end."}[r.State()]
	case "restore", "apply", "undo":
		s = r.written(command)
	default:
		s = sentence("The %s ended with exit code %d.", command, r.summary.Exit)
	}
	if r.State() == Partial {
		s += " Not everything could be looked at or done: about the rest this report says nothing."
	}
	return s
}

func (r *Report) checked(command string) string {
	n := r.Count
	all := ui.Plural(n("messages"), "message") + " in " + ui.Plural(n("mailboxes"), "mailbox")
	were := " were"
	if n("messages") == 1 {
		were = " was"
	}
	damaged, suspect := n("damaged"), n("suspect")
	hit := r.mailboxesHit()
	switch {
	case damaged+suspect == 0 && r.State() == Partial:
		return "No damage was found in the " + all + " that could be checked."
	case damaged+suspect == 0 && command == "scan" && r.unrecorded():
		return "All is well: " + all + were + " recorded for the first time, and none shows damage."
	case damaged+suspect == 0 && r.unrecorded():
		return "No damage was found in " + all + ". There was no whole record to compare them with: what is missing or was changed is not known."
	case damaged+suspect == 0:
		return "All is well: " + all + were + " checked, and none is damaged or missing."
	case hit == 1:
		return sentence("Of %s, %s damaged and %s suspected or missing; one mailbox is concerned. Nothing was changed.", all, be(damaged), ui.Count(suspect))
	}
	return sentence("Of %s, %s damaged and %s suspected or missing; %s are concerned. Nothing was changed.", all, be(damaged), ui.Count(suspect), ui.Plural(hit, "mailbox"))
}

// unrecorded tells whether a store had no whole record when the run began.
func (r *Report) unrecorded() bool {
	return slices.ContainsFunc(r.stores, func(s Store) bool { return s.Recorded.IsZero() })
}

func (r *Report) mailboxesHit() int64 {
	seen := map[string]bool{}
	for k := range r.boxes {
		_, box, _ := strings.Cut(k, sep)
		seen[box] = true
	}
	return int64(len(seen))
}

func (r *Report) compared() string {
	n := r.Count("differences")
	if n == 0 {
		return sentence("The replicas hold the same mail: %s in %s were compared.", ui.Plural(r.Count("messages"), "message"), ui.Plural(r.Count("mailboxes"), "mailbox"))
	}
	return sentence("The replicas differ in %s, in %s of %s: %s missing somewhere, %s damaged. Nothing was changed.",
		ui.Plural(n, "place"), ui.Count(int64(len(r.diffBoxes))), ui.Plural(r.Count("mailboxes"), "mailbox"),
		be(r.Count("missing")+r.Count("folder_missing")+r.Count("mailbox_missing")), be(r.Count("damaged")))
}

func (r *Report) accounted() string {
	n := r.Count
	settled := n("present") + n("delivered") + n("deleted") + n("filtered") + n("duplicate")
	s := sentence("Of %s that the gateway's archive holds for known mailboxes, %s accounted for", ui.Plural(n("archived"), "message"), be(settled))
	if d := n("delivered"); d > 0 {
		s += sentence(", %s of them put back by this run", ui.Count(d))
	}
	s += ". "
	open := n("ambiguous") + n("failed") + n("unexplained")
	switch {
	case n("would_deliver")+open == 0:
		s += "The account closes: nothing is lost."
	case open == 0:
		s += sentence("The account does not close yet: %s missing and can be delivered; nothing else is open.", be(n("would_deliver")))
	case n("would_deliver") == 0:
		s += sentence("The account does not close: %s open and to be decided, as listed below.", be(open))
	default:
		s += sentence("The account does not close: %s missing and can be delivered; %s open and to be decided.", be(n("would_deliver")), be(open))
	}
	if nb := n("no_mailbox"); nb > 0 {
		s += sentence(" %s for addresses that no mailbox belongs to.", cap1(be(nb)))
	}
	return s
}

func (r *Report) written(command string) string {
	n := r.Count
	if command == "undo" {
		s := cap1(ui.Plural(n("done"), "action")) + verb(n("done")) + " taken back"
		if r := n("refused"); r > 0 {
			s += sentence("; %s refused because of later changes", be(r))
		}
		if f := n("failed"); f > 0 {
			s += sentence("; %s left as before, for taking back failed", be(f))
		}
		return s + "."
	}
	if n("planned")+n("done")+n("already")+n("refused")+n("failed")+n("skipped") == 0 {
		return "There was nothing to put back: what the sources hold is in place."
	}
	s := sentence("%s carried out and durable on disk", cap1(steps(n("done"))))
	if a := n("already"); a > 0 {
		s += sentence(", %s in place already", be(a))
	}
	switch {
	case n("failed")+n("refused") > 0:
		s += sentence("; %s failed and %s refused, which are listed below.", be(n("failed")), be(n("refused")))
	case n("skipped") > 0:
		s += sentence("; %s left alone, as listed below.", be(n("skipped")))
	default:
		s += "; nothing failed."
	}
	return s
}

func steps(n int64) string { return ui.Plural(n, "step") + verb(n) }

// be writes "1 is", "2 are".
func be(n int64) string { return ui.Count(n) + verb(n) }

func verb(n int64) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

func cap1(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func sentence(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// Fact is a line of what was done, when and how completely.
type Fact struct{ Name, Value string }

// Facts say what was run.
func (r *Report) Facts() []Fact {
	command, began := r.Command()
	facts := []Fact{{"Command", ui.Escape(ui.Command(append([]string{"mailsync"}, r.start.Args...)...))}}
	if r.start.Command == "" {
		facts = []Fact{{"Command", "mailsync " + ui.Escape(command)}}
	}
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, Fact{name, value})
		}
	}
	add("Run", ui.Escape(r.summary.Run))
	add("Host", ui.Escape(r.start.Host))
	if !began.IsZero() {
		add("Began", moment(began))
	}
	if r.ended {
		add("Took", ui.Duration(time.Duration(r.summary.Seconds*float64(time.Second))))
		add("Ended", endings[r.State()])
	} else {
		add("Ended", "it did not: killed, or still running")
	}
	if s := r.survey; s != nil && !s.First.IsZero() {
		add("Archive", ui.Plural(s.Messages, "message")+", "+ui.Bytes(s.Bytes)+", "+moment(s.First)+" to "+moment(s.Last))
	}
	add("Window", r.windowText())
	for _, s := range r.stores {
		add("Store "+ui.Name(s.Store), storeText(&s))
	}
	for _, d := range r.devices {
		if d.Slow {
			add("Slow device", sentence("%s: half of its reads took more than %.1f ms, one in a hundred more than %.1f ms, far more than its peers", ui.Escape(d.Device), d.Median, d.P99))
		}
	}
	for _, s := range r.stages {
		add("Stage "+ui.Escape(s.Name), ui.EscapeText(s.Known))
	}
	if b := r.Count("bytes"); b > 0 {
		add("Read", ui.Bytes(r.Count("read_bytes"))+" of "+ui.Bytes(b))
	}
	if r.left > 0 {
		add("Left out", ui.Plural(r.left, "line")+" that this log did not keep: the tables are cut, the sums of the sentence are not")
	}
	if r.summary.Hint != "" {
		add("Next", ui.EscapeLines(r.summary.Hint))
	}
	return facts
}

var endings = map[State]string{
	Good: "complete, nothing to report", Open: "complete, with findings",
	Partial: "partial: something could not be read, reached or applied", Failed: "failed",
}

func storeText(s *Store) string {
	parts := []string{ui.Escape(s.Path)}
	if s.Role != "" {
		parts = append(parts, "role "+s.Role)
	}
	if s.Device != "" {
		parts = append(parts, "device "+ui.Escape(s.Device))
	}
	switch {
	case s.Offline:
		parts = append(parts, "taken from its record of "+moment(s.Recorded))
	case !s.Recorded.IsZero():
		parts = append(parts, "last recorded "+moment(s.Recorded))
	}
	return strings.Join(parts, "; ")
}

func (r *Report) windowText() string {
	w := r.window
	switch {
	case w == nil:
		return ""
	case w.All:
		return "the whole archive was asked for"
	case w.Since.IsZero() && w.Until.IsZero():
		return ui.EscapeText(w.Reason)
	case w.Until.IsZero():
		return "absent mail counts as missing from " + moment(w.Since)
	}
	how := "given"
	if w.Found {
		how = "found by mailsync"
	}
	return "absent mail counts as missing from " + moment(w.Since) + " to " + moment(w.Until) + " (" + how + ")"
}
