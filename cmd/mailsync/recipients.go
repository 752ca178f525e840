package main

import (
	"context"

	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/replay"
	"mailsync/restore/userdb"
)

// resolver reads the operator's maps.
func (a *app) resolver(ctx context.Context, target *side) (replay.Resolver, error) {
	names, err := replay.NewNames(ctx, target.source())
	if err != nil {
		return nil, a.storeProblem(target.store.Name, err)
	}
	r := a.cfg.Recipients
	m := replay.Maps{
		Delimiter: r.Delimiter, KeepCase: r.CaseFold != nil && !*r.CaseFold, Domains: r.Domains, Virtual: r.Virtual, Aliases: r.Aliases,
		VirtualMailbox: r.Mailboxes, VirtualMailboxBase: r.MailboxBase, PasswdFiles: r.PasswdFiles, Command: r.Command, AsOf: r.AsOf,
		Mailboxes: names,
	}
	if place := target.placed(ctx); place != nil {
		m.At = target.mailboxAt(ctx, place)
		if target.store.Layout != "" {
			m.Placed = func(name string) bool { return place(name) != "" }
		}
	}
	if m.Userdbs, err = a.userdbs(ctx); err != nil {
		return nil, err
	}
	res, err := replay.NewResolver(m)
	if err != nil {
		return nil, a.replayProblem(err)
	}
	return res, nil
}

// userdbs opens the databases of [recipients]. They are closed when the
// command ends.
func (a *app) userdbs(ctx context.Context) ([]replay.Userdb, error) {
	r := a.cfg.Recipients
	var out []replay.Userdb
	if q := r.SQL; q != nil {
		db, err := userdb.Open(ctx, userdb.Options{
			Driver: userdb.Driver(q.Driver), DSN: q.DSN, Base: q.Base,
			Queries: userdb.Queries{Aliases: q.Aliases, AliasDomains: q.AliasDomains, Mailboxes: q.Mailboxes},
		})
		if err != nil {
			return nil, &ui.Problem{What: "recipients.sql", Why: err, Hint: "is dsn right, and may this user connect? docs/configuration.md shows both forms"}
		}
		context.AfterFunc(ctx, func() { _ = db.Close() }) // nothing was written
		out = append(out, db)
	}
	if len(r.Doveadm) > 0 {
		out = append(out, &userdb.Doveadm{Command: r.Doveadm, Maildir: r.HomeMaildir})
	}
	return out, nil
}
