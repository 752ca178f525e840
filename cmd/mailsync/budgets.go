package main

import (
	"math"
	"runtime"
	"runtime/debug"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/scan"
	"mailsync/scan/budget"
)

// memoryLimit is where the collector stops letting the heap grow to twice what
// is in use and works harder instead. Only mailboxes of millions of messages
// come near it.
const memoryLimit = 448 << 20

// budgets makes the one budget of a run, shared by all its stores. Reading
// mail from a disk, and writing, need more threads than processors: each waits.
func (a *app) budgets() *budget.Set {
	a.manyThreads()
	return a.newBudgets()
}

// readingBudgets is budgets for a run that reads only. What lies in the page
// cache is read faster by no more threads than there are processors.
func (a *app) readingBudgets() *budget.Set {
	set := a.newBudgets()
	set.OnDisk(a.manyThreads)
	return set
}

func (a *app) manyThreads() { runtime.GOMAXPROCS(scan.Procs(a.flags.readers)) }

func (a *app) newBudgets() *budget.Set {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // unless GOMEMLIMIT says otherwise
		debug.SetMemoryLimit(memoryLimit)
	}
	a.set = budget.NewSet(budget.Limits{Readers: a.flags.readers, BytesPerSec: int64(a.flags.limitRate)}, nil)
	return a.set
}

// limits are those of a store: the command line before the store's own before
// the configuration's.
func (a *app) limits(s *config.Store) budget.Limits {
	first := func(v ...int64) int64 {
		for _, x := range v {
			if x > 0 {
				return x
			}
		}
		return 0
	}
	return budget.Limits{
		Readers:     int(first(int64(a.flags.readers), int64(s.Readers), int64(a.cfg.Readers))),
		BytesPerSec: first(int64(a.flags.limitRate), int64(s.LimitRate), int64(a.cfg.LimitRate)),
		FilesPerSec: int64(s.FilesPerSec),
		Target:      s.Latency.Duration,
	}
}

// idle puts the process behind everybody else who reads from the disks, where a
// store asks for that. A kernel that has no such class is no reason not to read.
func (a *app) idle(s *config.Store) {
	if !s.Idle {
		return
	}
	if err := budget.Idle(); err != nil {
		a.out.Warn("%s: %s", ui.Name(s.Name), ui.Oneline(err, 200))
	}
}
