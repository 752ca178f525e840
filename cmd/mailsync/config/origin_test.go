package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestValues(t *testing.T) {
	c, err := Parse("m.toml", []byte(`# comment
state = "/var/lib/mailsync"
limit_rate = "20M/s"

[stores.b]
path = "/b"
readers = 3
folders = "fs"
breaker = "5%"

[stores."a.x"]
path = "/a"
idle = true

[archives]
gateway = { path = "/g", header = ["X-To", "X-Cc"] }

[recipients]
case_fold = false
sql.driver = "mysql"
sql.dsn = "user:secret@unix(/x)/y"
`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	order := []string{}
	for _, v := range c.Values(map[string]Value{"readers": {Text: "8", By: "flag", From: "--readers"}}) {
		if _, twice := got[v.Key]; twice {
			t.Errorf("%s twice", v.Key)
		}
		got[v.Key] = v.Text + " | " + v.By + " " + v.From
		order = append(order, v.Key)
	}
	for key, want := range map[string]string{
		"state":                     "/var/lib/mailsync | file m.toml:2",
		"state_copies":              "none | default ",
		"readers":                   "8 | flag --readers",
		"limit_rate":                "20000000 | file m.toml:3",
		"breaker":                   "1% | default ",
		"stores.b.path":             "/b | file m.toml:6",
		"stores.b.readers":          "8 | flag --readers",
		"stores.b.limit_rate":       "20000000 | file m.toml:3",
		"stores.b.folders":          "fs | file m.toml:8",
		"stores.b.breaker":          "0.05 | file m.toml:9",
		"stores.b.keep_absences":    "90d | default ",
		"stores.a.x.idle":           "true | file m.toml:13",
		"stores.a.x.failure_domain": "its own | default ",
		"archives.gateway.header":   "X-To X-Cc | file m.toml:16",
		"recipients.case_fold":      "false | file m.toml:19",
		"recipients.sql.driver":     "mysql | file m.toml:20",
		"recipients.sql.dsn":        "(not shown) | file m.toml:21",
		"archives.gateway.timezone": "",
	} {
		if got[key] != want {
			t.Errorf("%s: %q, want %q", key, got[key], want)
		}
	}
	if d := cmp.Diff([]string{"state", "state_copies", "digest"}, order[:3]); d != "" {
		t.Errorf("not in the order of the documentation:\n%s", d)
	}
}
