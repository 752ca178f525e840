package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What can be wrong with a command line before a command runs, in the words of
// the rest of this program. Every error here is exit 64, and its hint shows how
// the command is written.

// takes checks how many words a command is given, and names the one that is
// missing as the command's usage does; most < 0 = any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			words := strings.Fields(strings.ReplaceAll(cmd.Use, "...", ""))[1:]
			word := words[len(args)]
			if len(args) > 0 && words[len(args)-1] == word {
				return usage("a second %s is missing", word)
			}
			return usage("a %s is missing", word)
		case most == 0 && len(args) > 0:
			return usage("%q is too much: %s takes flags only", args[0], commandName(cmd))
		case most >= 0 && len(args) > most:
			return usage("%q is too much", args[most])
		}
		return nil
	}
}

// flagError puts an error of a flag into this program's words.
func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		without *pflag.ValueRequiredError
		value   *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown):
		if unknown.GetSpecifiedShortnames() != "" {
			return usage("unknown flag -%s", unknown.GetSpecifiedName())
		}
		return unknownFlag(cmd, unknown.GetSpecifiedName())
	case errors.As(err, &without):
		kind, _ := pflag.UnquoteUsage(without.GetFlag())
		return usage("--%s needs a value: %s", without.GetFlag().Name, kind)
	case errors.As(err, &value):
		name, why := value.GetFlag().Name, value.Unwrap()
		if errors.Is(why, strconv.ErrSyntax) || errors.Is(why, strconv.ErrRange) {
			kind := "a number"
			if value.GetFlag().Value.Type() == "bool" {
				kind = "true or false"
			}
			return usage("--%s: %q is not %s", name, value.GetValue(), kind)
		}
		return usage("--%s: %v", name, why)
	}
	return usage("%v", err)
}

// unknownFlag names the command that has this flag, or else the flags that were
// probably meant.
func unknownFlag(cmd *cobra.Command, name string) error {
	for _, c := range cmd.Root().Commands() {
		if f := c.LocalNonPersistentFlags().Lookup(name); f != nil && !f.Hidden {
			return usage("unknown flag --%s; %s has one of that name", name, c.Name())
		}
	}
	flags := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	if near := flags.SuggestionsFor(name); len(near) > 0 && len(near) <= 3 {
		return usage("unknown flag --%s; did you mean --%s?", name, strings.Join(near, " or --"))
	}
	return usage("unknown flag --%s", name)
}

// unknownCommand names what was probably meant.
func unknownCommand(cmd *cobra.Command, word string) error {
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return usage("unknown command %q; did you mean %q?", word, near[0])
	}
	return usage("unknown command %q", word)
}

// usageOf is the hint of an error of grammar: how the command is written.
func (a *app) usageOf(command string) string {
	c, _, err := a.root().Find(strings.Fields(command))
	switch {
	case command == "" || err != nil || !c.HasParent():
		return usageHint
	case c.HasSubCommands():
		return "mailsync " + command + " --help lists its commands"
	}
	return "usage: " + c.UseLine() + "\nmailsync " + command + " --help says what each flag does"
}

// helpCommand is help; a word that is no command is an error there, too.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND...]", Short: "what a command does, and its flags", GroupID: groupOther,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if c, left, err := cmd.Root().Find(args); err == nil && len(left) == 0 {
				for _, sub := range c.Commands() {
					if sub.IsAvailableCommand() && strings.HasPrefix(sub.Name(), word) {
						names = append(names, sub.Name()+"\t"+sub.Short)
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, left, err := cmd.Root().Find(args)
			if err != nil || len(left) > 0 {
				if err != nil {
					c, left = cmd.Root(), args
				}
				return unknownCommand(c, left[0])
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}
