// Package monitor judges what is known of stores against thresholds, and says
// it as a monitoring plugin does (Nagios, Icinga and their kin) and as metrics
// for Prometheus' textfile collector.
//
// It looks at records, logs and journals only: it costs a check no read of any
// mail, and says nothing that they do not say. Texts name a store, what is
// wrong, since when, and the next command. Names of mailboxes are in neither
// text nor metric.
package monitor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailsync/cmd/mailsync/ui"
)

// Status is a plugin's exit code.
type Status int

// The statuses of the Monitoring Plugins Development Guidelines.
const (
	OK Status = iota
	Warning
	Critical
	Unknown
)

var names = [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}

// String returns the word of the plugin's first line.
func (s Status) String() string { return names[s] }

// worse returns the one that counts: critical before unknown before warning.
func worse(a, b Status) Status {
	rank := [...]int{0, 1, 3, 2}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// Limits are a warning and a critical threshold; 0 = none.
type Limits struct{ Warn, Crit time.Duration }

func (l Limits) judge(d time.Duration) Status {
	switch {
	case l.Crit > 0 && d >= l.Crit:
		return Critical
	case l.Warn > 0 && d >= l.Warn:
		return Warning
	}
	return OK
}

// Store is what is known of one store.
type Store struct {
	Name      string
	Scanned   time.Time // when the last complete scan began; zero = never
	Mailboxes int64
	Messages  int64
	Bytes     int64
	Damaged   int64 // messages, proven
	Suspect   int64
	Unread    int64     // messages that could not be read
	Doubted   int64     // mailboxes in which damage or loss was found and not yet mended
	Since     time.Time // when the first of that was found; zero = not known

	Restored   int64     // of Doubted: a run has put back all that it had found, and nobody has looked since
	Replaced   int64     // of Damaged: they are in such mailboxes
	RestoredAt time.Time // when the last such run ended

	Lag *time.Duration
	Err error // the record could not be read
}

// Device is how a device answered at the last scan or verify.
type Device struct {
	Name        string
	Median, P99 float64 // seconds
	Slow        bool
}

// Facts are everything that is judged.
type Facts struct {
	Now       time.Time
	Version   string
	Stores    []Store
	Devices   []Device
	Drill     time.Time // of the last drill that ended well; zero = none known
	Resumable int64     // runs that were killed or failed and can be resumed
	// Command writes a command that comes next, so that it means the same stores
	// when it is pasted; nil writes it without options.
	Command func(args ...string) string
}

func (f *Facts) command(args ...string) string {
	if f.Command != nil {
		return f.Command(args...)
	}
	return ui.Command(append([]string{"mailsync"}, args...)...)
}

// Thresholds are what is borne.
type Thresholds struct{ ScanAge, DrillAge, Lag, Latency Limits }

// Remark is one thing that is not as it should be, and what to do about it.
type Remark struct {
	Status Status
	Text   string
	Next   string // a command
}

// Judge finds what is not as it should be.
func (f *Facts) Judge(t Thresholds) (Status, []Remark) {
	var out []Remark
	add := func(s Status, next, format string, args ...any) {
		if s != OK {
			out = append(out, Remark{s, fmt.Sprintf(format, args...), next})
		}
	}
	for i := range f.Stores {
		s := &f.Stores[i]
		name := ui.Name(s.Name)
		command := func(c string) string { return f.command(c, s.Name) }
		switch {
		case s.Err != nil:
			add(Unknown, f.command("manifest", "check", s.Name), "%s: its record cannot be read: %s", name, ui.Oneline(s.Err, 200))
			continue
		case s.Scanned.IsZero():
			add(Critical, command("scan"), "%s was never recorded: loss could not be told from change", name)
			continue
		}
		age := f.Now.Sub(s.Scanned)
		add(t.ScanAge.judge(age), command("scan"), "%s: last complete scan %s", name, ui.Age(s.Scanned, f.Now))
		if n := s.Damaged - s.Replaced; n > 0 {
			add(Critical, command("verify"), "%s: %s damaged as of %s", name, ui.Plural(n, "message"), ui.Time(s.Scanned))
		}
		if s.Restored > 0 {
			add(Warning, command("verify"), "%s: damage or loss in %s was put back at %s, and nobody has looked since whether that was all", name,
				ui.Plural(s.Restored, "mailbox"), ui.Time(s.RestoredAt))
		}
		if n := s.Doubted - s.Restored; n > 0 {
			since := ""
			if !s.Since.IsZero() {
				since = " since " + ui.Time(s.Since)
			}
			add(Critical, command("verify"), "%s: damage or loss in %s%s, found and not mended", name, ui.Plural(n, "mailbox"), since)
		}
		if s.Suspect > 0 {
			add(Warning, command("verify"), "%s: %s suspected as of %s", name, ui.Plural(s.Suspect, "message"), ui.Time(s.Scanned))
		}
		if s.Unread > 0 {
			add(Warning, command("scan"), "%s: %s could not be read", name, ui.Plural(s.Unread, "message"))
		}
		if s.Lag != nil {
			add(t.Lag.judge(*s.Lag), f.command(slices.Concat([]string{"diff", s.Name}, f.others(i))...), "%s lags %s behind the newest replica", name, ui.Duration(*s.Lag))
		}
	}
	for _, d := range f.Devices {
		add(t.Latency.judge(time.Duration(d.P99*float64(time.Second))), "smartctl -a, and the kernel's log", "device %s: one read in 100 takes %s or more", ui.Name(d.Name), seconds(d.P99))
		if d.Slow {
			add(Warning, "smartctl -a, and the kernel's log", "device %s answers half of its reads in %s or more, its peers far faster", ui.Name(d.Name), seconds(d.Median))
		}
	}
	if f.Resumable > 0 {
		add(Warning, f.command("runs"), "%s ended early and can be resumed", ui.Plural(f.Resumable, "run"))
	}
	if t.DrillAge != (Limits{}) {
		if f.Drill.IsZero() {
			add(Warning, f.command("drill"), "no drill is known of: nobody has rehearsed")
		} else {
			add(t.DrillAge.judge(f.Now.Sub(f.Drill)), f.command("drill"), "last drill %s", ui.Age(f.Drill, f.Now))
		}
	}
	status := OK
	for _, r := range out {
		status = worse(status, r.Status)
	}
	return status, out
}

// others are the stores beside one, for a comparison.
func (f *Facts) others(store int) (names []string) {
	for i := range f.Stores {
		if i != store {
			names = append(names, f.Stores[i].Name)
		}
	}
	return names
}

// seconds writes the time of a read: below a second in milliseconds.
func seconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.0f ms", 1000*s)
	}
	return ui.Duration(time.Duration(s * float64(time.Second)))
}

