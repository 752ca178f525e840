package main

import (
	"strings"

	"github.com/spf13/cobra"
)

const (
	groupLook    = "look"
	groupRepair  = "repair"
	groupArchive = "archive"
	groupLearn   = "learn"
	groupOther   = "other"
)

// root builds the command line. Everything that a command keeps lives in a.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mailsync",
		Short: "prove what a mail store holds, and put back what is missing",
		Long: `mailsync proves what a Maildir store holds, says exactly what differs between
its replicas, and puts back what is missing, without ever losing, doubling or
altering a message.

STORE and ARCHIVE are names from the configuration, or paths (with a '/'); a
STORE on another host is host:/path.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return usage("a command is missing")
		},
	}
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", ".FlagUsagesWrapped 80 "))
	root.SetOut(a.std.stdout)
	root.SetErr(a.std.stderr)
	f := root.PersistentFlags()
	f.StringVar(&a.flags.config, "config", "", "configuration `FILE` (else $MAILSYNC_CONFIG, /etc/mailsync/mailsync.toml)")
	f.StringVar(&a.flags.state, "state", "", "state directory `DIR` (else config, $MAILSYNC_STATE, /var/lib/mailsync)")
	f.BoolVar(&a.flags.json, "json", false, "results as JSON lines on standard output")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "only findings and errors")
	f.BoolVarP(&a.flags.verbose, "verbose", "v", false, "more detail")
	f.Var(&a.flags.progress, "progress", "progress on standard error")
	f.Var(&a.flags.color, "color", "colours")
	f.Var(&a.flags.journal, "journal", "standard error as log lines with a priority (auto: where systemd's journal takes it)")
	f.IntVar(&a.flags.readers, "readers", 0, "concurrent readers a device (`N`; default: as the device says)")
	f.Var(&a.flags.limitRate, "limit-rate", "read at most this much a second, as in 200M/s")
	f.StringVar(&a.flags.ssh, "ssh", "", "the `CMD` that reaches other hosts (default: ssh_command of the configuration, else ssh)")
	f.Var(&a.flags.limitNetwork, "limit-network", "send and receive at most this much a second to and from each host, as in 20M/s")
	root.AddGroup(
		&cobra.Group{ID: groupLook, Title: "Look (nothing is written into a store):"},
		&cobra.Group{ID: groupRepair, Title: "Put back:"},
		&cobra.Group{ID: groupArchive, Title: "Fill the gap from the gateway's archive:"},
		&cobra.Group{ID: groupLearn, Title: "Rehearse, on a made-up estate:"},
		&cobra.Group{ID: groupOther, Title: "The record and the configuration:"},
	)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCommand())
	root.SetCompletionCommandGroupID(groupOther)
	for _, c := range []struct {
		group string
		cmd   *cobra.Command
	}{
		{groupLook, a.scanCommand()},
		{groupLook, a.verifyCommand()},
		{groupLook, a.diffCommand()},
		{groupRepair, a.restoreCommand()},
		{groupRepair, a.applyCommand()},
		{groupRepair, a.undoCommand()},
		{groupRepair, a.runsCommand()},
		{groupArchive, a.replayCommand()},
		{groupArchive, a.auditCommand()},
		{groupOther, a.reportCommand()},
		{groupOther, a.monitorCommand()},
		{groupLearn, a.drillCommand()},
		{groupOther, a.manifestCommand()},
		{groupOther, a.doctorCommand()},
		{groupOther, a.configCommand()},
		{groupOther, a.serveCommand()},
		{groupOther, a.versionCommand()},
	} {
		c.cmd.GroupID = c.group
		root.AddCommand(c.cmd)
	}
	root.AddCommand(a.manCommand())
	root.InitDefaultCompletionCmd(a.args...)
	ownCompletionWords(root)
	a.complete(root)
	return root
}

// family is a command that only holds others.
func family(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short}
	onlyHolds(c)
	c.AddCommand(subs...)
	return c
}

// onlyHolds makes c a command that does nothing without one of its own.
func onlyHolds(c *cobra.Command) {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		return usage("%s needs one of its commands", cmd.Name())
	}
}
