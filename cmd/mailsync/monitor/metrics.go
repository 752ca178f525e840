package monitor

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Metrics writes the facts in Prometheus' text format, for the textfile
// collector of its node exporter.
func (f *Facts) Metrics() []byte {
	m := &metrics{}
	m.family("mailsync_build_info", "Which mailsync wrote this; always 1.")
	m.add(1, "version", f.Version)
	m.family("mailsync_monitor_timestamp_seconds", "When this was written.")
	m.add(stamp(f.Now))
	stores := func(name, help string, value func(*Store) (float64, bool)) {
		m.family(name, help)
		for i := range f.Stores {
			if v, ok := value(&f.Stores[i]); ok {
				m.add(v, "store", f.Stores[i].Name)
			}
		}
	}
	number := func(get func(*Store) int64) func(*Store) (float64, bool) {
		return func(s *Store) (float64, bool) { return float64(get(s)), s.Err == nil }
	}
	stores("mailsync_store_record_readable", "Whether the record of the store can be read.", func(s *Store) (float64, bool) {
		if s.Err != nil {
			return 0, true
		}
		return 1, true
	})
	stores("mailsync_store_last_scan_timestamp_seconds", "When the last complete scan began; 0 = never.", func(s *Store) (float64, bool) { return stamp(s.Scanned), s.Err == nil })
	stores("mailsync_store_mailboxes", "Recorded mailboxes.", number(func(s *Store) int64 { return s.Mailboxes }))
	stores("mailsync_store_messages", "Recorded messages.", number(func(s *Store) int64 { return s.Messages }))
	stores("mailsync_store_bytes", "Bytes of recorded messages.", number(func(s *Store) int64 { return s.Bytes }))
	stores("mailsync_store_damaged_messages", "Messages recorded as damaged, by proof.", number(func(s *Store) int64 { return s.Damaged }))
	stores("mailsync_store_suspect_messages", "Messages recorded as suspect.", number(func(s *Store) int64 { return s.Suspect }))
	stores("mailsync_store_unreadable_messages", "Messages that could not be read.", number(func(s *Store) int64 { return s.Unread }))
	stores("mailsync_store_doubted_mailboxes", "Mailboxes in which damage or loss was found and not yet mended.", number(func(s *Store) int64 { return s.Doubted }))
	stores("mailsync_store_doubted_since_timestamp_seconds", "When the first damage or loss that is not yet mended was found.", func(s *Store) (float64, bool) { return stamp(s.Since), s.Err == nil && !s.Since.IsZero() })
	stores("mailsync_store_lag_seconds", "How far the newest mail is behind that of the newest replica.", func(s *Store) (float64, bool) {
		if s.Lag == nil {
			return 0, false
		}
		return s.Lag.Seconds(), true
	})
	m.family("mailsync_device_read_median_seconds", "Within which half of the last scan's reads were answered.")
	for _, d := range f.Devices {
		m.add(d.Median, "device", d.Name)
	}
	m.family("mailsync_device_read_p99_seconds", "Within which 99 of 100 of the last scan's reads were answered.")
	for _, d := range f.Devices {
		m.add(d.P99, "device", d.Name)
	}
	m.family("mailsync_device_slow", "Whether the device was far off its peers.")
	for _, d := range f.Devices {
		v := 0.0
		if d.Slow {
			v = 1
		}
		m.add(v, "device", d.Name)
	}
	m.family("mailsync_runs_resumable", "Runs that ended early and can be resumed.")
	m.add(float64(f.Resumable))
	m.family("mailsync_drill_last_success_timestamp_seconds", "When the last drill that ended well began; 0 = none known.")
	m.add(stamp(f.Drill))
	return []byte(m.b.String())
}

// metrics writes families; one without a sample is left out.
type metrics struct {
	b          strings.Builder
	name, head string
}

func (m *metrics) family(name, help string) {
	m.name, m.head = name, fmt.Sprintf("# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

func (m *metrics) add(v float64, labels ...string) {
	m.b.WriteString(m.head)
	m.head = ""
	m.b.WriteString(m.name)
	if len(labels) == 2 {
		fmt.Fprintf(&m.b, `{%s="%s"}`, labels[0], escaper.Replace(strings.ToValidUTF8(labels[1], "?")))
	}
	m.b.WriteString(" " + strconv.FormatFloat(v, 'f', -1, 64) + "\n")
}

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
