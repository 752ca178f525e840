package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"mailsync/manifest"
)

// linkDiff measures what a comparison moves between two hosts, and how long it
// takes: of equal stores, then of ones of which every hundredth mailbox lacks a
// message.
func (b *bench) linkDiff() error {
	h, err := b.newHosts("diff")
	if err != nil {
		return err
	}
	defer h.close()
	there, _, err := b.stores()
	if err != nil {
		return err
	}
	here, err := b.copyOf(there)
	if err != nil {
		return err
	}
	near, bare := b.path("state-link-near"), b.path("state-link-bare")
	if err := b.warm(here, there); err != nil {
		return err
	}
	// Twice: a record's stamps prove nothing while they are as young as the look.
	for range 2 {
		if err := b.scanned(near, here); err != nil {
			return err
		}
		if err := b.scanned(bare, here); err != nil {
			return err
		}
		if err := b.scanned(h.state, there); err != nil {
			return err
		}
	}
	if _, err := b.once("link", &job{line: h.mailsync("scan", h.far(there), "--state", near), codes: []int{0, 1}}, 0, false); err != nil {
		return err
	}
	diff := h.mailsync("diff", here, h.far(there), "--state", near)
	fmt.Printf("### diff of two stores that are equal, recorded and untouched\n\n")
	moved := map[string][]int64{}
	jobs := peers([]job{
		h.counted(job{name: "mailsync diff", subject: true, line: diff}, moved),
		h.counted(job{name: "rsync -anc --delete", line: h.rsync("-anc --delete " + here + "/ " + h.far(there) + "/")}, moved),
		h.counted(job{name: "ssh true", line: []string{strings.Join(h.shell, " ") + " " + farHost + " true"}}, moved),
	}, map[string]string{"rsync -anc --delete": "rsync"})
	if _, err := b.measure("link-equal", jobs, false); err != nil {
		return err
	}
	printMoved(jobs, moved)

	boxes, err := b.every(100, here, near)
	if err != nil {
		return err
	}
	fmt.Printf("\n### diff where %d mailboxes lack a message each\n\n", len(boxes))
	back, err := b.takeOne(boxes)
	defer func() { _ = back() }()
	if err != nil {
		return err
	}
	for range 2 {
		if err := b.scanned(near, here); err != nil {
			return err
		}
		if err := b.scanned(bare, here); err != nil {
			return err
		}
	}
	moved = map[string][]int64{}
	without := h.mailsync("diff", here, h.far(there), "--state", bare)
	jobs = []job{
		h.counted(job{name: "mailsync diff", subject: true, line: diff, codes: []int{1}}, moved),
		h.counted(job{name: "mailsync diff, no copy here of the far record", line: without, codes: []int{1}}, moved),
	}
	if _, err := b.measure("link-differ", jobs, false); err != nil {
		return err
	}
	printMoved(jobs, moved)
	size, err := manifestsOf(h.state, boxes)
	if err != nil {
		return err
	}
	fmt.Printf("Their manifests on the far host: %d bytes; with 10 %%: %d\n", size, size+size/10)
	return back()
}

// scanned brings a record up to date.
func (b *bench) scanned(state, store string) error {
	_, err := b.once("record", &job{line: b.mailsync("scan", store, "--state", state), codes: []int{0, 1}}, 0, false)
	return err
}

// box is a recorded mailbox.
type box struct {
	Mailbox string `json:"mailbox"`
	Path    string `json:"path"`
	dir     string
}

// every returns each nth recorded mailbox.
func (b *bench) every(n int, store, state string) ([]box, error) {
	out, err := exec.Command(b.bin, "manifest", "ls", store, "--state", state, "--json").Output()
	if err != nil {
		return nil, err
	}
	var list []box
	in := bufio.NewScanner(bytes.NewReader(out))
	for i := 0; in.Scan(); i++ {
		var x box
		if err := json.Unmarshal(in.Bytes(), &x); err != nil {
			return nil, err
		}
		if x.Mailbox != "" && i%n == 0 {
			x.dir = filepath.Join(store, x.Path)
			list = append(list, x)
		}
	}
	return list, in.Err()
}

// takeOne moves a message of each mailbox away; back moves them back.
func (b *bench) takeOne(boxes []box) (back func() error, err error) {
	aside := b.path("link-aside")
	from := map[string]string{}
	back = func() error {
		for to, away := range from {
			if err := os.Rename(away, to); err != nil {
				return err
			}
			delete(from, to)
		}
		return nil
	}
	if err := os.MkdirAll(aside, 0o755); err != nil {
		return back, err
	}
	for i, x := range boxes {
		list, err := filepath.Glob(filepath.Join(x.dir, "cur", "*"))
		if err != nil || len(list) == 0 {
			continue
		}
		away := filepath.Join(aside, fmt.Sprint(i))
		if err := os.Rename(list[0], away); err != nil {
			return back, err
		}
		from[list[0]] = away
	}
	return back, nil
}

// manifestsOf is the size of the mailboxes' manifests in a record.
func manifestsOf(state string, boxes []box) (size int64, err error) {
	want := map[string]bool{}
	for _, x := range boxes {
		d := manifest.BLAKE3.Sum([]byte(x.Mailbox))
		want[hex.EncodeToString(d.Sum[:16])] = true
	}
	err = filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if hash, _, ok := strings.Cut(d.Name(), "."); ok && want[hash] {
			st, err := d.Info()
			if err != nil {
				return err
			}
			size += st.Size()
		}
		return nil
	})
	return size, err
}

