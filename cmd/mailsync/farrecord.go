package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"mailsync/cmd/mailsync/config"
	"mailsync/manifest"
	"mailsync/restore/remote"
)

// fetchers is how many manifests are on their way at once.
const fetchers = 16

// keepRecord brings the copy of a record up to date that this host keeps of a
// store on another one. It is a record like any other: written by a session,
// manifest by manifest, each of which is checked as it comes. What has not
// changed since the last copy does not travel.
func (a *app) keepRecord(ctx context.Context, s *config.Store, p *remote.Peer, repo *manifest.Repo, adopt bool) error {
	far, err := p.Open(ctx, a.spec(s, trustStamps))
	if err != nil {
		return err
	}
	defer far.Close()
	there := far.Record()
	if there == nil {
		return nil
	}
	about, err := there.About()
	if err != nil {
		return err
	}
	id := about.Identity
	id.Name, id.Path = known(s), recordPath(s)
	whole := about.Open.Began.IsZero()
	session, err := repo.Begin(id, manifest.SessionOptions{Alg: about.Alg, Adopt: adopt, Fresh: true, Now: lookTimes(&about)})
	if err != nil {
		return err
	}
	err = copyMailboxes(ctx, there, session)
	if err == nil {
		err = session.Finish(whole)
	}
	return errors.Join(err, session.Close())
}

// lookTimes are the times of a look that was made elsewhere: when it began,
// then when it ended.
func lookTimes(about *manifest.StoreRecord) func() time.Time {
	began, ended := about.Complete.Began, about.Complete.Ended
	if !about.Open.Began.IsZero() {
		began, ended = about.Open.Began, about.Open.Began
	}
	first := true
	return func() time.Time {
		if first {
			first = false
			return began
		}
		return ended
	}
}

// copyMailboxes records what another host has recorded.
func copyMailboxes(ctx context.Context, there *remote.Record, session *manifest.Session) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchers)
	var failed error
	for h, err := range there.Heads(gctx) {
		if err != nil {
			failed = err
			break
		}
		old, err := session.Store().Head(h.Name)
		if err == nil && old.Gone.IsZero() && old.Ended.Equal(h.Ended) && old.State == h.State && old.Damaged == h.Damaged && old.Messages == h.Messages && old.Absences == h.Absences {
			if failed = session.Keep(h.Name); failed != nil {
				break
			}
			continue
		}
		g.Go(func() error { return copyMailbox(gctx, there, session, h.Name) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if failed == nil {
		failed = cancelled(ctx)
	}
	return failed
}

func copyMailbox(ctx context.Context, there *remote.Record, session *manifest.Session, name string) error {
	v, err := there.Open(ctx, name)
	if err != nil {
		return err
	}
	defer v.Close()
	d, err := session.Create(name)
	if err != nil {
		return err
	}
	defer d.Abort()
	for e, err := range v.Entries(ctx) {
		if err != nil {
			return err
		}
		if err := d.Add(&e); err != nil {
			return err
		}
	}
	for x, err := range v.Absences(ctx) {
		if err != nil {
			return err
		}
		if err := d.Absent(&x); err != nil {
			return err
		}
	}
	return d.Commit(v.Mailbox(), manifest.Extra{})
}
