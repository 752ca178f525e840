package main

import (
	"errors"
	"iter"
	"time"

	"mailsync/restore"
)

type planSource struct {
	Name, Path string
	Archive    bool
}

type planHead struct {
	Store, Path string
	Made        time.Time
	Sources     []planSource
}

func planHeader(*restore.Plan) planHead { return planHead{} }

func runPath(*restore.RunInfo) string { return "" }

func saveReplayPlan(string, iter.Seq2[restore.Action, error]) error { return errors.ErrUnsupported }
