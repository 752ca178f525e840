package main

import (
	"errors"
	"testing"

	"mailsync/cmd/mailsync/config"
	"mailsync/restore/remote"
)

// A caller's description of a store is bounded, and names nothing outside of it.
func TestServedStore(t *testing.T) {
	h := &server{a: &app{cfg: &config.Config{}}, within: []string{"/srv/mail"}}
	s, err := h.store(&remote.Spec{Path: "/srv/mail/a", Role: "backup", Readers: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if s.Readers != maxReaders {
		t.Errorf("%d readers", s.Readers)
	}
	for name, spec := range map[string]remote.Spec{
		"relative":        {Path: "srv/mail"},
		"outside":         {Path: "/srv/other"},
		"a way out":       {Path: "/srv/mail/../other"},
		"beside":          {Path: "/srv/mailbox"},
		"NUL":             {Path: "/srv/mail/a\x00b"},
		"negative":        {Path: "/srv/mail", Readers: -1},
		"layout outside":  {Path: "/srv/mail", Layout: "../%u"},
		"control outside": {Path: "/srv/mail", Control: "/etc/%u"},
		"index outside":   {Path: "/srv/mail", Index: "a/../../%u"},
	} {
		spec.Role = "backup"
		if _, err := h.store(&spec); !errors.Is(err, remote.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
