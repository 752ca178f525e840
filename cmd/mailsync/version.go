package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/ui"
)

// version is set by the linker (Makefile); a plain go build leaves it empty
// and the module's own build information answers.
var version string

// build is what this binary was made of.
type build struct {
	ui.Head
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildInfo() build {
	b := build{Head: ui.Head{V: 1, Type: "version"}, Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		if b.Version == "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.modified":
				b.Modified = s.Value == "true"
			}
		}
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	return b
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "what this binary is", Args: takes(0, 0),
		RunE: a.do(func(context.Context, []string) (outcome, error) {
			b := buildInfo()
			a.out.Record(b)
			a.out.Print("mailsync " + b.Version + " (" + b.Go + ", " + b.Platform + ")")
			if b.Revision != "" {
				a.out.Detail("revision %s", b.Revision)
			}
			return outcome{}, nil
		}),
	}
}
