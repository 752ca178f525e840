package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"mailsync/cmd/mailsync/ui"
)

var now = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func store(change func(*Store)) Store {
	s := Store{Name: "primary", Scanned: now.Add(-2 * time.Hour), Mailboxes: 3, Messages: 1000, Bytes: 5000}
	if change != nil {
		change(&s)
	}
	return s
}

var limits = Thresholds{ScanAge: Limits{26 * time.Hour, 50 * time.Hour}}

func TestPlugin(t *testing.T) {
	lag := 7 * time.Hour
	for _, c := range []struct {
		name   string
		facts  Facts
		t      Thresholds
		status Status
		line   string // begins the first line
	}{
		{"well", Facts{Stores: []Store{store(nil)}}, limits, OK, "MAILSYNC OK - 1,000 messages in 1 store, all recorded lately, no damage known | 'primary_scan_age'=7200s;93600;180000;0; 'primary_damaged'=0;;0:0;0; 'primary_doubted'=0;;0:0;0; 'primary_messages'=1000;;;0;\n"},
		{"old", Facts{Stores: []Store{store(func(s *Store) { s.Scanned = now.Add(-26 * time.Hour) })}}, limits, Warning, "MAILSYNC WARNING - primary: last complete scan 26 h ago"},
		{"very old", Facts{Stores: []Store{store(func(s *Store) { s.Scanned = now.Add(-50 * time.Hour) })}}, limits, Critical, "MAILSYNC CRITICAL - primary: last complete scan 2 d 2 h ago"},
		{"never", Facts{Stores: []Store{store(func(s *Store) { s.Scanned = time.Time{} })}}, limits, Critical, "MAILSYNC CRITICAL - primary was never recorded: loss could not be told from change; next: mailsync scan primary | \n"},
		{"damaged", Facts{Stores: []Store{store(func(s *Store) { s.Doubted = 3 })}}, limits, Critical, "MAILSYNC CRITICAL - primary: damage or loss in 3 mailboxes, found and not mended; next: mailsync verify primary |"},
		{"restored, not looked at", Facts{Stores: []Store{store(func(s *Store) {
			s.Doubted, s.Damaged, s.Restored, s.Replaced, s.RestoredAt = 3, 7, 3, 7, now.Add(-time.Hour)
		})}}, limits, Warning, "MAILSYNC WARNING - primary: damage or loss in 3 mailboxes was put back at " + ui.Time(now.Add(-time.Hour)) + ", and nobody has looked since whether that was all; next: mailsync verify primary | 'primary_scan_age'=7200s;93600;180000;0; 'primary_damaged'=7;;0:0;0; 'primary_doubted'=3;"},
		{"restored in part", Facts{Stores: []Store{store(func(s *Store) { s.Doubted, s.Restored, s.RestoredAt = 3, 2, now })}}, limits, Critical, "MAILSYNC CRITICAL - primary: damage or loss in 1 mailbox, found and not mended; next: mailsync verify primary (and 1 more) |"},
		{"worst first", Facts{Stores: []Store{store(func(s *Store) { s.Suspect = 1 }), store(func(s *Store) { s.Name, s.Damaged = "spare", 2 })}}, limits, Critical, "MAILSYNC CRITICAL - spare: 2 messages damaged as of "},
		{"unreadable record", Facts{Stores: []Store{store(func(s *Store) { s.Err = errors.New("cut short") })}}, limits, Unknown, "MAILSYNC UNKNOWN - primary: its record cannot be read: cut short; next: mailsync manifest check primary | \n"},
		{"unknown is no excuse", Facts{Stores: []Store{store(func(s *Store) { s.Err = errors.New("x") }), store(func(s *Store) { s.Doubted = 1 })}}, limits, Critical, "MAILSYNC CRITICAL"},
		{"slow", Facts{Stores: []Store{store(nil)}, Devices: []Device{{Name: "sdb", Median: 0.25, P99: 2, Slow: true}}}, limits, Warning, "MAILSYNC WARNING - device sdb answers half of its reads in 250 ms or more, its peers far faster; next: smartctl -a"},
		{"lag", Facts{Stores: []Store{store(func(s *Store) { s.Lag = &lag })}}, Thresholds{Lag: Limits{Warn: 6 * time.Hour}}, Warning, "MAILSYNC WARNING - primary lags 7 h behind the newest replica; next: mailsync diff primary |"},
		{"two replicas", Facts{Stores: []Store{store(nil), store(func(s *Store) { s.Name, s.Lag = "spare", &lag })}}, Thresholds{Lag: Limits{Warn: 6 * time.Hour}}, Warning, "MAILSYNC WARNING - spare lags 7 h behind the newest replica; next: mailsync diff spare primary |"},
		{"latency", Facts{Stores: []Store{store(nil)}, Devices: []Device{{Name: "sdb", Median: 0.004, P99: 0.6}}}, Thresholds{Latency: Limits{500 * time.Millisecond, 2 * time.Second}}, Warning, "MAILSYNC WARNING - device sdb: one read in 100 takes 600 ms or more; next: smartctl -a, and the kernel's log | 'primary_scan_age'=7200s;;;0; 'primary_damaged'=0;;0:0;0; 'primary_doubted'=0;;0:0;0; 'primary_messages'=1000;;;0; 'sdb_read_p99'=0.600s;0.5;2;0;\n"},
		{"since when", Facts{Stores: []Store{store(func(s *Store) { s.Doubted, s.Since = 3, now.Add(-time.Hour) })}}, limits, Critical, "MAILSYNC CRITICAL - primary: damage or loss in 3 mailboxes since " + ui.Time(now.Add(-time.Hour)) + ", found and not mended; next: mailsync verify primary |"},
		{"another configuration", Facts{Stores: []Store{store(func(s *Store) { s.Doubted = 1 })}, Command: func(args ...string) string { return "mailsync --config x " + strings.Join(args, " ") }}, limits, Critical, "MAILSYNC CRITICAL - primary: damage or loss in 1 mailbox, found and not mended; next: mailsync --config x verify primary |"},
		{"drilled", Facts{Stores: []Store{store(nil)}, Drill: now.Add(-48 * time.Hour)}, Thresholds{DrillAge: Limits{Warn: 24 * time.Hour}}, Warning, "MAILSYNC WARNING - last drill 2 d ago (" + ui.Time(now.Add(-48*time.Hour)) + "); next: mailsync drill | 'primary_scan_age'=7200s;;;0; 'primary_damaged'=0;;0:0;0; 'primary_doubted'=0;;0:0;0; 'primary_messages'=1000;;;0; 'drill_age'=172800s;86400;;0;\n"},
		{"resumable", Facts{Stores: []Store{store(nil)}, Resumable: 2}, limits, Warning, "MAILSYNC WARNING - 2 runs ended early and can be resumed; next: mailsync runs |"},
		{"no drill", Facts{Stores: []Store{store(nil)}}, Thresholds{DrillAge: Limits{Warn: time.Hour}}, Warning, "MAILSYNC WARNING - no drill is known of"},
		{"a name with a bar", Facts{Stores: []Store{store(func(s *Store) { s.Name, s.Damaged = "./a|b'c", 1 })}}, limits, Critical, "MAILSYNC CRITICAL - ./a/b'c: 1 message damaged"},
	} {
		c.facts.Now = now
		status, text := c.facts.Plugin(c.t)
		if status != c.status {
			t.Errorf("%s: %s, want %s", c.name, status, c.status)
		}
		if !strings.HasPrefix(text, c.line) {
			t.Errorf("%s:\n got %swant %s", c.name, text, c.line)
		}
		if n := strings.Count(text, "|"); n != 1 {
			t.Errorf("%s: %d bars in %q", c.name, n, text)
		}
	}
}

