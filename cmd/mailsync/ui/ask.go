package ui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Errors of a question.
var (
	// ErrNotAsked: there is no terminal to ask at.
	ErrNotAsked = errors.New("there is no terminal to ask at")
	// ErrNoAnswer: the terminal was closed instead.
	ErrNoAnswer = errors.New("no answer was given")
)

// Ask puts a question and returns the answer without spaces around it. It
// returns the cause when ctx ends first. Questions come one after the other.
func (o *Out) Ask(ctx context.Context, question string) (string, error) {
	if !o.Interactive() {
		return "", ErrNotAsked
	}
	o.mu.Lock()
	o.bar.clear(o.opt.Stderr)
	_, _ = fmt.Fprint(o.opt.Stderr, question+" ")
	o.asking = true
	if o.answers == nil {
		o.answers = bufio.NewReader(o.opt.Stdin)
	}
	from := o.answers
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.asking = false
		o.mu.Unlock()
	}()
	type answer struct {
		text string
		err  error
	}
	// The reader outlives a cancelled question: a terminal cannot be unread,
	// and the process is about to end.
	got := make(chan answer, 1)
	go func() {
		text, err := from.ReadString('\n')
		if errors.Is(err, io.EOF) && text != "" {
			err = nil
		}
		got <- answer{strings.TrimSpace(text), err}
	}()
	select {
	case <-ctx.Done():
		o.stderr("")
		return "", context.Cause(ctx)
	case a := <-got:
		if errors.Is(a.err, io.EOF) {
			return "", ErrNoAnswer
		}
		return a.text, a.err
	}
}

// Confirm asks a question that only "yes" or "y" answers with true.
func (o *Out) Confirm(ctx context.Context, question string) (bool, error) {
	a, err := o.Ask(ctx, question+" [y/N]")
	a = strings.ToLower(a)
	return a == "y" || a == "yes", err
}
