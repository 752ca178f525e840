package durable_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"

	"mailsync/manifest/durable"
	"mailsync/manifest/durable/durabletest"
)

// A story is what a process does on a disk; it stops at the first error. ack
// is called with what it believes to be durable. judge looks at a disk after a
// failure, a kill or a power cut, and compares with the last ack.
type story struct {
	name  string
	run   func(d *durabletest.Disk, ack func(string)) error
	judge func(d *durabletest.Disk, acked string) error
}

func stories() []story {
	return []story{
		{"WriteFile", runWriteFile, judgeWriteFile},
		{"MkdirAll", runMkdirAll, judgeMkdirAll},
		{"Journal", runJournal, judgeJournal},
		{"JournalReopened", runJournalReopened, judgeJournal},
	}
}

func runWriteFile(d *durabletest.Disk, ack func(string)) error {
	for i := range 3 {
		v := strings.Repeat(fmt.Sprint(i+1), 300)
		if err := durable.WriteFile(d, "/f", []byte(v), 0o600); err != nil {
			return err
		}
		ack(v)
	}
	return nil
}

func judgeWriteFile(d *durabletest.Disk, acked string) error {
	data, err := durable.ReadFile(d, "/f", 1<<20)
	if err != nil {
		if acked == "" && errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	if acked != "" && string(data) < acked {
		return fmt.Errorf("acknowledged %.1s, found %.1s", acked, data)
	}
	if len(data) != 300 || strings.Trim(string(data), string(data[:1])) != "" {
		return fmt.Errorf("found %d bytes that nobody wrote", len(data))
	}
	return nil
}

func runMkdirAll(d *durabletest.Disk, ack func(string)) error {
	for _, p := range []string{"/a/b/c", "/a/d"} {
		if err := durable.MkdirAll(d, p, 0o700); err != nil {
			return err
		}
		ack(p)
	}
	return nil
}

func judgeMkdirAll(d *durabletest.Disk, acked string) error {
	want := map[string][]string{"": nil, "/a/b/c": {"/a/b/c"}, "/a/d": {"/a/b/c", "/a/d"}}
	for _, p := range want[acked] {
		if info, err := d.Stat(p); err != nil || !info.Dir {
			return fmt.Errorf("%s was acknowledged: %v", p, err)
		}
	}
	return nil
}

var journalOptions = durable.JournalOptions{Kind: "test", Version: 1, MaxRecord: 1000}

func record(i int) []byte { return []byte(strings.Repeat(fmt.Sprintf("%04d ", i), 40)) }

func runJournal(d *durabletest.Disk, ack func(string)) error {
	o := journalOptions
	o.FS = d
	j, err := durable.OpenJournal("/j", o)
	if err != nil {
		return err
	}
	from := int(j.Seq())
	for i := from + 1; i <= from+6; i++ {
		if err := j.Append(record(i)); err != nil {
			_ = j.Close()
			return err
		}
		if i%2 == 0 {
			if err := j.Sync(); err != nil {
				_ = j.Close()
				return err
			}
			ack(fmt.Sprint(i))
		}
	}
	if err := j.Append(record(from+7), record(from+8)); err != nil {
		_ = j.Close()
		return err
	}
	if err := j.Close(); err != nil {
		return err
	}
	ack(fmt.Sprint(from + 8))
	return nil
}

func runJournalReopened(d *durabletest.Disk, ack func(string)) error {
	if err := runJournal(d, ack); err != nil {
		return err
	}
	return runJournal(d, ack)
}

func judgeJournal(d *durabletest.Disk, acked string) error {
	o := journalOptions
	o.FS = d
	n := 0
	_, _ = fmt.Sscan(acked, &n)
	// Read, open (which may cut a tail off), read again: always the same.
	for round := range 3 {
		got := 0
		for rec, err := range durable.Recover("/j", o, nil) {
			if err != nil {
				if n == 0 && errors.Is(err, os.ErrNotExist) {
					return nil
				}
				return err
			}
			got++
			if string(rec.Data) != string(record(got)) || rec.Seq != uint64(got) {
				return fmt.Errorf("record %d is not what was written", got)
			}
		}
		if got < n {
			return fmt.Errorf("%d records were acknowledged, %d are there", n, got)
		}
		n = got
		if round == 0 {
			j, err := durable.OpenJournal("/j", o)
			if err != nil {
				return err
			}
			if err := j.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestEveryCallFails makes each call of each story fail once, with each kind
// of error, and cuts the power afterwards in several ways.
func TestEveryCallFails(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			clean := durabletest.New(durabletest.Ext4)
			if err := s.run(clean, func(string) {}); err != nil {
				t.Fatal(err)
			}
			hit := 0
			for n := 1; n <= clean.Calls(); n++ {
				for _, errno := range []error{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EACCES} {
					d := durabletest.New(durabletest.Ext4)
					d.Fail = durabletest.FailAt(n, errno)
					acked := ""
					err := s.run(d, func(v string) { acked = v })
					if d.Calls() >= n {
						hit++
					}
					if err == nil && acked == "" {
						t.Fatalf("call %d fails with %v: no error and no acknowledgement", n, errno)
					}
					judgeAll(t, s, d, acked, fmt.Sprintf("call %d fails with %v", n, errno))
				}
			}
			if hit != 4*clean.Calls() {
				t.Errorf("%d faults hit, %d planned", hit, 4*clean.Calls())
			}
		})
	}
}

// TestEveryCallIsTheLast cuts the power before each call.
func TestEveryCallIsTheLast(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			clean := durabletest.New(durabletest.Ext4)
			if err := s.run(clean, func(string) {}); err != nil {
				t.Fatal(err)
			}
			for n := 1; n <= clean.Calls()+1; n++ {
				d := durabletest.New(durabletest.Ext4)
				d.Fail = durabletest.CutAt(n)
				acked := ""
				if err := s.run(d, func(v string) { acked = v }); err == nil && n <= clean.Calls() {
					t.Fatalf("no error after the power cut at call %d", n)
				}
				judgeAll(t, s, d, acked, fmt.Sprintf("cut at call %d", n))
			}
		})
	}
}

