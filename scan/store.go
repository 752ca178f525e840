package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"mailsync/compare"
	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/budget"
	"mailsync/scan/maildir"
)

// Scanner looks at one store on disk. It is safe for use by several
// goroutines. It implements compare.Source and compare.Witness.
type Scanner struct {
	cfg    Config
	opt    Options
	root   *beneath.Dir
	self   beneath.Stat
	fs     beneath.FileSystem
	multi  bool // the kernel gives fine time stamps
	layout *maildir.Template
	ctl    *maildir.Template
	idx    *maildir.Template

	cores chan *core

	mu     sync.Mutex
	pools  map[*budget.Device]*pool
	users  *userList
	closed bool
	doors  doors
	census census
	// crashed: a crash may lie between Options.Record and now.
	crashed bool
}

// New opens the store's root. It fails with ErrNoStore where that cannot be
// opened, and with ErrConfig.
func New(cfg Config, opt Options) (*Scanner, error) {
	if cfg.Alg == manifest.NoAlg {
		cfg.Alg = manifest.BLAKE3
	}
	if cfg.Breaker == 0 {
		cfg.Breaker = 0.01
	}
	if cfg.KeepAbsences == 0 {
		cfg.KeepAbsences = 90 * 24 * time.Hour
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Budgets == nil {
		opt.Budgets = budget.NewSet(cfg.Limits, nil)
	}
	if opt.BootID == "" {
		opt.BootID = bootID()
	}
	if opt.BootAt.IsZero() {
		opt.BootAt = bootTime(opt.Now())
	}
	if r := opt.Record; r != nil {
		if opt.Recorded == nil {
			opt.Recorded = FromRecord(r)
		}
		if opt.Heads == nil {
			opt.Heads = r.Heads
		}
	}
	abs, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrConfig, cfg.Path, err)
	}
	cfg.Path = abs
	if cfg.Name == "" {
		cfg.Name = abs
	}
	s := &Scanner{cfg: cfg, opt: opt, multi: multigrain(), pools: make(map[*budget.Device]*pool), cores: newCores(runtime.NumCPU())}
	if err := s.templates(); err != nil {
		return nil, err
	}
	if opt.Record != nil {
		s.crashed = s.Crashed(opt.Record.Record())
	}
	s.root, err = beneath.OpenRoot(cfg.Path, beneath.Options{Calls: opt.Calls, OnAtime: opt.OnAtime})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoStore, err)
	}
	if s.self, err = s.root.Self(); err == nil {
		s.fs, err = s.root.FileSystem()
	}
	if err != nil {
		_ = s.root.Close()
		return nil, fmt.Errorf("%w: %w", ErrNoStore, err)
	}
	return s, nil
}

func (s *Scanner) templates() error {
	ways := 0
	for _, set := range []bool{s.cfg.Layout != "", s.cfg.Users != "", len(s.cfg.UsersCommand) > 0} {
		if set {
			ways++
		}
	}
	if ways > 1 {
		return fmt.Errorf("%w: at most one of layout, users list and users command may be given", ErrConfig)
	}
	for _, t := range []struct {
		text  string
		parse func(string) (*maildir.Template, error)
		to    **maildir.Template
	}{
		{s.cfg.Layout, maildir.ParseTemplate, &s.layout},
		{s.cfg.Control, maildir.ParseTree, &s.ctl},
		{s.cfg.Index, maildir.ParseTree, &s.idx},
	} {
		if t.text == "" {
			continue
		}
		tpl, err := t.parse(t.text)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		*t.to = tpl
	}
	return nil
}

// Config returns the store's description with its defaults filled in.
func (s *Scanner) Config() Config { return s.cfg }

// Root returns the directory of the store, which stays the Scanner's.
func (s *Scanner) Root() *beneath.Dir { return s.root }

// Close ends the readers and releases the store. No look may be under way.
func (s *Scanner) Close() error {
	s.mu.Lock()
	pools := s.pools
	s.pools = nil
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	for _, p := range pools {
		p.close()
	}
	s.doors.close()
	return s.root.Close()
}

// pool returns the readers of the device on which a directory lies.
func (s *Scanner) pool(path string, dev uint64) *pool {
	d := s.opt.Budgets.For(path, dev)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.pools[d]; p != nil {
		return p
	}
	d.Tighten(s.cfg.Limits)
	p := newPool(d, d.Readers(), s.cores, s.opt.Now)
	s.pools[d] = p
	return p
}

