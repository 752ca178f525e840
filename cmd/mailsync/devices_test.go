package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mailsync/scan/budget"
)

// byPath is a machine on which every directory is a disk of its own.
type byPath struct{}

func (byPath) Device(path string, _ uint64) string { return strings.TrimPrefix(path, "/") }

// A sick disk beside two sound ones is named, in words and in JSON.
func TestSlowDeviceIsNamed(t *testing.T) {
	docs := documented(t)
	synctest.Test(t, func(t *testing.T) {
		set := budget.NewSet(budget.Limits{Readers: 2}, byPath{})
		for path, each := range map[string]time.Duration{"/sda": 2 * time.Millisecond, "/sdb": 90 * time.Millisecond, "/sdc": 3 * time.Millisecond} {
			for range 100 {
				_, err := set.For(path, 0).Timed(t.Context(), func() (int, error) { time.Sleep(each); return 1, nil })
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		told := func(json bool) string {
			var stdout bytes.Buffer
			a := newApp(nil, std{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stdout, getenv: func(string) string { return "" }}, nil)
			a.flags.json, a.set = json, set
			a.talk()
			a.tellDevices()
			return stdout.String()
		}
		if got := told(false); !strings.Contains(got, "device sdb answers a read in") || strings.Contains(got, "sda") || strings.Contains(got, "sdc") {
			t.Errorf("said: %q", got)
		}
		l := &lab{t: t, docs: docs, seen: map[string]bool{}}
		slow := ""
		for text := range strings.Lines(told(true)) {
			var line map[string]any
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
			l.check("devices", line, text)
			if line["slow"] == true {
				slow += line["device"].(string)
			}
		}
		if slow != "sdb" {
			t.Errorf("slow: %q", slow)
		}
	})
}
