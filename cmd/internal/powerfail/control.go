//go:build powerfail

package powerfail

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mailsync/cmd/internal/drive"
)

// childEnv makes the test binary be one of the programs below.
const childEnv = "POWERFAIL_CHILD"

// child runs one of the harness's own programs, when asked to be one.
func child() bool {
	dir := os.Getenv("POWERFAIL_DIR")
	switch what := os.Getenv(childEnv); what {
	case "":
		return false
	case "noise":
		noise(dir)
	default:
		if err := deliver(dir, what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(74)
		}
	}
	return true
}

// noise writes and syncs a file of its own until it is killed.
func noise(dir string) {
	r := rand.New(rand.NewPCG(1, uint64(os.Getpid())))
	for {
		_ = os.WriteFile(filepath.Join(dir, "a"), []byte(strings.Repeat("x", 1+r.IntN(9000))), 0o600)
		if f, err := os.Open(filepath.Join(dir, "a")); err == nil {
			_ = f.Sync()
			f.Close()
		}
		time.Sleep(time.Duration(3+r.IntN(15)) * time.Millisecond)
	}
}

// The protocols of the harness's own writer.
const (
	soundWriter  = "sound"   // write, fsync, link, fsync of the directory, unlink, acknowledge
	noDirSync    = "nodir"   // write, fsync, rename, acknowledge: one sync too few
	oneSyncBatch = "onesync" // a batch: write, rename, one syncfs, acknowledge
	noSync       = "nosync"  // write, rename, acknowledge
)

const (
	controlMessages = 600
	controlBatch    = 30
)

// controlMessage is what the writer delivers under a number.
func controlMessage(i int) []byte {
	r := rand.New(rand.NewPCG(7, uint64(i)))
	var b bytes.Buffer
	fmt.Fprintf(&b, "Message-ID: <%d@control>\n\n", i)
	for b.Len() < 200+r.IntN(9000) {
		fmt.Fprintf(&b, "%d %x\n", i, r.Uint64())
	}
	return b.Bytes()
}

// deliver writes messages into dir/new and acknowledges each by a line.
func deliver(dir, protocol string) error {
	tmp, dst := filepath.Join(dir, "tmp"), filepath.Join(dir, "new")
	d, err := os.Open(dst)
	if err != nil {
		return err
	}
	defer d.Close()
	ack := func(i int) {
		fmt.Printf(`{"v":1,"type":"action","op":"add","state":"done","file":"new/%d"}`+"\n", i)
	}
	for i := range controlMessages {
		from, to := filepath.Join(tmp, fmt.Sprint(i)), filepath.Join(dst, fmt.Sprint(i))
		f, err := os.OpenFile(from, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		if _, err := f.Write(controlMessage(i)); err != nil {
			return err
		}
		if protocol == soundWriter || protocol == noDirSync {
			if err := f.Sync(); err != nil {
				return err
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
		switch protocol {
		case soundWriter:
			if err := os.Link(from, to); err != nil {
				return err
			}
			if err := d.Sync(); err != nil {
				return err
			}
			if err := os.Remove(from); err != nil {
				return err
			}
			ack(i)
		case noDirSync, noSync:
			if err := os.Rename(from, to); err != nil {
				return err
			}
			ack(i)
		case oneSyncBatch:
			if err := os.Rename(from, to); err != nil {
				return err
			}
			if (i+1)%controlBatch == 0 {
				if err := unix.Syncfs(int(d.Fd())); err != nil {
					return err
				}
				for k := i + 1 - controlBatch; k <= i; k++ {
					ack(k)
				}
			}
		}
	}
	fmt.Println(`{"v":1,"type":"summary","command":"control","exit":0,"complete":true,"counts":{}}`)
	return nil
}

// controlScene is the harness's own writer under the power cut: it shows what
// the harness can see.
type controlScene struct{ protocol string }

func (s *controlScene) name() string { return "writer " + s.protocol }

func (s *controlScene) prepare(g *ground) error {
	for _, d := range []string{"tmp", "new"} {
		if err := os.MkdirAll(filepath.Join(g.store(), d), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (s *controlScene) bin(g *ground) drive.Bin {
	self, err := os.Executable()
	if err != nil {
		panic(err) // a test binary without a name
	}
	return drive.Bin{Path: self, Env: []string{childEnv + "=" + s.protocol, "POWERFAIL_DIR=" + g.store()}, Limit: time.Minute}
}

func (s *controlScene) args(*ground) []string { return nil }

func (s *controlScene) acknowledged(l drive.Line) (promise, bool) {
	return promise{line: l}, l.Type == "action"
}

func (s *controlScene) check(g *ground, promises []promise) []string {
	files, bad := readTree(g.store())
	seen := map[string]*found{}
	for _, f := range visible(files) {
		seen[f.name] = f
		var i int
		if _, err := fmt.Sscan(f.name, &i); err != nil || !bytes.Equal(f.data, controlMessage(i)) {
			bad = append(bad, "visible and not whole: "+f.rel)
		}
	}
	for _, p := range promises {
		if seen[filepath.Base(p.line.Name())] == nil {
			bad = append(bad, "acknowledged and lost: "+p.line.Name())
		}
	}
	return bad
}

func (s *controlScene) final(*ground, *drive.Result) []string { return nil }