func everything() *Facts {
	lag := 90 * time.Second
	return &Facts{
		Now: now, Version: `1.0"\`, Drill: now.Add(-time.Hour), Resumable: 1,
		Stores:  []Store{store(func(s *Store) { s.Doubted, s.Since = 2, now.Add(-time.Hour) }), store(func(s *Store) { s.Name, s.Lag = "spare \"two\"\n\\", &lag }), store(func(s *Store) { s.Name, s.Err = "broken", errors.New("x") })},
		Devices: []Device{{Name: "sda", Median: 0.004, P99: 0.03}, {Name: "sdb", Median: 0.25, P99: 2, Slow: true}},
	}
}

func TestMetrics(t *testing.T) {
	text := string(everything().Metrics())
	for _, want := range []string{
		"mailsync_store_messages{store=\"primary\"} 1000\n", "mailsync_store_lag_seconds{store=\"spare \\\"two\\\"\\n\\\\\"} 90\n",
		"mailsync_store_record_readable{store=\"broken\"} 0\n", "mailsync_device_slow{device=\"sdb\"} 1\n",
		"mailsync_store_doubted_mailboxes{store=\"primary\"} 2\n", "mailsync_store_doubted_since_timestamp_seconds{store=\"primary\"} 1795334400\n", "mailsync_drill_last_success_timestamp_seconds 1795334400\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, `mailsync_store_messages{store="broken"}`) {
		t.Error("numbers of a record that cannot be read")
	}
}

// promtool is what Prometheus itself says of metrics and rules.
func promtool(t *testing.T, in []byte, args ...string) {
	t.Helper()
	bin, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: prometheus)")
	}
	cmd := exec.Command(bin, args...)
	cmd.Stdin = bytes.NewReader(in)
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 && args[1] == "metrics" {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestMetricsLint(t *testing.T) { promtool(t, everything().Metrics(), "check", "metrics") }

// The rules are ones that Prometheus takes, and each fires where it should, with
// a text that names the store, what, since when, how many mailboxes, and the next
// command.
func TestRules(t *testing.T) {
	promtool(t, nil, "check", "rules", "../../../docs/examples/mailsync.rules.yml")
	promtool(t, nil, "test", "rules", "testdata/rules_test.yml")
}

// docs/metrics.md has every metric with its labels and its help text, and no
// other.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(mailsync_\w+)(?:\{(\w+)=)?`).FindAllStringSubmatch(string(everything().Metrics()), -1) {
		labels[m[1]] = m[2]
	}
	help := regexp.MustCompile(`(?m)^# HELP (\w+) (.*)$`).FindAllStringSubmatch(string(everything().Metrics()), -1)
	for _, m := range help {
		if row := fmt.Sprintf("| `%s` | %s | %s |\n", m[1], labels[m[1]], m[2]); !strings.Contains(string(page), row) {
			t.Errorf("docs/metrics.md lacks %s", row)
		}
	}
	if n := strings.Count(string(page), "| `mailsync_"); n != len(help) {
		t.Errorf("docs/metrics.md has %d metrics, and there are %d", n, len(help))
	}
}
