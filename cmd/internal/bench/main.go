package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mailsync/cmd/internal/link"
)

// options of a run, from the command line.
type options struct {
	bin      string
	work     string
	store    string
	replica  string
	messages int
	reps     int
	quick    bool
	suites   string
	list     bool
	out      string
	keep     bool
}

// suite is a named comparison.
type suite struct {
	name, what string
	run        func(*bench) error
}

var suites = []suite{
	{"scan", "first scan of a store, warm cache, beside reading and hashing it", (*bench).scanWarm},
	{"cold", "the same from a cold cache (root: drops caches)", (*bench).scanCold},
	{"unchanged", "scan of an unchanged store beside rsync -an --delete", (*bench).scanUnchanged},
	{"verify", "verify of a recorded store beside reading and hashing it", (*bench).verify},
	{"diff", "diff of two recorded, equal stores beside rsync -an --delete", (*bench).diffRecorded},
	{"diffread", "diff of two stores without a record beside reading both", (*bench).diffRead},
	{"restore", "durable restore on ext4, xfs and btrfs beside the bare sequence (root)", (*bench).restore},
	{"replay", "replay: recognising and delivering, beside LMTP (root)", (*bench).replay},
	{"neighbour", "what verify costs a latency-sensitive reader on the same disk (root, fio)", (*bench).neighbour},
	{"linkdiff", "diff of stores on two hosts, 20 ms and 100 Mbit/s apart, beside rsync -anc over ssh", (*bench).linkDiff},
	{"linkship", "restore from a host 20 ms and 100 Mbit/s away, beside rsync --files-from over ssh", (*bench).linkShip},
	{"memory", "peak memory against the size of the store", (*bench).memory},
}

func main() {
	if len(os.Args) > 1 {
		if f, ok := children[os.Args[1]]; ok {
			if err := f(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, "bench:", err)
				os.Exit(1)
			}
			return
		}
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// children are the bare programs, run as processes of their own.
var children = map[string]func([]string) error{
	"timed":        timedMain,
	"bare-read":    bareRead,
	"bare-deliver": bareDeliver,
	"lmtp-deliver": lmtpDeliver,
	"relay":        link.RelayMain,
}

func parse() (*options, error) {
	o := &options{}
	flag.StringVar(&o.bin, "bin", "bin/mailsync", "the built program")
	flag.StringVar(&o.work, "work", "/var/tmp/mailsync-bench", "directory for stores, records and images")
	flag.StringVar(&o.store, "store", "", "a store to use (default: one is generated below -work)")
	flag.StringVar(&o.replica, "replica", "", "a replica of it, for diffread and unchanged (default: generated)")
	flag.IntVar(&o.messages, "messages", 200000, "messages of the generated store")
	flag.IntVar(&o.reps, "n", 5, "repetitions")
	flag.BoolVar(&o.quick, "quick", false, "small stores and three repetitions")
	flag.StringVar(&o.suites, "suite", "", "only these, comma separated")
	flag.BoolVar(&o.list, "list", false, "list the suites")
	flag.StringVar(&o.out, "json", "", "append every single measurement to this file, a JSON object a line")
	flag.BoolVar(&o.keep, "keep", true, "keep generated stores for the next run")
	flag.Parse()
	if flag.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if o.quick {
		o.messages = min(o.messages, 10000)
		o.reps = min(o.reps, 3)
	}
	var err error
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return nil, err
	}
	if _, err := os.Stat(o.bin); err != nil && !o.list {
		return nil, fmt.Errorf("%w (make build)", err)
	}
	return o, nil
}

func run() error {
	o, err := parse()
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range suites {
			fmt.Printf("%-10s %s\n", s.name, s.what)
		}
		return nil
	}
	want := strings.FieldsFunc(o.suites, func(r rune) bool { return r == ',' })
	for _, w := range want {
		if !slices.ContainsFunc(suites, func(s suite) bool { return s.name == w }) {
			return fmt.Errorf("no suite %q (-list)", w)
		}
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	defer os.RemoveAll(b.asides())
	b.describeMachine()
	for _, s := range suites {
		if len(want) > 0 && !slices.Contains(want, s.name) {
			continue
		}
		fmt.Printf("\n## %s: %s\n\n", s.name, s.what)
		switch err := s.run(b); {
		case errors.Is(err, errSkipped):
			fmt.Printf("skipped: %v\n", err)
		case err != nil:
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if !o.keep {
		return os.RemoveAll(o.work)
	}
	return nil
}

var errSkipped = errors.New("cannot run here")
