package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mailsync/cmd/internal/sample"
)

// replay has an archive of all messages and a store that holds half of them.
func (b *bench) replay() error {
	boxes, each := 1000, 200
	lmtp := 5000
	if b.quick {
		boxes, each, lmtp = 50, 80, 500
	}
	v, err := b.volume("ext4", "ext4", 14<<30)
	if v != nil {
		defer v.close()
	}
	if err != nil {
		return err
	}
	o := sample.Options{
		Seed: 8, Mailboxes: boxes, PerMailbox: each, Folders: []string{"INBOX"}, Size: 10000, Spread: -1,
		From: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC),
	}
	e := sample.New(o)
	gap := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	archive := b.path(fmt.Sprintf("replay-%d.mbox", boxes*each))
	mail := e.Gateway(nil)
	if err := writeArchive(archive, mail); err != nil {
		return err
	}
	half := sample.New(o) // the options of e have their defaults filled in, and would not give the same mail
	total, missing := 0, 0
	for _, box := range half.Boxes {
		f := box.Folders[0]
		kept := f.Messages[:0]
		for _, m := range f.Messages {
			total++
			if m.Date.Before(gap) {
				kept = append(kept, m)
			} else {
				missing++
			}
		}
		f.Messages = kept
	}
	pristine := b.path(fmt.Sprintf("replay-store-%d", boxes*each))
	if err := b.generate(half, pristine); err != nil {
		return err
	}
	fmt.Printf("%d archived messages of 10 kB for %d mailboxes, %d of them missing, ext4\n\n", len(mail), boxes, missing)

	store, state, config := filepath.Join(v.mnt, "store"), b.path("state-replay"), b.path("replay.toml")
	text := fmt.Sprintf("[stores.primary]\npath = %q\nlayout = %q\nrole = \"primary\"\n[archives.gateway]\npath = %q\n", store, sample.Layout, archive)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	put := func(int) error {
		// moved aside, not removed: removing files makes the next runs dearer
		if _, err := os.Stat(store); err == nil {
			if err := os.Rename(store, filepath.Join(v.mnt, fmt.Sprintf("old-%d", time.Now().UnixNano()))); err != nil {
				return err
			}
		}
		if err := sh("cp", "-a", pristine, store); err != nil {
			return err
		}
		if err := os.RemoveAll(state); err != nil {
			return err
		}
		return sh(b.mailsync("scan", "primary", "--config", config, "--state", state)...)
	}
	if err := put(0); err != nil {
		return err
	}
	args := []string{"--from", "gateway", "--since", gap.Format(time.RFC3339), "--config", config, "--state", state}
	fmt.Printf("\n### recognising %d archived messages (audit)\n\n", total)
	if _, err := b.measure("replay-audit", []job{
		{name: "mailsync audit", subject: true, units: float64(total), codes: []int{1}, line: b.mailsync(append([]string{"audit"}, args...)...)},
	}, false); err != nil {
		return err
	}
	fmt.Printf("\n### delivering %d missing messages (replay, the recognition included)\n\n", missing)
	jobs := []job{
		{name: "mailsync replay", subject: true, units: float64(missing), before: put, only: 3, line: b.mailsync(append([]string{"replay", "--yes"}, args...)...)},
		{name: "limit: the same system calls bare, copying as many messages", units: float64(missing), only: 3, before: func(rep int) error {
			return os.MkdirAll(filepath.Join(v.mnt, fmt.Sprintf("bare-%d", rep)), 0o755)
		}, line: []string{fmt.Sprintf("d=$(ls -d %s/bare-* | sort -V | tail -1); %s bare-deliver -mode safe -g 2 -batch 1024 -limit %d %s $d", v.mnt, b.self, missing, pristine)}},
	}
	if have("dovecot") {
		d, err := newDovecot(b, "", v.mnt)
		if err != nil {
			return err
		}
		defer d.stop()
		if err := d.start(); err != nil {
			return err
		}
		for _, conns := range []int{1, 8} {
			k := 0
			jobs = append(jobs, job{
				name: fmt.Sprintf("Dovecot LMTP, %d connections", conns), units: float64(lmtp), only: 3,
				before: func(int) error {
					k++
					return os.WriteFile(b.path("lmtp-prefix"), fmt.Appendf(nil, "c%dr%d-", conns, k), 0o644)
				},
				line: []string{fmt.Sprintf("%s lmtp-deliver -socket %s -c %d -n %d -boxes 50 -prefix $(cat %s)", b.self, d.socket(), conns, lmtp, b.path("lmtp-prefix"))},
			})
		}
	} else {
		fmt.Println("left out, not installed: Dovecot LMTP")
	}
	_, err = b.measure("replay", jobs, false)
	return err
}

func writeArchive(path string, mail []sample.Archived) error {
	if _, err := os.Stat(path + ".complete"); err == nil {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := sample.WriteMbox(f, mail); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.WriteFile(path+".complete", nil, 0o644)
}
