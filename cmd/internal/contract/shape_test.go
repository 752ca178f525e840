package contract

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mailsync/cmd/internal/drive"
)

// fields are the names that the contract gives each type; "file" may come as
// "file_b64". More are welcome.
var fields = map[string]string{
	"finding":    "store mailbox folder file kind certainty detail",
	"difference": "mailbox folder kind copies good reason",
	"action":     "op mailbox folder file digest from state detail",
	"delivery":   "source recipient mailbox message_id digest outcome match detail",
	"account":    "mailbox archived present delivered would_deliver deleted filtered duplicate ambiguous failed unexplained closed",
	"summary":    "command run complete exit seconds counts",
}

const (
	looks  = "mailboxes folders messages bytes read_bytes reused damaged suspect disordered unreadable vanished"
	writes = "planned done already skipped refused failed"
	sums   = "archived present delivered would_deliver deleted filtered duplicate ambiguous failed unexplained no_mailbox outside_window"
	differ = "missing damaged content flags keywords date uid moved uidvalidity folder_missing mailbox_missing subscriptions"
)

// counted are the numbers of a summary by command.
var counted = map[string]string{
	"scan": looks, "verify": looks, "diff": "mailboxes messages differences " + differ,
	"restore": writes, "apply": writes, "undo": writes, "replay": writes + " " + sums, "audit": sums,
}

var words = map[string]map[string]string{
	"finding":    {"certainty": "proof suspicion unknown"},
	"difference": {},
	"action":     {"op": "add replace flags keywords date mkdir subscribe uid quarantine remove", "state": "planned done already skipped refused failed"},
	"delivery":   {"outcome": "present delivered would_deliver deleted filtered duplicate no_mailbox ambiguous outside_window failed unexplained", "match": "exact canonical altered none"},
}

var digest = regexp.MustCompile(`^(blake3:[0-9a-f]{64})?$`)

// breaches are the ways in which the lines of a run are not as the contract
// says.
func breaches(r *drive.Result) (bad []string) {
	say := func(l *drive.Line, format string, a ...any) {
		bad = append(bad, fmt.Sprintf(format, a...)+": "+l.Raw)
	}
	seen := map[string]bool{}
	last := ""
	var prev *drive.Line
	for i := range r.Lines {
		l := &r.Lines[i]
		var m map[string]any
		if json.Unmarshal([]byte(l.Raw), &m) != nil {
			continue // drive has said so
		}
		for _, k := range strings.Fields(fields[l.Type]) {
			v, ok := m[k]
			if k == "file" && !ok {
				v, ok = m["file_b64"]
				p, err := base64.StdEncoding.DecodeString(fmt.Sprint(v))
				if ok && (err != nil || utf8.Valid(p)) {
					say(l, "file_b64 is no base64 of a name that is not UTF-8")
				}
			}
			if !ok {
				say(l, "a %s without %q", l.Type, k)
			} else if v == nil && k != "message_id" {
				say(l, "%q is null", k)
			}
		}
		for k, list := range words[l.Type] {
			if !slices.Contains(strings.Fields(list), fmt.Sprint(m[k])) {
				say(l, "%s %v is none of the contract", k, m[k])
			}
		}
		if d, ok := m["digest"].(string); ok && !digest.MatchString(d) && l.Type != "record" {
			say(l, "digest %q", d)
		}
		bad = append(bad, times(l, m)...)
		if l.Type == "difference" {
			bad = append(bad, copies(l)...)
		}
		if l.Type == "account" {
			bad = append(bad, account(l)...)
		}
		if l.Type == "stage" {
			seen, last, prev = map[string]bool{}, "", nil
			continue
		}
		if !slices.Contains([]string{"finding", "difference", "action"}, l.Type) || l.Op == "mkdir" {
			continue // a directory has to be made before what lies in it
		}
		group := l.Type + "\x00" + l.Store + "\x00" + l.Mailbox
		if group != last {
			if seen[group] {
				say(l, "the lines of a mailbox are not contiguous")
			}
			seen[group], last, prev = true, group, nil
		}
		if prev != nil && l.Type != "difference" && key(prev) > key(l) {
			say(l, "not sorted by folder and file, after %s", prev.Raw)
		}
		if prev != nil && prev.Folder > l.Folder {
			say(l, "not sorted by folder, after %s", prev.Raw)
		}
		prev = l
	}
	return append(bad, summary(r)...)
}

func key(l *drive.Line) string { return l.Folder + "\x00" + l.Name() }

