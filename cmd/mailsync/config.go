package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"mailsync/cmd/mailsync/config"
	"mailsync/cmd/mailsync/ui"
	"mailsync/restore/replay"
	"mailsync/scan"
	"mailsync/scan/beneath"
)

func (a *app) configCommand() *cobra.Command {
	check := &cobra.Command{
		Use: "check", Short: "is the configuration right, and does it fit this host?", Args: takes(0, 0),
		Long: `Check reads the configuration strictly and looks whether what it names is there:
stores, lists of users, archives, maps, the state directory and its copies.
It warns where the record would be lost together with the store.`,
		RunE: a.do(a.configCheck),
	}
	var origin bool
	show := &cobra.Command{
		Use: "show", Short: "what applies, and where it comes from", Args: takes(0, 0),
		RunE: a.do(func(ctx context.Context, args []string) (outcome, error) {
			if origin {
				return a.configOrigin()
			}
			return a.configShow(ctx, args)
		}),
	}
	show.Flags().BoolVar(&origin, "origin", false, "each value with where it comes from: flag, environment, file and line, default")
	return family("config", "check or show the configuration", check, show)
}

// remark is one line of config check.
type remark struct {
	ui.Head
	Subject string `json:"subject"` // stores.primary, state, recipients
	Level   string `json:"level"`   // ok, warning, error
	Text    string `json:"text"`
}

// checker collects what config check finds.
type checker struct {
	a                *app
	ctx              context.Context
	errors, warnings int64
}

func (c *checker) say(level, subject, format string, args ...any) {
	r := remark{Head: ui.Head{V: 1, Type: "check"}, Subject: subject, Level: level, Text: fmt.Sprintf(format, args...)}
	c.a.out.Record(r)
	word := c.a.out.Style.Green("ok      ")
	switch level {
	case "error":
		c.errors++
		word = c.a.out.Style.Red("error   ")
	case "warning":
		c.warnings++
		word = c.a.out.Style.Yellow("warning ")
	}
	if level != "ok" || !c.a.out.Quiet() {
		c.a.out.Text(8, word+ui.Escape(subject)+": "+ui.EscapeText(r.Text))
	}
}

// there says whether a path can be looked at as what it should be.
func (c *checker) there(subject, what, path string, dir bool) bool {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		c.say("error", subject, "%s %s: %v", what, path, reason(err))
	case dir && !st.IsDir():
		c.say("error", subject, "%s %s is no directory", what, path)
	case !dir && st.IsDir():
		c.say("error", subject, "%s %s is a directory", what, path)
	default:
		return true
	}
	return false
}

func (a *app) configCheck(ctx context.Context, _ []string) (outcome, error) {
	c := &checker{a: a, ctx: ctx}
	if a.cfg.File == "" {
		c.say("warning", "file", "there is no %s; only stores given by path can be used", config.DefaultFile)
	} else {
		c.say("ok", "file", "%s is well formed", a.cfg.File)
	}
	state, err := a.stateDir()
	if err != nil {
		return outcome{}, err
	}
	at := map[string]string{}
	for _, name := range a.cfg.StoreNames() {
		s := a.cfg.Stores[name]
		c.store(s, state)
		if other, ok := at[s.Path]; ok {
			c.say("warning", "stores."+name, "it is the same directory as %s: compared with each other they prove nothing", other)
		}
		at[s.Path] = name
	}
	if len(a.cfg.StoreNames()) > 0 && len(a.cfg.StateCopies) == 0 {
		c.say("warning", "state_copies", "the record lives only on this host, in %s: when the host is lost, so is the knowledge of what was on it", state)
	}
	for _, p := range a.cfg.StateCopies {
		switch {
		case config.IsRemote(p):
			c.say("warning", "state_copies", "%s: no copy is pushed to another host; mailsync scan HOST:PATH, run there, reads the stores here and keeps their record there", p)
		case c.there("state_copies", "directory", p, true):
			c.say("ok", "state_copies", "%s is there", p)
		}
	}
	for _, name := range a.cfg.ArchiveNames() {
		x := a.cfg.Archives[name]
		p := x.Path
		if config.IsRemote(p) {
			c.farArchive(x)
			continue
		}
		if _, err := os.Stat(p); err != nil {
			c.say("error", "archives."+name, "%s: %v", p, reason(err))
		} else {
			c.say("ok", "archives."+name, "%s is there", p)
		}
	}
	r := a.cfg.Recipients
	for _, list := range [][]string{r.Virtual, r.Aliases, r.Mailboxes, r.PasswdFiles} {
		for _, p := range list {
			p = replay.MapFile(p, r.AsOf)
			if c.there("recipients", "map", p, false) {
				c.say("ok", "recipients", "%s is there", p)
			}
		}
	}
	a.summary.Counts["errors"], a.summary.Counts["warnings"] = c.errors, c.warnings
	if c.errors > 0 {
		return outcome{}, &ui.Problem{
			What: fmt.Sprintf("the configuration does not fit this host: %s", ui.Plural(c.errors, "error")),
			Code: exitConfig, Hint: "each is named above",
		}
	}
	a.out.Say("%s", "The configuration is right"+warned(c.warnings)+". Next: mailsync scan, for each store once.")
	return outcome{}, nil
}

