package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/runlog"
	"mailsync/restore"
)

// What the shell completes beyond commands and flags: the names that the
// configuration and the state directory know at this moment. A configuration
// that cannot be read completes nothing; the command itself will say why.

type completion = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// names completes a list, without what stands there already; a word with a '/'
// is left to the shell, which knows paths.
func (a *app) names(list func(*config.Config) []string, most int) completion {
	return func(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if strings.Contains(word, "/") || strings.HasPrefix(word, ".") {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
		cfg, err := config.Find(a.flags.config, a.std.getenv)
		if err != nil || most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		a.cfg = cfg
		var out []string
		for _, name := range list(cfg) {
			if strings.HasPrefix(name, word) && !slices.Contains(args, name) {
				out = append(out, name)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// undoable are the runs that undo takes, the newest first.
func (a *app) undoable(*config.Config) []string {
	out := []string{"last"}
	if state, err := a.stateDir(); err == nil {
		runs, _ := restore.Runs(a.std.files, state)
		for i := len(runs) - 1; i >= 0; i-- {
			if runs[i].Undoable {
				out = append(out, runs[i].ID+"\t"+runs[i].Command+" "+runs[i].Store)
			}
		}
	}
	return out
}

// reportable are the runs that report takes, the newest first.
func (a *app) reportable(*config.Config) []string {
	out := []string{"last"}
	if state, err := a.stateDir(); err == nil {
		ids, _ := runlog.List(state)
		slices.Reverse(ids)
		out = append(out, ids...)
	}
	return out
}

// complete gives every command its completions.
func (a *app) complete(root *cobra.Command) {
	stores, archives := (*config.Config).StoreNames, (*config.Config).ArchiveNames
	for path, f := range map[string]completion{
		"scan": a.names(stores, 0), "verify": a.names(stores, 0), "diff": a.names(stores, 0), "monitor": a.names(stores, 0),
		"restore": a.names(stores, 1), "undo": a.names(a.undoable, 1), "report": a.names(a.reportable, 1),
		"manifest ls": a.names(stores, 1), "manifest show": a.names(stores, 1), "manifest check": a.names(stores, 1), "manifest export": a.names(stores, 1),
		"manifest sign": a.names(stores, 1), "manifest stopped": a.names(stores, 0), "manifest started": a.names(stores, 0),
	} {
		if c, _, err := root.Find(strings.Fields(path)); err == nil {
			c.ValidArgsFunction = f
		}
	}
	for _, c := range root.Commands() {
		for _, flag := range []string{"from", "to", "recorded"} {
			if c.Flags().Lookup(flag) == nil {
				continue
			}
			list := stores
			if flag == "from" && (c.Name() == "replay" || c.Name() == "audit") {
				list = archives
			}
			// It fails only for a flag that is not there.
			complete := a.names(list, 0)
			if flag == "recorded" { // of the stores that stand there already, too
				complete = func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
					return a.names(list, 0)(cmd, nil, word)
				}
			}
			_ = c.RegisterFlagCompletionFunc(flag, complete)
		}
	}
}

// ownCompletionWords gives the commands that write completions, which cobra makes,
// the voice and the width of the others.
func ownCompletionWords(root *cobra.Command) {
	load := map[string]string{
		"bash": "source <(%s)", "zsh": "source <(%s)", "fish": "%s | source",
		"powershell": "%s | Out-String | Invoke-Expression",
	}
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Short, c.Long = "the completions of a shell", ""
		onlyHolds(c)
		for _, shell := range c.Commands() {
			shell.Short = "the completions of " + shell.Name()
			shell.Long = "Writes a script to standard output. To load it into this shell:\n\n  " + fmt.Sprintf(load[shell.Name()], shell.CommandPath())
		}
	}
}
