package main

import (
	"context"
	"strings"

	"mailsync/cmd/mailsync/page"
	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/archive"
	"mailsync/restore/replay"
)

// outbound is audit --outbound: what became of the mail that left.
func (a *app) outbound(ctx context.Context, o *replayFlags) (outcome, error) {
	if o.from == "" {
		return outcome{}, usage("audit --outbound needs --from ARCHIVE, the archive of sent mail")
	}
	if len(o.deliveryLogs) == 0 {
		return outcome{}, usage("audit --outbound needs --delivery-log FILE, the log of the MTA")
	}
	if o.to != "" || len(o.mailbox) > 0 {
		return outcome{}, usage("--to and --mailbox are for mail that arrives")
	}
	var w replay.Options
	if err := o.window(&w); err != nil {
		return outcome{}, err
	}
	from, err := a.archive(o.from)
	if err != nil {
		return outcome{}, err
	}
	opt := replay.OutboundOptions{Logs: o.deliveryLogs, Header: o.service, Copy: o.transport, Since: w.Since, Until: w.Until, Progress: new(replay.Progress)}
	if opt.Archive, err = a.openArchive(ctx, from); err != nil {
		return outcome{}, err
	}
	defer opt.Archive.Close()
	for _, dir := range o.queues {
		q, err := archive.Open(dir, archive.Options{})
		if err != nil {
			return outcome{}, &ui.Problem{What: "queue " + dir, Why: err, Hint: "may this user read it? An MTA's queue is its own"}
		}
		defer q.Close()
		opt.Queues = append(opt.Queues, q)
	}
	p := opt.Progress
	stop := a.out.Progress(ctx, a.poke, func() ui.Snapshot {
		s := ui.Snapshot{Stage: "reading the archive", Done: p.Done.Load(), Unit: "line"}
		if st := p.Stage.Load(); st != nil {
			s.Stage = *st
		}
		return s
	})
	defer stop()
	var sum replay.Service
	var findings int64
	services := ui.Table{{"service", "archived", "sent", "delayed", "bounced", "expired", "lost"}}
	for ev, err := range replay.Outbound(ctx, opt) {
		if err != nil {
			stop()
			return outcome{}, a.replayProblem(err)
		}
		switch {
		case ev.Finding != nil:
			findings++
			a.finding(ev.Finding)
		case ev.Outgoing != nil:
			a.sending(ev.Outgoing)
		case ev.Service != nil:
			s := ev.Service
			a.out.Record(struct {
				ui.Head
				*replay.Service
			}{ui.Head{V: 1, Type: "service"}, s})
			sum.Archived, sum.Sent, sum.Delayed, sum.Bounced = sum.Archived+s.Archived, sum.Sent+s.Sent, sum.Delayed+s.Delayed, sum.Bounced+s.Bounced
			sum.Expired, sum.Lost = sum.Expired+s.Expired, sum.Lost+s.Lost
			row := []string{serviceName(s.Service)}
			for _, n := range []int64{s.Archived, s.Sent, s.Delayed, s.Bounced, s.Expired, s.Lost} {
				row = append(row, ui.Count(n))
			}
			services = append(services, row)
		}
	}
	stop()
	if err := cancelled(ctx); err != nil {
		return outcome{}, err
	}
	a.tellMore()
	for k, n := range map[string]int64{"archived": sum.Archived, "sent": sum.Sent, "delayed": sum.Delayed, "bounced": sum.Bounced, "expired": sum.Expired, "lost": sum.Lost} {
		a.summary.Counts[k] = n
	}
	if len(services) > 1 && !a.out.JSON() {
		a.out.Print("")
		a.out.Table(services)
	}
	a.out.Say("%s", page.Outbound(func(name string) int64 { return a.summary.Counts[name] }))
	return outcome{findings: sum.Lost+sum.Delayed > 0, partial: findings > 0}, nil
}

func serviceName(s string) string {
	if s == "" {
		return "(not known)"
	}
	return ui.Escape(s)
}

// sending prints what became of one message for one recipient. People see what
// is lost or delayed; the rest with --verbose.
func (a *app) sending(x *replay.Outgoing) {
	a.out.Record(struct {
		ui.Head
		*replay.Outgoing
	}{ui.Head{V: 1, Type: "sending"}, x})
	if a.out.JSON() || x.Outcome != replay.Lost && x.Outcome != replay.Delayed && !a.out.Verbose() || !a.show(string(x.Outcome)) {
		return
	}
	word := pad(string(x.Outcome), 14)
	switch x.Outcome {
	case replay.Lost:
		word = a.out.Style.Red(word)
	case replay.Delayed:
		word = a.out.Style.Yellow(word)
	}
	id := "(no Message-ID)"
	if x.MessageID != nil {
		id = ui.Escape(*x.MessageID)
	}
	a.out.Text(16, word+"  "+ui.Name(x.Recipient)+"  "+id+"  "+a.out.Style.Dim(ui.Escape(x.Source)))
	if x.Detail != "" {
		a.out.Text(16, strings.Repeat(" ", 16)+a.out.Style.Dim(ui.EscapeText(x.Detail)))
	}
}
