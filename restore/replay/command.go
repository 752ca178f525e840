package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	// commandChunk is how many addresses one run of the command is asked for.
	commandChunk = 10_000
	// maxAnswer bounds what one run may print, in bytes: an address and a path
	// of the longest kind for each, and far more of the usual kind.
	maxAnswer = commandChunk * 8 << 10
	// lastWords is how long what the command has started may hold its output
	// open when it has ended or was told to.
	lastWords = time.Second
)

var errTalksTooMuch = fmt.Errorf("more than %d bytes for at most %d addresses, or more than %d mailboxes for one", maxAnswer, commandChunk, expansionLimit)

// runCommand asks the operator's command for many addresses at once. answers
// gets the mailboxes of those that were asked for, and of no others.
func runCommand(ctx context.Context, argv, addrs []string, answers map[string][]string) error {
	var in bytes.Buffer
	for _, a := range addrs {
		if !strings.ContainsAny(a, "\r\n\t\x00") { // it could be taken for two lines
			in.WriteString(a)
			in.WriteByte('\n')
		}
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = lastWords
	cmd.Stdin = &in
	out, stderr := output{left: maxAnswer, whole: true}, output{left: 4096}
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if out.over {
		err = errTalksTooMuch
	}
	if err == nil {
		err = readAnswers(out.b.String(), addrs, answers)
	}
	if err != nil {
		err = fmt.Errorf("%w: %s: %w", ErrResolver, argv[0], err)
		if said := strings.TrimSpace(stderr.b.String()); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
	}
	return err
}

// readAnswers reads lines "address<TAB>mailbox". addrs is sorted.
func readAnswers(text string, addrs []string, answers map[string][]string) error {
	for line := range strings.Lines(text) {
		addr, box, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		if !ok || box == "" {
			continue
		}
		if _, asked := slices.BinarySearch(addrs, addr); !asked {
			continue
		}
		if len(answers[addr]) == expansionLimit {
			return errTalksTooMuch
		}
		answers[addr] = append(answers[addr], strings.Clone(box))
	}
	return nil
}

// output keeps the start of what a program prints. One that must be whole ends
// the program when there is more.
type output struct {
	b     bytes.Buffer
	left  int
	whole bool
	over  bool
}

func (o *output) Write(p []byte) (int, error) {
	n := min(o.left, len(p))
	o.b.Write(p[:n])
	o.left -= n
	if n < len(p) && o.whole {
		o.over = true
		return n, errors.New("too much")
	}
	return len(p), nil
}