func warned(n int64) string {
	if n == 0 {
		return ""
	}
	return ", with " + ui.Plural(n, "warning")
}

// far asks the host of a store whether it answers and serves it.
func (c *checker) far(subject string, s *config.Store) {
	sd, err := c.a.openFar(c.ctx, s, trustStamps)
	if err != nil {
		c.say("warning", subject, "%s: %s", s.Path, ui.Oneline(err, 300))
		return
	}
	defer sd.close()
	if sd.far.ReadOnly() {
		c.say("ok", subject, "%s can be looked at there; it is served read-only, and restore and replay into it are refused", s.Path)
		return
	}
	c.say("ok", subject, "%s can be looked at and written into there", s.Path)
}

// farArchive asks the host of an archive the same.
func (c *checker) farArchive(x *config.Archive) {
	ar, err := c.a.openArchive(c.ctx, x)
	if err != nil {
		c.say("warning", "archives."+x.Name, "%s: %s", x.Path, ui.Oneline(err, 300))
		return
	}
	_ = ar.Close()
	c.say("ok", "archives."+x.Name, "%s can be read there", x.Path)
}

func (c *checker) store(s *config.Store, state string) {
	subject := "stores." + s.Name
	if config.IsRemote(s.Path) {
		c.far(subject, s)
		return
	}
	if !c.there(subject, "path", s.Path, true) {
		return
	}
	if file, command := s.Users(); file != "" {
		c.there(subject, "users", file, false)
	} else if len(command) > 0 && filepath.IsAbs(command[0]) {
		c.there(subject, "users", command[0], false)
	}
	if err := c.understood(s); err != nil {
		c.say("error", subject, "%s", ui.Oneline(err, 300))
		return
	}
	if under(state, s.Path) {
		c.say("error", subject, "the state directory %s lies on it: name another with state", state)
		return
	}
	if same, err := sameFilesystem(s.Path, state); err == nil && same {
		c.say("warning", subject, "its record (%s) lies on the same file system: what damages one damages the other", state)
		return
	}
	c.say("ok", subject, "%s can be looked at", s.Path)
}

// understood tells whether the scanner can do with what is said of a store: its
// templates, and its list of users. A command that makes the list is not run.
func (c *checker) understood(s *config.Store) error {
	x, err := scan.New(c.a.scanConfig(s), scan.Options{Calls: c.a.readCalls()})
	if err != nil {
		return err
	}
	defer func() { _ = x.Close() }()
	if file, _ := s.Users(); file != "" {
		first, stop := iter.Pull2(x.Mailboxes(c.ctx)) // the list is read whole before
		defer stop()
		if _, err, ok := first(); ok && errors.Is(err, scan.ErrConfig) {
			return err
		}
	}
	return nil
}

