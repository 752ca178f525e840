package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/scan"
)

// manifestStopped is for a hook at shutdown, after the mail server has ended.
func (a *app) manifestStopped() *cobra.Command {
	return &cobra.Command{
		Use: "stopped [STORE...]", Short: "record that this machine shuts down in good order (for a unit)",
		Long: `Records the boot and the time of a clean stop in the record of each store; with
none named, of every store of the configuration that this host has. The next
scan then trusts what the stamps of files say, over the reboot. Run it while the
machine goes down, after the mail server has ended (docs/systemd).`,
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) {
			id, _ := scan.Boot(time.Now())
			stop := manifest.Stop{BootID: id, At: time.Now().UTC()}
			return a.eachRecord(ctx, args, func(repo *manifest.Repo, s *config.Store) error {
				if err := repo.Stopped(key(s), stop); err != nil {
					return err
				}
				a.out.Say("%s: a clean stop is recorded.", ui.Name(s.Name))
				return nil
			})
		}),
	}
}

// manifestStarted is for a hook at boot.
func (a *app) manifestStarted() *cobra.Command {
	return &cobra.Command{
		Use: "started [STORE...]", Short: "record that this machine has started (for a unit)",
		Long: `Where the clean stop right before this boot is recorded, the record counts as
one of this boot from now on, so that a later crash is one again. Run it at
boot, before the mail server starts (docs/systemd).`,
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) {
			id, at := scan.Boot(time.Now())
			return a.eachRecord(ctx, args, func(repo *manifest.Repo, s *config.Store) error {
				unbroken, err := repo.Started(key(s), id, func(rec manifest.StoreRecord) bool { return scan.Crashed(&rec, id, at) })
				switch {
				case err != nil:
					return err
				case unbroken:
					a.out.Say("%s: no crash lies between its record and this boot.", ui.Name(s.Name))
				default:
					a.out.Say("%s: a crash may lie between its record and this boot; the next scan trusts no stamp.", ui.Name(s.Name))
				}
				return nil
			})
		}),
	}
}

// eachRecord changes the records of stores of this host. A store without a
// record has nothing to change.
func (a *app) eachRecord(ctx context.Context, args []string, change func(*manifest.Repo, *config.Store) error) (outcome, error) {
	named := len(args) > 0
	if !named {
		args = a.cfg.StoreNames()
	}
	list, err := a.stores(args)
	if err != nil {
		return outcome{}, err
	}
	repo, err := a.openRepo(false)
	if err != nil {
		return outcome{}, err
	}
	for _, s := range list {
		if err := cancelled(ctx); err != nil {
			return outcome{}, err
		}
		if s.Host() != "" && !named {
			continue
		}
		if host := s.Host(); host != "" {
			return outcome{}, &ui.Problem{
				What: "store " + s.Name + ": stops and starts of " + host + " are recorded there", Code: exitUnavailable,
				Hint: "run this command on " + host,
			}
		}
		err := change(repo, s)
		if errors.Is(err, manifest.ErrNoRecord) && !named {
			continue
		}
		if err != nil {
			return outcome{}, a.manifestProblem(s.Name, err)
		}
		a.summary.Counts["stores"]++
		if err := a.signRecord(ctx, s, repo); err != nil {
			return outcome{}, err
		}
	}
	return outcome{}, nil
}
