//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"mailsync/cmd/internal/drive"
	"mailsync/manifest"
)

// loadTime is how long each command runs beside the load: some seconds, or what
// MAILSYNC_LOAD says ("3m").
func loadTime(t *testing.T) time.Duration {
	t.Helper()
	s := os.Getenv("MAILSYNC_LOAD")
	if s == "" {
		return 4 * time.Second
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("MAILSYNC_LOAD: %v", err)
	}
	return d
}

// longRun tells whether the figures are those of a run of minutes.
func longRun() bool { return os.Getenv("MAILSYNC_LOAD") != "" }

// load is what users and the world do to a store all the time.
type load struct {
	ops, delivered, expunged, moved, appended atomic.Int64
	stop                                      context.CancelFunc
	wg                                        sync.WaitGroup
	mu                                        sync.Mutex
	errs                                      []error
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// startLoad begins: clients that change flags, one that appends, one of anna that
// moves and expunges where wild, and a gateway that delivers. Where messages are
// expunged most flags are changed in another mailbox, and no more is moved than
// the server's log of a folder holds for some minutes: beside a hundred changes a
// second in one folder it turns over in a minute, and what was expunged before is
// gone without evidence, which is true and no test of false findings.
func (d *dovecot) startLoad(wild bool) *load {
	ctx, stop := context.WithCancel(context.Background())
	l := &load{stop: stop}
	spawn := func(f func(context.Context) error) {
		l.wg.Go(func() {
			for ctx.Err() == nil {
				if err := f(ctx); err != nil && ctx.Err() == nil {
					l.fail(err)
					time.Sleep(100 * time.Millisecond)
				}
			}
		})
	}
	flag := func(user string, k uint64, pace time.Duration) {
		spawn(func(ctx context.Context) error { return d.flagger(ctx, l, user, k, pace) })
	}
	if wild {
		flag(anna, 0, 20*pace)
		flag(bela, 1, pace)
		flag(bela, 2, pace)
	} else {
		flag(anna, 0, pace)
		flag(anna, 1, pace)
	}
	spawn(func(ctx context.Context) error { return d.gateway(ctx, l) })
	spawn(func(ctx context.Context) error { return d.appender(ctx, l) })
	if wild {
		spawn(func(ctx context.Context) error { return d.mover(ctx, l) })
	}
	return l
}

func (l *load) end() {
	l.stop()
	l.wg.Wait()
}

// pace is the rest of a flagger between two changes. It keeps the load at some
// hundred operations a second. Without it, two thousand renames a second in
// one folder are seen here: a look then says for some messages that it cannot
// tell, which is true, and no test of false findings.
const pace = 4 * time.Millisecond

// flagger changes flags all the time.
func (d *dovecot) flagger(ctx context.Context, l *load, user string, k uint64, pace time.Duration) error {
	c, err := d.login(user)
	if err != nil {
		return err
	}
	defer c.Close()
	sel, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		return err
	}
	if sel.NumMessages == 0 {
		time.Sleep(10 * pace)
		return nil // and again, until there is mail
	}
	r := rand.New(rand.NewPCG(k, 5))
	flags := []imap.Flag{imap.FlagSeen, imap.FlagFlagged, imap.FlagAnswered, "$label2"}
	for ctx.Err() == nil {
		op := imap.StoreFlagsAdd
		if r.IntN(2) == 0 {
			op = imap.StoreFlagsDel
		}
		set := imap.SeqSetNum(1 + r.Uint32N(max(1, sel.NumMessages/2)))
		if err := c.Store(set, &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{flags[r.IntN(len(flags))]}}, nil).Close(); err != nil {
			return err
		}
		l.ops.Add(1)
		time.Sleep(pace)
		if r.IntN(50) == 0 {
			if err := c.Noop().Wait(); err != nil {
				return err
			}
		}
	}
	return nil
}

// mover moves messages between folders, and expunges.
func (d *dovecot) mover(ctx context.Context, l *load) error {
	c, err := d.login(anna)
	if err != nil {
		return err
	}
	defer c.Close()
	r := rand.New(rand.NewPCG(9, 9))
	folders := []string{"INBOX", "Archive"}
	for ctx.Err() == nil {
		from := r.IntN(2)
		sel, err := c.Select(folders[from], nil).Wait()
		if err != nil {
			return err
		}
		if sel.NumMessages < 5 {
			continue
		}
		set := imap.SeqSetNum(1 + r.Uint32N(sel.NumMessages))
		if r.IntN(8) == 0 {
			if err := remove(c, set); err != nil {
				return err
			}
			l.expunged.Add(1)
		} else {
			if _, err := c.Move(set, folders[1-from]).Wait(); err != nil {
				return err
			}
			l.moved.Add(1)
		}
		l.ops.Add(1)
		time.Sleep(60 * time.Millisecond)
	}
	return nil
}

func remove(c *imapclient.Client, set imap.SeqSet) error {
	if err := c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		return err
	}
	return c.Expunge().Close()
}