// sameFilesystem compares two paths by device; of a path that is not there
// yet, the nearest directory above it counts.
func sameFilesystem(x, y string) (bool, error) {
	device := func(p string) (uint64, error) {
		for {
			st, err := os.Stat(p)
			if err == nil {
				if sys, ok := st.Sys().(*syscall.Stat_t); ok {
					return uint64(sys.Dev), nil
				}
				return 0, errors.ErrUnsupported
			}
			up := filepath.Dir(p)
			if up == p || !errors.Is(err, os.ErrNotExist) {
				return 0, err
			}
			p = up
		}
	}
	dx, err := device(x)
	if err != nil {
		return false, err
	}
	dy, err := device(y)
	return dx == dy, err
}

// reason is an error without the path, which the text names already.
func reason(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var below *beneath.Error
	if errors.As(err, &below) {
		return below.Err
	}
	return err
}

// shown is the line of config show.
type shown struct {
	ui.Head
	File        string         `json:"file"`
	State       string         `json:"state"`
	StateCopies []string       `json:"state_copies"`
	Stores      []shownStore   `json:"stores"`
	Archives    []shownArchive `json:"archives"`
}

type shownStore struct {
	Name          string `json:"name"`
	Path          string `json:"path"`
	Role          string `json:"role"`
	Mailboxes     string `json:"mailboxes"` // how they are found
	FailureDomain string `json:"failure_domain"`
}

type shownArchive struct {
	Name string `json:"name"`
	Path string `json:"path"`
}

func (a *app) configShow(context.Context, []string) (outcome, error) {
	state, err := a.stateDir()
	if err != nil {
		return outcome{}, err
	}
	s := shown{
		Head: ui.Head{V: 1, Type: "config"}, File: a.cfg.File, State: state,
		StateCopies: append([]string{}, a.cfg.StateCopies...), Stores: []shownStore{}, Archives: []shownArchive{},
	}
	stores := ui.Table{{"store", "role", "path", "mailboxes", "failure domain"}}
	for _, name := range a.cfg.StoreNames() {
		st := a.cfg.Stores[name]
		row := shownStore{Name: name, Path: st.Path, Role: st.Role.String(), Mailboxes: foundBy(st), FailureDomain: st.FailureDomain}
		s.Stores = append(s.Stores, row)
		stores = append(stores, []string{row.Name, row.Role, ui.Escape(row.Path), ui.Escape(row.Mailboxes), ui.Escape(row.FailureDomain)})
	}
	archives := ui.Table{{"archive", "path"}}
	for _, name := range a.cfg.ArchiveNames() {
		p := a.cfg.Archives[name].Path
		s.Archives = append(s.Archives, shownArchive{Name: name, Path: p})
		archives = append(archives, []string{name, ui.Escape(p)})
	}
	a.out.Record(s)
	file := s.File
	if file == "" {
		file = "none (" + config.DefaultFile + " is not there)"
	}
	a.out.Print("configuration  " + ui.Escape(file))
	a.out.Print("state          " + ui.Escape(state))
	for _, c := range s.StateCopies {
		a.out.Print("copy of state  " + ui.Escape(c))
	}
	for _, t := range []ui.Table{stores, archives} {
		if len(t) > 1 {
			a.out.Print("")
			a.out.Table(t)
		}
	}
	return outcome{}, nil
}

func foundBy(s *config.Store) string {
	file, command := s.Users()
	switch {
	case s.Layout != "":
		return "layout " + s.Layout
	case file != "":
		return "list " + file
	case len(command) > 0:
		return "command " + ui.Command(command...)
	}
	return "by looking"
}

// stateDir is where mailsync keeps its own files.
func (a *app) stateDir() (string, error) {
	return a.cfg.StateDir(a.flags.state, a.std.getenv, a.std.uid)
}