// Info implements compare.Source.
func (s *Scanner) Info() compare.Info {
	info := compare.Info{
		Name:          s.cfg.Name,
		FailureDomain: s.cfg.FailureDomain,
		Role:          s.cfg.Role,
		BootID:        s.opt.BootID,
	}
	if s.opt.Record != nil {
		rec := s.opt.Record.Record()
		info.LastGood = rec.Complete.Began
		if s.crashed {
			info.CrashAt = s.opt.BootAt
		}
	}
	return info
}

// Identity is what tells one store from another that lies at the same path.
type Identity struct {
	FSID, Device, RootInode uint64
	BootID                  string
}

// Identity returns what the store's root is now.
func (s *Scanner) Identity() Identity {
	return Identity{FSID: s.fs.ID, Device: s.self.Dev, RootInode: s.self.Inode, BootID: s.opt.BootID}
}

// Place tells where a mailbox lies. It asks the configuration, and for a store
// by path the disk. compare.ErrNoMailbox says that neither knows it.
func (s *Scanner) Place(ctx context.Context, mailbox string) (maildir.Place, error) {
	path, known, err := s.locate(ctx, mailbox)
	if err != nil {
		return maildir.Place{}, err
	}
	return s.placeAt(mailbox, path, known)
}

// placeAt completes the place of a mailbox whose path is known.
func (s *Scanner) placeAt(mailbox, path string, known bool) (maildir.Place, error) {
	p := maildir.Place{
		Mailbox: mailbox, Store: s.cfg.Path, Root: s.absolute(path),
		Layout: s.cfg.Folders, UTF8: s.cfg.UTF8, Known: known,
	}
	for _, t := range []struct {
		tpl *maildir.Template
		to  *string
	}{{s.ctl, &p.Control}, {s.idx, &p.Index}} {
		if t.tpl == nil {
			continue
		}
		at, err := t.tpl.Expand(mailbox, filepath.Dir(p.Root))
		if err != nil {
			return p, fmt.Errorf("%w: mailbox %q: %w", ErrConfig, mailbox, err)
		}
		*t.to = s.absolute(at)
	}
	return p, nil
}

func (s *Scanner) absolute(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	if path == "." || path == "" {
		return s.cfg.Path
	}
	return s.cfg.Path + "/" + path
}

// relative returns a path relative to the store's root, ok only where it lies
// below it.
func (s *Scanner) relative(abs string) (string, bool) {
	if abs == s.cfg.Path {
		return ".", true
	}
	return strings.CutPrefix(abs, strings.TrimSuffix(s.cfg.Path, "/")+"/")
}

// openAt opens a directory of the configuration's choosing: below the store's
// root by the guarded way, elsewhere as the operator's own word.
func (s *Scanner) openAt(abs string) (*beneath.Dir, error) {
	rel, below := s.relative(abs)
	switch {
	case !below:
		return s.root.Root(abs)
	case s.cfg.Symlinks:
		return s.root.OpenLinked(rel)
	}
	return s.root.OpenMounted(rel)
}

// locate finds a mailbox' path: relative to the store's root, or absolute.
func (s *Scanner) locate(ctx context.Context, mailbox string) (path string, known bool, err error) {
	switch {
	case s.layout != nil:
		path, err := s.layout.Expand(mailbox, "")
		if err != nil {
			return "", false, fmt.Errorf("%w: %q: %w", compare.ErrNoMailbox, mailbox, err)
		}
		return path, true, nil
	case s.cfg.Users != "" || len(s.cfg.UsersCommand) > 0:
		u, err := s.userList(ctx)
		if err != nil {
			return "", false, err
		}
		path, ok := u.path(mailbox)
		if !ok {
			return "", false, fmt.Errorf("%w: %q is not in the users list", compare.ErrNoMailbox, mailbox)
		}
		return path, true, nil
	}
	return s.locateByPath(mailbox)
}

func (s *Scanner) locateByPath(mailbox string) (string, bool, error) {
	var try []string
	if mailbox == filepath.Base(s.cfg.Path) {
		try = append(try, ".", "Maildir")
	}
	if clean := filepath.Clean(mailbox); clean == mailbox && filepath.IsLocal(mailbox) {
		try = append(try, mailbox, mailbox+"/Maildir")
	}
	for _, p := range try {
		ok, err := s.isMaildir(p)
		if err != nil {
			return "", false, err
		}
		if ok {
			return p, true, nil
		}
	}
	return "", false, fmt.Errorf("%w: %q", compare.ErrNoMailbox, mailbox)
}

// isMaildir is maildirAt of the root.
func (s *Scanner) isMaildir(path string) (bool, error) {
	for _, sub := range [2]string{"cur", "new"} {
		name := sub
		if path != "." && path != "" {
			name = path + "/" + sub
		}
		st, err := s.root.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || isNotDir(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !st.Directory() && !st.Symlink() {
			return false, nil
		}
	}
	return true, nil
}