// Plugin writes what a monitoring system shows: one line with the worst, the
// numbers behind a bar, then a line for each further remark.
func (f *Facts) Plugin(t Thresholds) (Status, string) {
	status, remarks := f.Judge(t)
	var first string
	var rest []string
	for _, r := range remarks {
		text := r.Text + "; next: " + r.Next
		if first == "" && r.Status == status {
			first = text
			continue
		}
		rest = append(rest, r.Status.String()+" "+text)
	}
	if first == "" {
		var messages int64
		for i := range f.Stores {
			messages += f.Stores[i].Messages
		}
		first = fmt.Sprintf("%s in %s, all recorded lately, no damage known", ui.Plural(messages, "message"), ui.Plural(int64(len(f.Stores)), "store"))
	} else if len(rest) > 0 {
		first += fmt.Sprintf(" (and %d more)", len(rest))
	}
	// A bar would begin the numbers.
	clean := strings.NewReplacer("|", "/", "\n", " ")
	var b strings.Builder
	fmt.Fprintf(&b, "MAILSYNC %s - %s | %s\n", status, clean.Replace(first), strings.Join(f.perfdata(t), " "))
	for _, r := range rest {
		b.WriteString(clean.Replace(r) + "\n")
	}
	return status, b.String()
}

// perfdata are the numbers, in the guidelines' form.
func (f *Facts) perfdata(t Thresholds) []string {
	var out []string
	age := func(label string, d time.Duration, l Limits) {
		bound := func(d time.Duration) string {
			if d <= 0 {
				return ""
			}
			return fmt.Sprintf("%.0f", d.Seconds())
		}
		out = append(out, fmt.Sprintf("%s=%.0fs;%s;%s;0;", label, d.Seconds(), bound(l.Warn), bound(l.Crit)))
	}
	for i := range f.Stores {
		s := &f.Stores[i]
		if s.Err != nil || s.Scanned.IsZero() {
			continue
		}
		age(label(s.Name, "scan_age"), f.Now.Sub(s.Scanned), t.ScanAge)
		out = append(out, fmt.Sprintf("%s=%d;;0:0;0;", label(s.Name, "damaged"), s.Damaged), fmt.Sprintf("%s=%d;;0:0;0;", label(s.Name, "doubted"), s.Doubted), fmt.Sprintf("%s=%d;;;0;", label(s.Name, "messages"), s.Messages))
		if s.Lag != nil {
			age(label(s.Name, "lag"), *s.Lag, t.Lag)
		}
	}
	for _, d := range f.Devices {
		bound := func(d time.Duration) string {
			if d <= 0 {
				return ""
			}
			return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
		}
		out = append(out, fmt.Sprintf("%s=%.3fs;%s;%s;0;", label(d.Name, "read_p99"), d.P99, bound(t.Latency.Warn), bound(t.Latency.Crit)))
	}
	if !f.Drill.IsZero() {
		age("'drill_age'", f.Now.Sub(f.Drill), t.DrillAge)
	}
	return out
}

// label quotes a name for perfdata: neither quote nor equals sign may be in it.
func label(name, what string) string {
	name = strings.NewReplacer("'", "_", "=", "_", "|", "_", "\n", "_").Replace(ui.Escape(name))
	return "'" + name + "_" + what + "'"
}
