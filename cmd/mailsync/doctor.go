package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/doctor"
	"mailsync/cmd/mailsync/ui"
)

const defaultDoveconf = "doveconf"

func (a *app) doctorCommand() *cobra.Command {
	var doveconf, write string
	c := &cobra.Command{
		Use: "doctor", Short: "is this host fit for mailsync, and where is its mail kept?", Args: takes(0, 0),
		Long: `Doctor asks Dovecot (doveconf) where it keeps mail, and looks at that place and
at every configured store, its control and index trees included: rights, mount
and its options, free space, times in the future; at the host's clock; and at
whether the record would be lost together with a store. It only reads. With
--write it writes a first configuration, for you to read; a file that is there
is never written over.`,
		RunE: a.do(func(ctx context.Context, _ []string) (outcome, error) {
			return a.doctor(ctx, doveconf, write)
		}),
	}
	c.Flags().StringVar(&doveconf, "doveconf", defaultDoveconf, "how doveconf is started: `CMD` with its options, as in \"doveconf -c FILE\"")
	c.Flags().StringVar(&write, "write", "", "write a first configuration to `FILE`, which must not exist")
	return c
}

// foundLine is where a server keeps its mail.
type foundLine struct {
	ui.Head
	Server  string `json:"server"`
	Version string `json:"version"`
	Path    string `json:"path"`
	Layout  string `json:"layout"`
	Folders string `json:"folders"`
	UTF8    bool   `json:"utf8"`
	Control string `json:"control,omitempty"`
	Index   string `json:"index,omitempty"`
}

// patient is what doctor looks at.
type patient struct {
	checker
	state         string
	mounts, fstab []doctor.Mount
	blind         bool // something could not be looked at
}

func (a *app) doctor(ctx context.Context, doveconf, write string) (outcome, error) {
	words := strings.Fields(doveconf)
	if len(words) == 0 {
		return outcome{}, usage("--doveconf names no program")
	}
	state, err := a.stateDir()
	if err != nil {
		return outcome{}, err
	}
	p := &patient{checker: checker{a: a, ctx: ctx}, state: state}
	p.host()
	found, version, err := p.server(words)
	if err != nil {
		return outcome{}, err
	}
	p.place("state", state, true)
	looked := false
	for _, name := range a.cfg.StoreNames() {
		s := a.cfg.Stores[name]
		subject := "stores." + name
		if config.IsRemote(s.Path) {
			p.say("ok", subject, "%s lies on another host: run mailsync doctor there", s.Path)
			continue
		}
		p.patientStore(subject, s)
		if found != nil && s.Path == found.Path {
			looked = true
			p.sameLayout(subject, s, found)
		}
	}
	if found != nil && !looked {
		p.patientStore("dovecot", &config.Store{Path: found.Path, Control: found.Control, Index: found.Index})
	}
	if err := cancelled(ctx); err != nil {
		return outcome{}, err
	}
	a.summary.Counts["errors"], a.summary.Counts["warnings"] = p.errors, p.warnings
	if write != "" {
		if err := p.write(write, version, found); err != nil {
			return outcome{}, err
		}
	}
	if n := p.errors + p.warnings; n > 0 {
		a.out.Say("%s. Nothing was changed.", ui.Plural(n, "remark"))
	} else {
		a.out.Say("%s", a.out.Style.Green("Nothing to remark."))
	}
	switch {
	case write != "":
		a.out.Say("The configuration is in %s. Read it; then:", ui.Escape(write))
		a.out.Command(ui.Command("mailsync", "--config", write, "config", "check"))
	case found != nil && !looked:
		a.out.Say("Next, a first configuration to read:")
		a.out.Command("mailsync doctor --write mailsync.toml")
	}
	return outcome{findings: p.errors+p.warnings > 0, partial: p.blind}, nil
}

// unknown is a remark on what could not be looked at.
func (p *patient) unknown(subject, format string, args ...any) {
	p.blind = true
	p.say("warning", subject, "not known: "+format, args...)
}

// server asks the mail server where it keeps mail. No server on a host is no
// fault, unless one was named.
func (p *patient) server(doveconf []string) (*doctor.Store, string, error) {
	s, err := doctor.Ask(p.ctx, doveconf)
	switch {
	case p.ctx.Err() != nil:
		return nil, "", context.Cause(p.ctx)
	case errors.Is(err, exec.ErrNotFound) && doveconf[0] == defaultDoveconf:
		p.say("ok", "dovecot", "there is no doveconf on this host")
		return nil, "", nil
	case err != nil:
		p.unknown("dovecot", "%v", err)
		return nil, "", nil
	}
	f := s.Find()
	for _, note := range f.Notes {
		p.say("warning", "dovecot", "%s", note)
	}
	if f.Store == nil {
		return nil, s.Version, nil
	}
	l := foundLine{
		Head: ui.Head{V: 1, Type: "found"}, Server: "dovecot", Version: s.Version, Path: f.Store.Path, Layout: f.Store.Layout,
		Folders: config.MaildirPP.String(), UTF8: f.Store.UTF8, Control: f.Store.Control, Index: f.Store.Index,
	}
	if f.Store.FS {
		l.Folders = config.FS.String()
	}
	p.a.out.Record(l)
	p.a.out.Print("Dovecot " + ui.Escape(s.Version) + " keeps mail below " + ui.Escape(l.Path) + ", each mailbox at " + ui.Escape(l.Layout) + " (" + l.Folders + ").")
	return f.Store, s.Version, nil
}

func (p *patient) sameLayout(subject string, s *config.Store, found *doctor.Store) {
	if s.Layout != "" && s.Layout != found.Layout {
		p.say("warning", subject, "its layout is %s; Dovecot's settings say %s", s.Layout, found.Layout)
	}
	if (s.Folders == config.FS) != found.FS {
		p.say("warning", subject, "its folders are %s; Dovecot's settings say otherwise", s.Folders)
	}
}

// host looks at what is the same for all stores.
func (p *patient) host() {
	if f, err := os.Open("/proc/self/status"); err != nil {
		p.unknown("rights", "%v", err)
	} else {
		r, err := doctor.RightsOf(f)
		f.Close()
		switch {
		case err != nil:
			p.unknown("rights", "%v", err)
		case !r.Read:
			p.say("warning", "rights", "this process may read only what its user may: CAP_DAC_READ_SEARCH is missing")
		case !r.NoAtime:
			p.say("warning", "rights", "access times will move: CAP_FOWNER is missing")
		case !r.Write:
			p.say("ok", "rights", "mail of all owners can be read; to put something back takes CAP_DAC_OVERRIDE and CAP_CHOWN, too")
		default:
			p.say("ok", "rights", "mail of all owners can be read and put back")
		}
	}
	switch kept, err := doctor.ClockKept(); {
	case err != nil:
		p.unknown("clock", "%v", err)
	case !kept:
		p.say("warning", "clock", "nothing keeps the clock in step (NTP): times of crash, gap and arrival are compared across hosts")
	default:
		p.say("ok", "clock", "it is kept in step")
	}
	p.mounts = p.table("/proc/self/mountinfo", doctor.Mounts)
	p.fstab = p.table("/etc/fstab", doctor.Fstab)
}