// shipped are the messages of the second half, and their size.
func (b *bench) shipped() (messages, size int) {
	if b.quick {
		return 1000, 20000
	}
	return 10000, 20000
}

// linkShip measures how fast messages come that the near host has lost.
func (b *bench) linkShip() error {
	h, err := b.newHosts("ship")
	if err != nil {
		return err
	}
	defer h.close()
	n, size := b.shipped()
	there := b.path(fmt.Sprintf("link-source-%d", n))
	if err := b.attachments(there, n, size); err != nil {
		return err
	}
	if err := b.warm(there); err != nil {
		return err
	}
	here, near := b.path("link-target"), b.path("state-link-target")
	list := b.path("link-files")
	files, bytes, err := filesOf(there)
	if err != nil {
		return err
	}
	if err := os.WriteFile(list, []byte(files), 0o644); err != nil {
		return err
	}
	if err := b.recorded(h.state, there); err != nil {
		return err
	}
	empty := func(int) error { // the mailboxes and folders, without their mail
		if err := os.RemoveAll(here); err != nil {
			return err
		}
		if err := os.RemoveAll(near); err != nil {
			return err
		}
		return skeleton(there, here)
	}
	arrived := func(int, *measured) error {
		if got := countMessages(here); got != n {
			return fmt.Errorf("%d messages arrived, want %d", got, n)
		}
		return nil
	}
	fmt.Printf("\n### %d messages, %.1f MB, fetched\n\n", n, float64(bytes)/1e6)
	moved := map[string][]int64{}
	jobs := peers([]job{
		h.counted(job{
			name: "mailsync restore, durable", subject: true, units: float64(n), before: empty, after: arrived,
			line: h.mailsync("restore", here, "--from", h.far(there), "--state", near, "--undecided", "restore", "--yes"),
		}, moved),
		h.counted(job{
			name: "rsync -a --files-from, not durable", units: float64(n), before: empty, after: arrived,
			line: h.rsync("-a --files-from=" + list + " " + h.far(there) + "/ " + here + "/"),
		}, moved),
		h.counted(job{
			name: "ssh cat, the bare link", units: float64(n),
			line: []string{strings.Join(h.shell, " ") + " " + farHost + " head -c " + fmt.Sprint(bytes) + " /dev/zero >/dev/null"},
		}, moved),
	}, map[string]string{"rsync -a --files-from, not durable": "rsync"})
	all, err := b.measure("link-ship", jobs, false)
	if err != nil {
		return err
	}
	printMoved(jobs, moved)
	for _, j := range jobs {
		if s := summarise(all[j.name]); s.n > 0 {
			on := middleOf(moved[j.name])
			fmt.Printf("%s: %.2f MB/s of mail; %.2f MB/s on the wire, %.0f %% of the link (median)\n",
				j.name, float64(bytes)/s.median/1e6, float64(on)/s.median/1e6, 100*float64(on)/s.median/float64(longLink.Rate))
		}
	}
	return os.RemoveAll(here)
}

// attachments writes a store of messages that do not compress, unless an
// earlier run has.
func (b *bench) attachments(root string, messages, size int) error {
	done := root + ".complete"
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	chance := rand.NewChaCha8([32]byte{8})
	body := make([]byte, size)
	for i := range messages {
		cur := filepath.Join(root, fmt.Sprintf("u%04d", i/100), "cur")
		if i%100 == 0 {
			for _, sub := range []string{"cur", "new", "tmp"} {
				if err := os.MkdirAll(filepath.Join(filepath.Dir(cur), sub), 0o755); err != nil {
					return err
				}
			}
		}
		_, _ = chance.Read(body)
		for k, c := range body {
			switch {
			case k%900 == 899:
				body[k] = '\n'
			case c < ' ':
				body[k] = c + 'A'
			}
		}
		p := append(fmt.Appendf(nil, "Message-ID: <%d@example.org>\nFrom: <a@example.org>\nDate: Mon, 2 Feb 2026 10:00:00 +0000\n\n", i), body...)
		if err := os.WriteFile(filepath.Join(cur, fmt.Sprintf("17%08d.M%dP1.host:2,S", i, i)), p, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(done, nil, 0o644)
}

// filesOf lists the messages of a store, relative to it, one a line.
func filesOf(root string) (list string, bytes int64, err error) {
	var b strings.Builder
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		bytes += st.Size()
		fmt.Fprintln(&b, rel)
		return err
	})
	return b.String(), bytes, err
}

// skeleton makes the directories of a store, empty.
func skeleton(of, at string) error {
	return filepath.WalkDir(of, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(of, path)
		if err != nil {
			return err
		}
		return os.MkdirAll(filepath.Join(at, rel), 0o700)
	})
}

func printMoved(jobs []job, moved map[string][]int64) {
	fmt.Println()
	for _, j := range jobs {
		if n := moved[j.name]; len(n) > 0 {
			fmt.Printf("%s moved %d bytes over the link, both ways (%d runs, median)\n", j.name, middleOf(n), len(n))
		}
	}
}

func middleOf(n []int64) int64 {
	f := make([]float64, len(n))
	for i, x := range n {
		f[i] = float64(x)
	}
	slices.Sort(f)
	return int64(middle(f))
}
