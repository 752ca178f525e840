// Command demo is what make demo runs: a rehearsal of a bad night, from the
// power cut to the account that closes, on a small mail store made of a few
// embedded messages. It needs no configuration, no root and no server, writes
// only into a temporary directory, and shows each command as an operator would
// type it. Every step's outcome is checked; a wrong one ends the demo with
// exit 1.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/term"
)

func main() {
	bin := flag.String("bin", "bin/mailsync", "the mailsync to run")
	keep := flag.Bool("keep", false, "keep the directory, to look around in it")
	flag.Parse()
	if err := run(context.Background(), *bin, *keep); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, keep bool) (err error) {
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mailsync-demo-")
	if err != nil {
		return err
	}
	colour := term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""
	s := &stage{ctx: ctx, bin: bin, dir: dir, out: os.Stdout, colour: colour}
	defer func() {
		if keep || err != nil {
			s.line("The store of this demo is kept in %s", dir)
			return
		}
		if rmErr := os.RemoveAll(dir); err == nil {
			err = rmErr
		}
	}()
	if err := night(s); err != nil {
		return err
	}
	return nil
}