// appender keeps what anna sends.
func (d *dovecot) appender(ctx context.Context, l *load) error {
	c, err := d.login(anna)
	if err != nil {
		return err
	}
	defer c.Close()
	for ctx.Err() == nil {
		n := l.appended.Add(1)
		if err := appendMail(c, "Sent", mail(fmt.Sprintf("load-sent-%d", n), 700), time.Now(), imap.FlagSeen); err != nil {
			return err
		}
		l.ops.Add(1)
		time.Sleep(60 * time.Millisecond)
	}
	return nil
}

// gateway delivers mail to anna and bela.
func (d *dovecot) gateway(ctx context.Context, l *load) error {
	c, err := d.lmtp()
	if err != nil {
		return err
	}
	defer c.close()
	for ctx.Err() == nil {
		n := l.delivered.Add(1)
		if err := c.deliver("sender@example.net", mail(fmt.Sprintf("load-%d", n), 900), anna, bela); err != nil {
			return err
		}
		l.ops.Add(2)
		time.Sleep(60 * time.Millisecond)
	}
	return nil
}

// Beside a server under load, scan, verify and diff find nothing wrong, and
// the server notices nothing of them.
func TestNothingFalseUnderLoad(t *testing.T) {
	d, before := ready(t, 150)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	clean(t, b, "scan", "backup")
	gone := map[string]string{} // what a diff called missing, by digest
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"scan", func() { clean(t, b, "scan", "primary") }},
		{"verify", func() { clean(t, b, "verify", "primary") }},
		{"scan --rehash", func() { clean(t, b, "scan", "primary", "--rehash") }},
		{"diff", func() { onlyWhatUsersDid(t, run(t, b, []int{0, 1}, "diff", "primary", "backup"), gone) }},
	} {
		locks := d.watchLocks(anna)
		l := d.startLoad(true)
		began := time.Now()
		rounds := 0
		for time.Since(began) < loadTime(t) {
			c.run()
			rounds++
		}
		took := time.Since(began)
		l.end()
		ours, others := locks.end()
		for _, err := range l.errs {
			t.Errorf("the load: %v", err)
		}
		rate := float64(l.ops.Load()) / took.Seconds()
		t.Logf("%s: %d rounds in %.0f s beside %d operations (%.0f/s): %d deliveries, %d appended, %d moves, %d expunges; locks: mailsync %v, the server %v",
			c.name, rounds, took.Seconds(), l.ops.Load(), rate, 2*l.delivered.Load(), l.appended.Load(), l.moved.Load(), l.expunged.Load(), ours, others)
		if least := 20.0; rate < least || longRun() && rate < 5*least {
			t.Errorf("%s: %.0f operations a second are no load", c.name, rate)
		}
		if ours.times != 0 {
			t.Errorf("%s took the server's lock", c.name)
		}
	}
	after := d.look(anna)
	for name, v := range before {
		if after[name] == nil || after[name].UIDValidity != v.UIDValidity {
			t.Errorf("%s: UIDVALIDITY moved", name)
		}
	}
	// A message that moves on while the folders are listed, one after the other,
	// may have been in none of them. Its owner's deletion from the folder that it
	// left must then be known, or a restore would double it.
	there, underway := digests(t, d.maildir(anna)), 0
	for g, raw := range gone {
		switch {
		case !there[g]:
		case strings.Contains(raw, "deleted by its owner in primary"):
			underway++
		default:
			t.Errorf("a diff called a message missing that is there: %s", raw)
		}
	}
	t.Logf("diff: of %d messages called missing, %d were being moved", len(gone), underway)
	clean(t, b, "scan", "primary")
	clean(t, b, "verify", "primary")
	noComplaints(t, d)
}

// onlyWhatUsersDid checks a diff of the server's store and its backup: nothing
// is damaged, and what differs is what the load has changed.
func onlyWhatUsersDid(t *testing.T, r *drive.Result, gone map[string]string) {
	t.Helper()
	for _, l := range r.Find("difference") {
		ok := false
		switch l.Mailbox {
		case anna: // flags and moves in INBOX and Archive, sent mail
			ok = slices.Contains([]string{"INBOX", "Archive", "Sent"}, l.Folder) && slices.Contains([]string{"missing", "moved", "flags", "keywords", "uid"}, l.Kind)
		case bela: // has got her first mail since
			ok = l.Kind == "mailbox_missing" && string(l.Copies["backup"]) == "null"
		}
		if ok && l.Kind == "missing" && string(l.Copies["primary"]) == "null" {
			var c struct{ Digest string }
			ok = json.Unmarshal(l.Copies["backup"], &c) == nil && c.Digest != ""
			gone[c.Digest] = l.Raw
		}
		if !ok {
			t.Errorf("a false difference: %s", l.Raw)
		}
	}
	if n := len(r.Find("finding")); n != 0 {
		t.Errorf("diff: %d false findings", n)
	}
}

// digests are those of all messages of a mailbox.
func digests(t *testing.T, root string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, f := range messageFiles(t, root) {
		p, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[manifest.BLAKE3.Sum(p).String()] = true
	}
	return out
}

