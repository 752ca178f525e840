package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand writes man pages of the commands as they are; packages run it
// when they are built. It is not listed: an installed mailsync has its pages.
func (a *app) manCommand() *cobra.Command {
	var all string
	c := &cobra.Command{
		Use: "man [COMMAND...]", Short: "write the man page of a command, in mdoc's forerunner man(7)", Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if all != "" {
				return manPages(all, root)
			}
			root.InitDefaultHelpCmd()
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usage("no such command: %s", strings.Join(args, " "))
			}
			if err := manPage(a.std.stdout, c); err != nil {
				return outputError(err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&all, "all", "", "write the pages of all commands into `DIR`")
	return c
}

// manName is the name of a command's page.
func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPages writes the page of a command and of those below it into a directory.
func manPages(dir string, c *cobra.Command) error {
	if c.Hidden || c.Name() == "help" {
		return nil
	}
	for _, sub := range c.Commands() {
		if err := manPages(dir, sub); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if err := manPage(&b, c); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, manName(c)+".8"), b.Bytes(), 0o644)
}

// roff escapes running text.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

func manPage(w io.Writer, c *cobra.Command) error {
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	name := manName(c)
	put(`.TH "%s" 8 "" "mailsync %s" "mailsync"`, strings.ToUpper(roff(name)), roff(buildInfo().Version))
	put(".SH NAME\n%s \\- %s", roff(name), roff(c.Short))
	put(".SH SYNOPSIS\n.B %s", roff(c.UseLine()))
	put(".SH DESCRIPTION")
	text := c.Long
	if text == "" {
		text = strings.ToUpper(c.Short[:1]) + c.Short[1:] + "."
	}
	for i, para := range strings.Split(text, "\n\n") {
		if i > 0 {
			put(".PP")
		}
		for line := range strings.SplitSeq(para, "\n") {
			put("%s", roff(line))
		}
	}
	section := func(title string, f *pflag.FlagSet) {
		if !f.HasAvailableFlags() {
			return
		}
		put(".SH %s", title)
		f.VisitAll(func(f *pflag.Flag) {
			if f.Hidden {
				return
			}
			value, use := pflag.UnquoteUsage(f)
			head := "--" + f.Name
			if f.Shorthand != "" {
				head = "-" + f.Shorthand + ", " + head
			}
			if value != "" {
				head += " " + value
			}
			put(".TP\n.B %s\n%s", roff(head), roff(use))
		})
	}
	section("OPTIONS", c.NonInheritedFlags())
	section("OPTIONS OF EVERY COMMAND", c.InheritedFlags())
	put(".SH EXIT STATUS\n0 complete, nothing to report; 1 complete, with findings; 3 partial.\nFrom 64 on as in\n.BR sysexits (3).\n.B mailsync monitor\nhas those of a monitoring plugin.")
	put(".SH FILES\n.TP\n.I /etc/mailsync/mailsync.toml\nconfiguration\n.TP\n.I /var/lib/mailsync\nrecords, journals, logs")
	var see []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			see = append(see, fmt.Sprintf(".BR %s (8)", roff(manName(sub))))
		}
	}
	if c.HasParent() {
		see = append(see, fmt.Sprintf(".BR %s (8)", roff(manName(c.Parent()))))
	}
	slices.Sort(see)
	if len(see) > 0 {
		put(".SH SEE ALSO\n%s", strings.Join(see, ",\n"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
