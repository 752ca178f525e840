package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/sign"
	"mailsync/cmd/mailsync/ui"
	"mailsync/manifest"
	"mailsync/restore"
)

// passwordVariable holds the password of the secret key: a flag would show it
// to everyone on the host.
const passwordVariable = "MAILSYNC_SIGNING_PASSWORD"

// signer returns nil where the configuration names no secret key.
func (a *app) signer() (*sign.Signer, error) {
	if a.cfg.Signing.SecretKey == "" {
		return nil, nil
	}
	s, err := sign.NewSigner(a.cfg.Signing.SecretKey, a.std.getenv(passwordVariable))
	if err != nil {
		return nil, &ui.Problem{
			Why: err, Code: exitConfig,
			Hint: "minisign -G -W makes a key without a password; that of one with a password is taken from $" + passwordVariable,
		}
	}
	return s, nil
}

// verifier returns nil where the configuration names no public key: then
// nothing has to be signed.
func (a *app) verifier() (*sign.Verifier, error) {
	if len(a.cfg.Signing.PublicKeys) == 0 {
		return nil, nil
	}
	v, err := sign.NewVerifier(a.cfg.Signing.PublicKeys)
	if err != nil {
		return nil, &ui.Problem{Why: err, Code: exitConfig, Hint: "a public key is the line that minisign -G prints, or the file that it writes"}
	}
	return v, nil
}

// signPlan signs a plan that was saved.
func (a *app) signPlan(path string, h restore.PlanHeader) error {
	s, err := a.signer()
	if s == nil || err != nil {
		return err
	}
	if err := s.Sign(path, fmt.Sprintf("mailsync plan %s for %s, made %s", h.ID, h.Store, h.Made.UTC().Format(time.RFC3339))); err != nil {
		return &ui.Problem{What: "signature of " + path, Why: err, Code: exitCantCreate}
	}
	a.out.Note("signed: %s", ui.Name(path+sign.Suffix))
	return nil
}

// loadPlan reads a plan. Where public keys are configured, one without a right
// signature is refused, and what is read is what was signed.
func (a *app) loadPlan(file string) (plan *restore.Plan, closeSigned func(), err error) {
	v, err := a.verifier()
	if err != nil {
		return nil, nil, err
	}
	if v == nil {
		plan, err = restore.LoadPlan(file)
		return plan, func() {}, err
	}
	signed, err := v.Open(file)
	if errors.Is(err, sign.ErrSignature) {
		return nil, nil, &ui.Problem{
			What: "plan " + file, Why: err, Code: exitNoPerm,
			Hint: "the configuration names public_keys: have the plan signed by who made it, or make it anew with restore --plan or replay --plan",
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if plan, err = restore.LoadPlan(signed.Path()); err != nil {
		_ = signed.Close()
		return nil, nil, err
	}
	a.out.Say("The plan is signed: %s.", ui.EscapeText(signed.Comment))
	return plan, func() { _ = signed.Close() }, nil
}

// signRecord lists and signs a store's record, where a secret key is configured.
func (a *app) signRecord(ctx context.Context, s *config.Store, repo *manifest.Repo) error {
	signer, err := a.signer()
	if signer == nil || err != nil {
		return err
	}
	rec, err := repo.Store(key(s))
	if err != nil {
		return a.manifestProblem(s.Name, err)
	}
	err = rec.WriteInventory(ctx)
	if err == nil {
		comment := fmt.Sprintf("mailsync record of %s, scanned %s", s.Name, scanned(rec.Record()).UTC().Format(time.RFC3339))
		err = signer.Sign(rec.InventoryPath(), comment)
	}
	if err != nil {
		return &ui.Problem{What: "signature of the record of " + s.Name, Why: err, Hint: "the record itself is whole; " + a.cmdline("manifest", "sign", s.Name) + " signs it"}
	}
	return nil
}

func (a *app) manifestSign() *cobra.Command {
	return &cobra.Command{
		Use: "sign STORE", Short: "sign a record as it stands (scan does it with a key)", Args: takes(1, 1),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) {
			s, err := a.store(args[0])
			if err != nil {
				return outcome{}, err
			}
			if a.cfg.Signing.SecretKey == "" {
				return outcome{}, &ui.Problem{What: "no secret key", Code: exitConfig, Hint: "name one in the configuration: [signing] secret_key = FILE"}
			}
			repo, err := a.openRepo(false)
			if err != nil {
				return outcome{}, err
			}
			if err := a.signRecord(ctx, s, repo); err != nil {
				return outcome{}, err
			}
			a.out.Say("The record of %s is signed.", ui.Name(s.Name))
			return outcome{}, nil
		}),
	}
}

// checkSignature compares a record with its signed inventory, where public
// keys are configured, and returns what is not as it was signed.
func (a *app) checkSignature(ctx context.Context, s *config.Store, rec *manifest.Store, broken func(manifest.Broken)) error {
	v, err := a.verifier()
	if v == nil || err != nil {
		return err
	}
	resign := "where nobody has touched the state directory: " + a.cmdline("manifest", "sign", s.Name)
	signed, err := v.Open(rec.InventoryPath())
	if errors.Is(err, sign.ErrSignature) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrNotExist) {
		return &ui.Problem{What: "record of " + s.Name, Why: err, Code: exitNoPerm, Hint: resign}
	}
	if err != nil {
		return err
	}
	defer signed.Close()
	tampered, later := 0, 0
	for b, err := range rec.CheckInventory(ctx, signed) {
		switch {
		case err != nil:
			return err
		case errors.Is(b.Err, manifest.ErrTampered):
			tampered++
			broken(b)
		default:
			later++
			if a.out.Verbose() {
				broken(b)
			}
		}
	}
	switch {
	case tampered > 0:
		return &ui.Problem{
			What: fmt.Sprintf("record of %s: %s changed after they were signed", s.Name, ui.Plural(int64(tampered), "file")), Code: exitNoPerm,
			Hint: "do not restore by this record: take a state copy whose signature is right, and find out who wrote into the state directory",
		}
	case later > 0:
		return &ui.Problem{
			What: fmt.Sprintf("record of %s: %s written after the signature (-v lists them)", s.Name, ui.Plural(int64(later), "file")), Code: exitNoPerm,
			Hint: "a scan without secret_key writes unsigned records; " + resign,
		}
	}
	a.out.Say("It is signed: %s.", ui.EscapeText(signed.Comment))
	return nil
}
