package drill

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrQuit reports that the operator ended the drill before its end.
var ErrQuit = errors.New("the drill was ended before its end")

// ErrScenario reports a name that no scenario has.
var ErrScenario = errors.New("there is no such scenario")

// StepError is a step that did not come to what it should.
type StepError struct {
	Command string
	Want    string
}

// Error implements error.
func (e *StepError) Error() string { return fmt.Sprintf("%s: %s", e.Command, e.Want) }

// Options are what a drill needs.
type Options struct {
	Dir  string // an empty directory of its own
	Bin  string // the mailsync to run
	Auto bool   // nobody is asked; each step's outcome is checked
	Talk Talk
}

// Result is how a drill went.
type Result struct {
	Score
	Steps  int           // that were gone through
	Asides int           // commands that the operator tried beside them
	Missed []string      // steps whose outcome was not what it should be
	Took   time.Duration // from the incident on
}

// Find returns the scenario of that name.
func Find(name string) (Scenario, error) {
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, nil
		}
	}
	return Scenario{}, fmt.Errorf("%w: %s", ErrScenario, name)
}

// Run goes through a scenario. With Auto a step whose outcome is not what it
// should be ends the drill with a *StepError; without, it is told and counted.
func (s Scenario) Run(ctx context.Context, o Options) (Result, error) {
	var r Result
	e, err := build(o.Dir, s.gap)
	if err != nil {
		return r, fmt.Errorf("build the estate: %w", err)
	}
	if s.setup != nil {
		if err := s.setup(e); err != nil {
			return r, fmt.Errorf("build the estate: %w", err)
		}
	}
	o.Talk.Open(s.Title, s.Story)
	began := time.Now()
	for i := range s.steps {
		st := &s.steps[i]
		if i == 1 {
			if err := s.incident(e); err != nil {
				return r, fmt.Errorf("cause the incident: %w", err)
			}
			began = time.Now()
		}
		if err := e.play(ctx, &o, st, i+1, len(s.steps), &r); err != nil {
			return r, err
		}
	}
	r.Took = time.Since(began)
	if s.Outbound {
		r.Score = e.scoreSent()
	} else {
		r.Score, err = e.score(s.target, s.gone)
	}
	if err == nil && o.Auto && !r.Won() {
		err = &StepError{Command: "the score", Want: fmt.Sprintf("%d of %d messages are whole, %d twice, %d files are nobody's", r.Whole, r.Messages, r.Twice, r.Damaged)}
	}
	return r, err
}

// play goes through one step.
func (e *estate) play(ctx context.Context, o *Options, st *step, n, of int, r *Result) error {
	if st.cause != nil {
		if err := st.cause(e); err != nil {
			return err
		}
	}
	o.Talk.Step(n, of, st.title, st.see)
	args := e.command(st, o.Auto)
	for !o.Auto {
		typed, err := o.Talk.Ask(args)
		if err != nil {
			return err
		}
		if typed == nil {
			break
		}
		r.Asides++
		if _, err := e.run(ctx, o, typed); err != nil {
			return err
		}
	}
	out, err := e.run(ctx, o, args)
	if err != nil {
		return err
	}
	r.Steps++
	bad := st.judge(out)
	if bad == "" && st.check != nil {
		if err := st.check(e); err != nil {
			bad = err.Error()
		}
	}
	if bad != "" {
		if o.Auto {
			return &StepError{Command: commandText(args), Want: bad}
		}
		r.Missed = append(r.Missed, st.title)
		o.Talk.Missed(bad)
		return nil
	}
	o.Talk.Means(st.means)
	return nil
}
