package main

import (
	"strconv"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
)

// originLine is one value and where it comes from.
type originLine struct {
	ui.Head
	Key  string `json:"key"`
	Text string `json:"text"`
	By   string `json:"by"`
	From string `json:"from"`
}

// configOrigin is config show --origin.
func (a *app) configOrigin() (outcome, error) {
	state, err := a.cfg.StateValue(a.flags.state, a.std.getenv, a.std.uid)
	if err != nil {
		return outcome{}, err
	}
	given := map[string]config.Value{"state": state}
	flag := func(key, name, text string) {
		if text != "" && text != "0" {
			given[key] = config.Value{Text: text, By: "flag", From: "--" + name}
		}
	}
	flag("readers", "readers", strconv.Itoa(a.flags.readers))
	flag("limit_rate", "limit-rate", a.flags.limitRate.String())
	flag("ssh_command", "ssh", a.flags.ssh)
	flag("limit_network", "limit-network", a.flags.limitNetwork.String())
	file := config.Value{Key: "config", Text: a.cfg.File, By: "default"}
	switch {
	case a.flags.config != "":
		file.By, file.From = "flag", "--config"
	case a.std.getenv("MAILSYNC_CONFIG") != "":
		file.By, file.From = "environment", "$MAILSYNC_CONFIG"
	case file.Text == "":
		file.Text = "none"
	}
	t := ui.Table{{"key", "value", "from"}}
	for _, v := range append([]config.Value{file}, a.cfg.Values(given)...) {
		a.out.Record(originLine{Head: ui.Head{V: 1, Type: "origin"}, Key: v.Key, Text: v.Text, By: v.By, From: v.From})
		from := v.From
		if from == "" {
			from = v.By
		}
		t = append(t, []string{ui.Escape(v.Key), ui.Escape(v.Text), ui.Escape(from)})
	}
	a.out.Table(t)
	return outcome{}, nil
}