func times(l *drive.Line, m map[string]any) (bad []string) {
	for k, v := range m {
		switch x := v.(type) {
		case map[string]any:
			bad = append(bad, times(l, x)...)
		case string:
			if !slices.Contains([]string{"date", "began", "ended", "since", "until", "scanned", "first", "last"}, k) {
				continue
			}
			if _, err := time.Parse(time.RFC3339Nano, x); err != nil || !strings.HasSuffix(x, "Z") {
				bad = append(bad, fmt.Sprintf("%s %q is not RFC 3339 in UTC: %s", k, x, l.Raw))
			}
		}
	}
	return bad
}

func copies(l *drive.Line) (bad []string) {
	for _, g := range l.Good {
		if _, ok := l.Copies[g]; !ok {
			bad = append(bad, "good names a store without a copy: "+l.Raw)
		}
	}
	if !slices.Contains(strings.Fields(differ), l.Kind) {
		bad = append(bad, "no kind of the contract: "+l.Raw)
	}
	whole := slices.Contains([]string{"folder_missing", "mailbox_missing", "uidvalidity", "subscriptions"}, l.Kind)
	for name, p := range l.Copies {
		var c map[string]any
		if err := json.Unmarshal(p, &c); err != nil {
			bad = append(bad, fmt.Sprintf("the copy of %s is no object: %s", name, l.Raw))
		}
		if c == nil || c["unknown"] != nil || whole {
			continue
		}
		for _, k := range strings.Fields("file digest size flags keywords uid date") {
			_, ok := c[k]
			_, raw := c["file_b64"]
			if !ok && (k != "file" || !raw) {
				bad = append(bad, fmt.Sprintf("the copy of %s has no %s: %s", name, k, l.Raw))
			}
		}
	}
	if strings.HasSuffix(l.Kind, "_missing") && !strings.Contains(l.Raw, `"messages":`) {
		bad = append(bad, "without the number of its messages: "+l.Raw)
	}
	return bad
}

func account(l *drive.Line) (bad []string) {
	s := l.Sums
	sum := int64(0)
	for _, k := range strings.Fields("present delivered would_deliver deleted filtered duplicate ambiguous failed unexplained") {
		sum += s[k]
	}
	if s["archived"] != sum {
		bad = append(bad, fmt.Sprintf("archived is not the sum %d of the others: %s", sum, l.Raw))
	}
	if closed := s["would_deliver"]+s["ambiguous"]+s["failed"]+s["unexplained"] == 0; closed != l.Closed {
		bad = append(bad, "closed is wrong: "+l.Raw)
	}
	return bad
}

func summary(r *drive.Result) (bad []string) {
	s := r.Summary
	if s == nil {
		return nil // drive has said so
	}
	for _, k := range strings.Fields(counted[s.Command]) {
		if _, ok := s.Counts[k]; !ok && r.Code != 64 {
			bad = append(bad, "counts lack "+k+": "+s.Raw)
		}
	}
	if r.Code >= 64 && s.Hint == "" && r.Code < 128 {
		bad = append(bad, "it failed without a hint: "+s.Raw)
	}
	if r.Code >= 64 && s.Error == "" {
		bad = append(bad, "it failed without an error: "+s.Raw)
	}
	// The account is summed, and what is not in it is counted beside.
	if s.Command == "audit" || s.Command == "replay" {
		total := map[string]int64{}
		for _, a := range r.Find("account") {
			for k, n := range a.Sums {
				total[k] += n
			}
		}
		out := map[string]int64{}
		for _, d := range r.Find("delivery") {
			out[d.Outcome]++
		}
		for _, k := range strings.Fields("archived present delivered would_deliver deleted filtered duplicate ambiguous unexplained") {
			if s.Counts[k] != total[k] {
				bad = append(bad, fmt.Sprintf("counts.%s is %d, the accounts say %d: %s", k, s.Counts[k], total[k], s.Raw))
			}
			if k != "archived" && out[k] != total[k] {
				bad = append(bad, fmt.Sprintf("%d deliveries are %s, the accounts say %d: %s", out[k], k, total[k], s.Raw))
			}
		}
		for _, k := range []string{"no_mailbox", "outside_window"} {
			if s.Counts[k] != out[k] {
				bad = append(bad, fmt.Sprintf("counts.%s is %d of %d lines: %s", k, s.Counts[k], out[k], s.Raw))
			}
		}
	}
	return bad
}
