//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// loadTime is how long the live tests run.
func loadTime() time.Duration {
	if s := os.Getenv("MAILSYNC_LOAD"); s != "" {
		if d, err := time.ParseDuration(s); err == nil {
			return d
		}
	}
	return 12 * time.Second
}

// load is what users and the world do to a store all the time.
type load struct {
	ops, delivered, expunged atomic.Int64
	stop                     context.CancelFunc
	wg                       sync.WaitGroup
	mu                       sync.Mutex
	errs                     []error
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// startLoad begins: two clients of anna that change flags, one that moves and
// expunges where wild, and a gateway that delivers.
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
	for k := range 2 {
		spawn(func(ctx context.Context) error { return d.flagger(ctx, l, uint64(k)) })
	}
	spawn(func(ctx context.Context) error { return d.gateway(ctx, l) })
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
func (d *dovecot) flagger(ctx context.Context, l *load, k uint64) error {
	c, err := d.login(anna)
	if err != nil {
		return err
	}
	defer c.Close()
	sel, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		return err
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
		} else if _, err := c.Move(set, folders[1-from]).Wait(); err != nil {
			return err
		}
		l.ops.Add(1)
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func remove(c *imapclient.Client, set imap.SeqSet) error {
	if err := c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		return err
	}
	return c.Expunge().Close()
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
		time.Sleep(30 * time.Millisecond)
	}
	return nil
}

// Beside a server under load, scan, verify and diff find nothing wrong, and
// the server notices nothing of them.
func TestNothingFalseUnderLoad(t *testing.T) {
	d, before := ready(t, 150)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	l := d.startLoad(true)
	began := time.Now()
	rounds := 0
	for time.Since(began) < loadTime() {
		clean(t, b, "scan", "primary")
		clean(t, b, "verify", "primary")
		clean(t, b, "scan", "primary", "--rehash")
		rounds++
	}
	l.end()
	took := time.Since(began)
	for _, err := range l.errs {
		t.Errorf("the load: %v", err)
	}
	t.Logf("%d rounds of scan, verify, scan --rehash beside %d operations (%.0f/s), %d deliveries, %d expunges", rounds, l.ops.Load(), float64(l.ops.Load())/took.Seconds(), l.delivered.Load(), l.expunged.Load())
	if l.ops.Load() < 100 {
		t.Error("that was no load")
	}
	after := d.look(anna)
	for name, v := range before {
		if after[name] == nil || after[name].UIDValidity != v.UIDValidity {
			t.Errorf("%s: UIDVALIDITY moved", name)
		}
	}
	clean(t, b, "scan", "primary")
	clean(t, b, "verify", "primary")
	noComplaints(t, d)
}

// While clients change flags and mail comes in, something destroys files and
// restore puts them back: in the end nothing is lost and nothing doubled.
func TestDamagerBesideRestore(t *testing.T) {
	d, _ := ready(t, 240)
	b := product(t, d)
	clean(t, b, "scan", "primary")
	clean(t, b, "scan", "backup")
	want := map[string]int{}
	for _, v := range d.look(anna) {
		for _, m := range v.Messages {
			want[m.ID]++
		}
	}
	l := d.startLoad(false)
	ctx, stop := context.WithCancel(t.Context())
	var destroyed atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		r := rand.New(rand.NewPCG(3, 3))
		for ctx.Err() == nil {
			time.Sleep(120 * time.Millisecond)
			dir := filepath.Join(d.maildir(anna), "cur")
			names, err := os.ReadDir(dir)
			if err != nil || len(names) == 0 {
				continue
			}
			n := names[r.IntN(len(names))].Name()
			p, err := os.ReadFile(filepath.Join(dir, n))
			if err != nil || strings.Contains(messageID(p), "<load-") {
				continue // only what the backup has
			}
			if os.Remove(filepath.Join(dir, n)) == nil {
				destroyed.Add(1)
			}
		}
	})
	began := time.Now()
	restored, rounds := int64(0), 0
	for time.Since(began) < loadTime() {
		// Beside the damager not every message can be there at the end of a run.
		r := run(t, b, []int{0, 1, 3}, "restore", "primary", "--from", "backup", "--undecided", "restore", "--mailbox", anna, "--yes")
		for _, a := range r.Find("action") {
			if a.Op == "add" && a.State == "done" {
				restored++
			}
		}
		rounds++
	}
	stop()
	wg.Wait()
	settle()
	run(t, b, []int{0, 1}, "restore", "primary", "--from", "backup", "--undecided", "restore", "--mailbox", anna, "--yes")
	l.end()
	for _, err := range l.errs {
		// The server may end a session whose files are destroyed under it; the
		// client comes back.
		if !errors.Is(err, io.EOF) {
			t.Errorf("the load: %v", err)
		}
	}
	settle()
	got := map[string]int{}
	for _, v := range d.look(anna) {
		for _, m := range v.Messages {
			got[m.ID]++
		}
	}
	lost, doubled := 0, 0
	for id, n := range want {
		if got[id] < n {
			lost++
			t.Errorf("lost: %s", id)
		}
		if got[id] > n {
			doubled++
			t.Errorf("doubled: %s is there %d times", id, got[id])
		}
	}
	t.Logf("%d files destroyed, %d put back in %d rounds beside %d operations: %d lost, %d doubled", destroyed.Load(), restored, rounds, l.ops.Load(), lost, doubled)
	if destroyed.Load() < 20 {
		t.Error("the damager did too little to prove anything")
	}
}
