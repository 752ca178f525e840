package main

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/restore/replay"
)

// replayFlags are the flags of replay and audit.
type replayFlags struct {
	writeFlags
	from, to     string
	recorded     []string
	mailbox      config.Globs
	since, until string
	crashAt      config.Crash
	via          string
	ambiguous    string
	deliveryLogs []string
	multiset     bool
	keyword      string
	undelete     bool
	undecided    string
	fixUIDNext   bool
	outbound     bool     // audit: of mail that left
	queues       []string // with outbound
	service      string   // with outbound: the field that names the service
	transport    string   // with outbound: the MTA's, that writes the archive
}

func (a *app) replayCommand() *cobra.Command {
	var o replayFlags
	c := &cobra.Command{
		Use: "replay --from ARCHIVE [--to STORE]", Short: "deliver what the gateway's archive has and the store lacks",
		Long: `Replay reads the archive, works out for whom each message was, looks whether it
is already in the mailbox (in any folder), and delivers what is missing inside
the gap, straight into the store: no vacation reply, forward or bounce is sent.
It shows the account and asks before it writes. A second replay delivers
nothing. Without --since it looks for the gap and shows it.`,
		Args: takes(0, 0),
		RunE: a.do(func(ctx context.Context, _ []string) (outcome, error) { return a.replay(ctx, &o, true) }),
	}
	a.replayFlags(c, &o)
	a.writeFlags(c, &o.writeFlags)
	f := c.Flags()
	f.StringVar(&o.via, "via", "", "deliver by `lmtp:ADDRESS`, with the server's filters and quota, instead of straight into the store")
	f.StringVar(&o.keyword, "keyword", "", "set this keyword on what is delivered, so that it can be found")
	f.BoolVar(&o.undelete, "undelete", false, "deliver deleted messages, too")
	f.StringVar(&o.undecided, "undecided", "", "the same as --ambiguous")
	f.BoolVar(&o.fixUIDNext, "fix-uidnext", false, "first raise next UIDs that are not safe, by what the records of all stores know")
	_ = f.MarkHidden("undecided")
	return c
}

func (a *app) auditCommand() *cobra.Command {
	var o replayFlags
	c := &cobra.Command{
		Use: "audit --from ARCHIVE [--to STORE]", Short: "what became of every archived message; delivers nothing",
		Long: `Audit draws up the account that must close: archived = present + delivered +
deleted + filtered + duplicate + what is still open, mailbox by mailbox, with
the list behind each number. It delivers nothing and writes nothing.`,
		Args: takes(0, 0),
		RunE: a.do(func(ctx context.Context, _ []string) (outcome, error) {
			if o.outbound {
				return a.outbound(ctx, &o)
			}
			if len(o.queues) > 0 || o.service != "" {
				return outcome{}, usage("--queue and --service-header belong to --outbound")
			}
			return a.replay(ctx, &o, false)
		}),
	}
	a.replayFlags(c, &o)
	f := c.Flags()
	f.BoolVar(&o.outbound, "outbound", false, "of mail that left: what was sent, delayed, bounced, expired, lost, by service")
	f.StringArrayVar(&o.queues, "queue", nil, "with --outbound: `DIR` of the MTA's queue as it is now (repeatable)")
	f.StringVar(&o.transport, "archive-transport", "archive", "with --outbound: `NAME` of the MTA's transport that writes the archive; what it takes counts as sent to nobody")
	f.StringVar(&o.service, "service-header", "", "with --outbound: `FIELD` that names the service (default: SASL user or client address of the log)")
	o.dryRun = true
	return c
}

func (a *app) replayFlags(c *cobra.Command, o *replayFlags) {
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "the `ARCHIVE`")
	f.StringVar(&o.to, "to", "", "the `STORE` (default: the one with role primary)")
	f.StringArrayVar(&o.recorded, "recorded", nil, "take this `STORE` from its record: it is offline (repeatable)")
	f.Var(&o.mailbox, "mailbox", "only mailboxes that match, in this order (repeatable)")
	f.StringVar(&o.since, "since", "", "`TIME` from which absent mail is missing, or all (default: the gap that is found)")
	f.StringVar(&o.until, "until", "", "`TIME` up to which")
	f.Var(&o.crashAt, "crash-at", "a crash happened then: what was there before and is gone is lost, not deleted")
	f.StringVar(&o.ambiguous, "ambiguous", "skip", "where another version is present: `skip|deliver|folder=NAME`")
	f.StringArrayVar(&o.deliveryLogs, "delivery-log", nil, "mail log `FILE` that shows what was filtered or forwarded (repeatable)")
	f.BoolVar(&o.multiset, "multiset", false, "count copies, instead of asking for one of each message")
	a.pageFlag(f)
}

// window reads --since and --until.
func (o *replayFlags) window(opt *replay.Options) error {
	if o.since == "all" {
		opt.All = true
	} else if o.since != "" {
		var w config.When
		if err := w.Set(o.since); err != nil {
			return usage("--since: %v", err)
		}
		opt.Since = w.Time
	}
	if o.until != "" {
		var w config.When
		if err := w.Set(o.until); err != nil {
			return usage("--until: %v", err)
		}
		opt.Until = w.Time
	}
	return nil
}

// decision reads --ambiguous.
func (o *replayFlags) decision(opt *replay.Options) error {
	word := o.ambiguous
	if o.undecided != "" {
		word = o.undecided
	}
	folder, ok := strings.CutPrefix(word, "folder=")
	switch {
	case word == "skip" || word == "leave":
	case word == "deliver" || word == "restore":
		opt.Ambiguous = replay.Deliver
	case ok && strings.EqualFold(folder, "INBOX"):
		opt.Ambiguous = replay.Deliver
	case ok && !slices.Contains(strings.Split(folder, "/"), "") && !strings.ContainsFunc(folder, unicode.IsControl):
		opt.Ambiguous, opt.AmbiguousFolder = replay.InFolder, folder
	default:
		return usage("--ambiguous %q is none of skip, deliver, folder=NAME", word)
	}
	return nil
}