// While clients change flags and mail comes in, something destroys files and
// restore puts them back: in the end nothing is lost and nothing doubled, and at
// no time is a destroyed message taken for a deleted one.
func TestDamagerBesideRestore(t *testing.T) {
	for _, c := range []struct {
		name     string
		messages int
		strike   strike
	}{
		{"anywhere", 240, anywhere},
		{"few messages", 40, anywhere},
		{"where flags change", 40, whereRenamed},
		{"where it was put back", 40, wherePutBack},
		{"between plan and links", 40, whileWriting},
	} {
		t.Run(c.name, func(t *testing.T) { besideDamager(t, c.messages, c.strike) })
	}
}

func besideDamager(t *testing.T, messages int, s strike) {
	d, before := ready(t, messages)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	clean(t, b, "scan", "backup")
	want := map[string]int{}
	for _, v := range before {
		for _, m := range v.Messages {
			want[m.ID]++
		}
	}
	locks := d.watchLocks(anna)
	l := d.startLoad(false)
	damage := d.startDamager(s)
	restore := func(codes ...int) *drive.Result {
		return run(t, b, codes, "restore", "primary", "--from", "backup", "--undecided", "restore", "--mailbox", anna, "--yes")
	}
	began := time.Now()
	var told history
	restored := 0
	for time.Since(began) < max(loadTime(t), 12*time.Second) {
		// Beside the damager not every message can be there at the end of a run.
		r := restore(0, 1, 3)
		restored += told.note(t, r)
	}
	destroyed := damage.end()
	settle()
	restored += told.note(t, restore(0, 1))
	took := time.Since(began)
	l.end()
	ours, others := locks.end()
	for _, err := range l.errs {
		// The server may end a session whose files are destroyed under it, and a
		// client may name a message of a folder that has shrunk; it comes back.
		if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "Invalid messageset") {
			t.Errorf("the load: %v", err)
		}
	}
	settle()
	got := map[string]int{}
	after := d.look(anna)
	for _, v := range after {
		for _, m := range v.Messages {
			got[m.ID]++
		}
	}
	lost, doubled := 0, 0
	for id, n := range want {
		if got[id] < n {
			lost++
			t.Errorf("lost: %s; on disk: %v; what restore said of it:\n%s", id, d.onDisk(t, id), told.about(d.inBackup(t, id)))
		}
		if got[id] > n {
			doubled++
			t.Errorf("doubled: %s is there %d times: %v; what restore said of it:\n%s", id, got[id], d.onDisk(t, id), told.about(d.inBackup(t, id)))
		}
	}
	for name, v := range before {
		if after[name] == nil || after[name].UIDValidity != v.UIDValidity {
			t.Errorf("%s: UIDVALIDITY moved", name)
		}
	}
	t.Logf("%d files destroyed, %d put back in %d rounds in %.0f s beside %d operations (%.0f/s): %d lost, %d doubled; locks: mailsync %v, the server %v",
		destroyed, restored, told.rounds, took.Seconds(), l.ops.Load(), float64(l.ops.Load())/took.Seconds(), lost, doubled, ours, others)
	if destroyed < 20 {
		t.Error("the damager did too little to prove anything")
	}
	if longRun() && ours.longest > time.Second {
		t.Errorf("the server's lock was held for %v", ours.longest)
	}
}

// history is what the restores of a test have said of single messages.
type history struct {
	rounds int
	lines  []string
}

// note takes a restore's lines and returns how many messages it has put back.
// Nobody deletes in these tests, so no message may be left away as deleted.
func (h *history) note(t *testing.T, r *drive.Result) (restored int) {
	t.Helper()
	h.rounds++
	for _, a := range r.Find("action") {
		if a.State == "planned" {
			continue
		}
		if a.Op == "add" && a.State == "done" {
			restored++
		}
		h.lines = append(h.lines, fmt.Sprintf("%d, %s: %s", h.rounds, time.Now().Format("15:04:05.000"), a.Raw))
		if a.Op == "add" && a.State == "skipped" {
			t.Errorf("round %d: a destroyed message was left away: %s", h.rounds, a.Raw)
		}
	}
	return restored
}

// about are the lines that name one of the files.
func (h *history) about(files []string) string {
	var out []string
	for _, f := range files {
		base, _, _ := strings.Cut(filepath.Base(f), ":")
		for _, l := range h.lines {
			if strings.Contains(l, base) {
				out = append(out, l)
			}
		}
	}
	return strings.Join(out, "\n")
}

// onDisk are the files of anna's mailbox that hold a message.
func (d *dovecot) onDisk(t *testing.T, id string) []string { return filesOf(t, d.maildir(anna), id) }

// inBackup are those of the backup.
func (d *dovecot) inBackup(t *testing.T, id string) []string {
	return filesOf(t, filepath.Join(d.backup(), home(anna), "Maildir"), id)
}

func filesOf(t *testing.T, root, id string) (out []string) {
	t.Helper()
	for _, f := range messageFiles(t, root) {
		if p, err := os.ReadFile(f); err == nil && messageID(p) == id {
			out = append(out, f)
		}
	}
	return out
}
