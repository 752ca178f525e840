package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/drill"
	"mailsync/cmd/mailsync/ui"
)

func (a *app) drillCommand() *cobra.Command {
	var auto, keep bool
	var names []string
	for _, s := range drill.Scenarios() {
		names = append(names, s.Name)
	}
	c := &cobra.Command{
		Use: "drill [SCENARIO]", Short: "go through a bad day: what you see, what to type, what it means",
		Long: `Drill builds a small mail estate (primary, hot spare, a backup that is hours
old, a gateway's archive) in a directory of its own, causes an incident, and
walks you through it. It needs no configuration, no root and no server, and
touches nothing else, but that your own state directory, where there is one,
notes that you did. Without SCENARIO it lists them.

On a terminal you press Enter to run the command that is shown, or type another
mailsync command to look around first. With --auto it runs through by itself and
fails where a step does not come to what it should.`,
		Args: takes(0, 1), ValidArgs: names,
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) {
			if len(args) == 0 {
				return a.drills()
			}
			return a.drill(ctx, args[0], auto, keep)
		}),
	}
	c.Flags().BoolVar(&auto, "auto", false, "run through without asking, and check each step")
	c.Flags().BoolVar(&keep, "keep", false, "keep the estate, to play with")
	return c
}

func (a *app) drills() (outcome, error) {
	t := ui.Table{{"scenario", "what happened"}}
	for _, s := range drill.Scenarios() {
		t = append(t, []string{s.Name, s.Title})
	}
	a.out.Table(t)
	a.out.Say("")
	a.out.Say("Begin with: %s", a.out.Style.Cyan("mailsync drill power-loss"))
	return outcome{}, nil
}

// drillLine is how a drill went, in JSON.
type drillLine struct {
	ui.Head
	Scenario string   `json:"scenario"`
	Steps    int      `json:"steps"`
	Missed   []string `json:"missed"`
	Seconds  float64  `json:"seconds"`
	drill.Score
}

func (a *app) drill(ctx context.Context, name string, auto, keep bool) (outcome, error) {
	s, err := drill.Find(name)
	if err != nil {
		return outcome{}, &ui.Problem{Why: err, Code: exitUsage, Hint: "mailsync drill lists them"}
	}
	if !auto && !a.out.Interactive() {
		return outcome{}, &ui.Problem{What: "there is no terminal to drill at", Code: exitUsage, Hint: "--auto runs through by itself"}
	}
	bin, err := os.Executable()
	if err != nil {
		return outcome{}, err
	}
	dir, err := os.MkdirTemp("", "mailsync-drill-")
	if err != nil {
		return outcome{}, &ui.Problem{What: "directory of the drill", Why: err, Code: exitCantCreate}
	}
	defer func() {
		if keep {
			a.out.Say("The estate is kept in %s; there: MAILSYNC_CONFIG=%s/mailsync.toml", ui.Escape(dir), ui.Escape(dir))
		} else if err := os.RemoveAll(dir); err != nil {
			a.out.Warn("the estate could not be removed: %s", ui.Oneline(err, 300))
		}
	}()
	if a.log != nil {
		a.log.Release()
	}
	r, err := s.Run(ctx, drill.Options{Dir: dir, Bin: bin, Auto: auto, Talk: &drillTalk{a: a, ctx: ctx}})
	var failed *drill.StepError
	switch {
	case errors.Is(err, drill.ErrQuit):
		a.out.Say("Ended after %s.", ui.Plural(int64(r.Steps), "step"))
		return outcome{partial: true}, nil
	case errors.As(err, &failed):
		return outcome{}, &ui.Problem{What: "drill " + name, Why: failed, Code: exitSoftware, Hint: "the estate stays with --keep, to look at"}
	case err != nil:
		return outcome{}, err
	}
	a.out.Record(drillLine{Head: ui.Head{V: 1, Type: "drill"}, Scenario: name, Steps: r.Steps, Missed: append([]string{}, r.Missed...), Seconds: r.Took.Seconds(), Score: r.Score})
	a.tellScore(&r, s.Outbound)
	return outcome{findings: !r.Won() || len(r.Missed) > 0}, nil
}

// tellScore ends a drill: what was recovered, what remains, how long it took.
func (a *app) tellScore(r *drill.Result, outbound bool) {
	a.out.Say("")
	a.out.Say("%s", a.out.Style.Bold("The score"))
	how := "byte for byte"
	if outbound {
		how = "each with an end that is known"
	}
	t := ui.Table{
		{"", ""},
		{"recovered", fmt.Sprintf("%s of %s, %s", ui.Count(r.Whole), ui.Plural(r.Messages, "message"), how)},
		{"still missing", ui.Count(r.Messages - r.Whole)},
		{"there twice", ui.Count(r.Twice)},
		{"nobody's", ui.Count(r.Damaged)},
	}
	if r.Gone > 0 {
		t = append(t, []string{"gone for good", ui.Plural(r.Gone, "message") + ", held by the dead disks alone"})
	}
	steps := fmt.Sprintf("%d, %d of them not as they should be", r.Steps, len(r.Missed))
	if r.Asides > 0 {
		steps += fmt.Sprintf("; %s of your own", ui.Plural(int64(r.Asides), "command"))
	}
	t = append(t, []string{"steps", steps}, []string{"time", ui.Duration(r.Took) + " from the incident on"})
	a.out.Table(t[1:])
	switch {
	case !r.Won() || len(r.Missed) > 0:
	case outbound:
		a.out.Say("%s", a.out.Style.Green("Every message that left has a known end, and none was sent twice."))
	case r.Gone > 0:
		a.out.Say("%s", a.out.Style.Green("All that anything still held is back, and nothing is there twice."))
	default:
		a.out.Say("%s", a.out.Style.Green("Nothing is lost, nothing is there twice."))
	}
}