func judgeAll(t *testing.T, s story, d *durabletest.Disk, acked, what string) {
	t.Helper()
	if err := s.judge(d.Kill(), acked); err != nil {
		t.Fatalf("%s, killed: %v", what, err)
	}
	if err := s.judge(d.PowerCut(nil), acked); err != nil {
		t.Fatalf("%s, nothing unsynced survives: %v", what, err)
	}
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		if err := s.judge(d.PowerCut(r), acked); err != nil {
			t.Fatalf("%s, power cut %d: %v", what, seed, err)
		}
	}
}

// TestSyncThatLies: on a file system that has shut down, fsync of a directory
// answers nil. Nothing may be acknowledged on that.
func TestSyncThatLies(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			clean := durabletest.New(durabletest.Ext4)
			if err := s.run(clean, func(string) {}); err != nil {
				t.Fatal(err)
			}
			for n := 1; n <= clean.Calls(); n++ {
				d := durabletest.New(durabletest.Ext4)
				d.Fail = func(i int, _, _ string) error {
					if i >= n {
						d.Shut = true
					}
					return nil
				}
				acked := ""
				_ = s.run(d, func(v string) { acked = v })
				if err := s.judge(d.PowerCut(nil), acked); err != nil {
					t.Fatalf("shut down at call %d: %v", n, err)
				}
			}
		})
	}
}

// TestTheDiskSeesMissingSyncs: a harness that cannot see damage proves nothing.
func TestTheDiskSeesMissingSyncs(t *testing.T) {
	for _, leave := range []string{"file", "directory"} {
		lost := 0
		for seed := range uint64(50) {
			d := durabletest.New(durabletest.Ext4)
			f, err := d.Open("/f.tmp", 0o102, 0o600) // O_RDWR|O_CREATE
			if err != nil {
				t.Fatal(err)
			}
			_, _ = f.Write([]byte(strings.Repeat("1", 300)))
			if leave != "file" {
				_ = f.Sync()
			}
			_ = d.Rename("/f.tmp", "/f")
			if leave != "directory" {
				dir, _ := d.Open("/", 0, 0)
				_ = dir.Sync()
			}
			if judgeWriteFile(d.PowerCut(rand.New(rand.NewPCG(seed, 2))), strings.Repeat("1", 300)) != nil {
				lost++
			}
		}
		if lost == 0 {
			t.Errorf("no loss seen without the sync of the %s", leave)
		}
	}
}
