package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// docs/commands.md names every command with every flag, as the program has
// them. UPDATE=1 writes it.
func TestCommandsPage(t *testing.T) {
	const file = "../../docs/commands.md"
	root := newApp(nil, std{getenv: func(string) string { return "" }}, nil).root()
	var b strings.Builder
	b.WriteString("# Commands\n\nEvery command and flag, as `--help` and the man pages tell them. Exit codes are in [exit-codes.md](exit-codes.md), the lines of `--json` in [json.md](json.md).\n\n## Flags of every command\n\n")
	flagRows(&b, root.PersistentFlags())
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || sub.Name() == "completion" { // cobra's own words; the packages install what it prints
				continue
			}
			fmt.Fprintf(&b, "\n## %s\n\n`%s`\n\n", strings.TrimPrefix(sub.CommandPath(), "mailsync "), strings.TrimSuffix(sub.UseLine(), " [flags]"))
			text := sub.Long
			if text == "" {
				text = strings.ToUpper(sub.Short[:1]) + sub.Short[1:] + "."
			}
			b.WriteString(strings.ReplaceAll(strings.ReplaceAll(text, "\n\n", "\x00"), "\n", " ") + "\n")
			if sub.LocalNonPersistentFlags().HasAvailableFlags() {
				b.WriteString("\n")
				flagRows(&b, sub.LocalNonPersistentFlags())
			}
			walk(sub)
		}
	}
	walk(root)
	want := strings.ReplaceAll(b.String(), "\x00", "\n\n")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, file) != want {
		t.Errorf("%s is not what the commands say: UPDATE=1 go test ./cmd/mailsync -run TestCommandsPage", file)
	}
}

// flagRows writes a table of flags.
func flagRows(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("| flag | value | default | meaning |\n|---|---|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		value, usage := pflag.UnquoteUsage(f)
		def := f.DefValue
		if def == "false" || def == "[]" || def == "0" || def == "-1" {
			def = ""
		}
		escape := strings.NewReplacer("|", `\|`)
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, escape.Replace(value), escape.Replace(def), escape.Replace(usage))
	})
}
