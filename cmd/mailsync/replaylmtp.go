package main

import (
	"context"
	"os"
	"strings"
	"time"

	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/lmtp"
	"mailsync/restore/replay"
)

// through reads --via. A nil target is the store itself.
func (o *replayFlags) through() (*lmtp.Target, error) {
	if o.via == "" {
		return nil, nil
	}
	addr, ok := strings.CutPrefix(o.via, "lmtp:")
	if !ok {
		return nil, usage("--via %q: lmtp:ADDRESS is needed, a socket's path or host:port", o.via)
	}
	t, err := lmtp.ParseTarget(addr)
	if err != nil {
		return nil, usage("--via: %v", err)
	}
	switch {
	case o.plan != "":
		return nil, usage("--plan and --via exclude each other: a plan is applied straight into the store")
	case o.fixUIDNext:
		return nil, usage("--fix-uidnext and --via exclude each other: replay with it straight into the store, or restore with it first")
	case o.keyword != "":
		return nil, usage("--keyword and --via exclude each other: LMTP carries no keywords")
	case strings.HasPrefix(o.ambiguous, "folder="), strings.HasPrefix(o.undecided, "folder="):
		return nil, usage("a folder cannot be chosen with --via: the server's filters choose it")
	}
	return &t, nil
}

// tellVia says what delivering through the server means, before it is asked for.
func (a *app) tellVia(t *lmtp.Target) {
	a.out.Warn(`by LMTP the server delivers (%s): filters, redirects and vacation replies of users will run, so that
people outside may get replies to old mail; INTERNALDATE will be now; undo cannot take it back; and that a
message is durable will be the server's word`, ui.Escape(t.String()))
}

// deliverer is a connection to the server that delivers.
func (a *app) deliverer(ctx context.Context, t *lmtp.Target, l *replay.Ledger) (*lmtp.Deliverer, error) {
	host, _ := os.Hostname() // only a name in a greeting
	d, err := lmtp.New(ctx, lmtp.Options{
		Target: *t, Ledger: l, Run: "lmtp-" + a.began.UTC().Format("20060102T150405Z"), Host: host,
		Connections: a.flags.readers, BytesPerSec: int64(a.flags.limitRate), Now: time.Now,
	})
	if err != nil {
		if cerr := cancelled(ctx); cerr != nil {
			return nil, cerr
		}
		return nil, &ui.Problem{Why: err, Hint: "does the server listen there, and may this user connect? Without --via mail goes straight into the store"}
	}
	a.resume = "what the server accepted is in the ledger; go on with: " + a.again()
	return d, nil
}
