package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mailsync": main})
}

// The scripts in testdata are the operator's side of every command: they run
// the real program against real directories. Besides testscript's own commands
// they have:
//
//	exits CODE mailsync ARGS...    run, and require this very exit code
//	mail DIR UNIQUE FLAGS MESSAGE  deliver a message: DIR/UNIQUE,S=..,W=..:2,FLAGS;
//	                               "-" for FLAGS means none and no info part. MESSAGE
//	                               names a file of the script, or a text that is made up
//	mailraw DIR NAME MESSAGE       deliver a message under this very name
//	uidlist FOLDER VALIDITY        write a dovecot-uidlist of what is there
//	damage KIND GLOB               nul, tail, truncate, grow, empty, flip
//	lose GLOB                      remove files, as a crash does
//	copytree FROM TO               copy a tree with its times
//	same A B                       the message files of two trees are the same
//	tree FILE DIR [noatime]        write a listing with sizes and times, for cmp
//	settle STORE                   scan until no stamp is too fresh to be trusted
//	expand FILE...                 replace $WORK in files of the script
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			for _, kv := range []string{
				"MAILSYNC_CONFIG=" + filepath.Join(env.WorkDir, "mailsync.toml"),
				"MAILSYNC_STATE=" + filepath.Join(env.WorkDir, "state"),
				"TZ=UTC", "NO_COLOR=1", "TERM=dumb",
				"NAME_ESC=1700000001.M1P1.\x1b[2Jhost:2,S",
				"NAME_BAD=1700000002.M1P1.\xffhost:2,S",
				"NAME_BIDI=1700000003.M1P1.\u202ehost:2,S",
			} {
				k, v, _ := strings.Cut(kv, "=")
				env.Setenv(k, v)
			}
			// A configuration that says nothing; scripts overwrite it.
			file := filepath.Join(env.WorkDir, "mailsync.toml")
			if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
				return os.WriteFile(file, nil, 0o644)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    cmdExits,
			"mail":     cmdMail,
			"mailraw":  cmdMailRaw,
			"uidlist":  cmdUIDList,
			"damage":   cmdDamage,
			"lose":     cmdLose,
			"copytree": cmdCopyTree,
			"same":     cmdSame,
			"tree":     cmdTree,
			"settle":   cmdSettle,
			"expand":   cmdExpand,
		},
	})
}

func need(ts *testscript.TestScript, neg bool, args []string, n int, use string) {
	if neg || len(args) < n {
		ts.Fatalf("usage: %s", use)
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "exits CODE COMMAND [ARG...]")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func cmdExpand(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "expand FILE...")
	for _, f := range args {
		text := strings.ReplaceAll(ts.ReadFile(f), "$WORK", ts.Getenv("WORK"))
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o644))
	}
}

// madeUp is a message of one's own words: same text, same bytes.
func madeUp(text string, at time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Return-Path: <sender@example.org>\nFrom: Sender <sender@example.org>\nTo: Reader <reader@example.org>\n")
	fmt.Fprintf(&b, "Subject: about %s\nDate: %s\nMessage-ID: <%s@example.org>\nMIME-Version: 1.0\n\n", text, at.UTC().Format(time.RFC1123Z), text)
	for i := range 12 {
		fmt.Fprintf(&b, "Line %d of the message about %s, which nobody ever sent.\n", i+1, text)
	}
	return b.Bytes()
}

func cmdMail(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 4, "mail DIR UNIQUE FLAGS MESSAGE")
	dir, unique, flags, message := ts.MkAbs(args[0]), args[1], args[2], args[3]
	sec, _, _ := strings.Cut(unique, ".")
	n, err := strconv.ParseInt(sec, 10, 64)
	ts.Check(err)
	at := time.Unix(n, 0)
	data, err := os.ReadFile(ts.MkAbs(message))
	if err != nil {
		data = madeUp(message, at)
	}
	for _, sub := range []string{"cur", "new", "tmp"} {
		ts.Check(os.MkdirAll(filepath.Join(filepath.Dir(dir), sub), 0o755))
	}
	name := fmt.Sprintf("%s,S=%d,W=%d", unique, len(data), len(data)+bytes.Count(data, []byte("\n")))
	if flags != "-" {
		name += ":2," + strings.TrimPrefix(flags, "none")
	}
	file := filepath.Join(dir, name)
	ts.Check(os.WriteFile(file, data, 0o644))
	ts.Check(os.Chtimes(file, at, at))
}

func cmdMailRaw(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 3, "mailraw DIR NAME MESSAGE")
	dir := ts.MkAbs(args[0])
	for _, sub := range []string{"cur", "new", "tmp"} {
		ts.Check(os.MkdirAll(filepath.Join(filepath.Dir(dir), sub), 0o755))
	}
	at := time.Unix(1700000000, 0)
	file := filepath.Join(dir, args[1])
	ts.Check(os.WriteFile(file, madeUp(args[2], at), 0o644))
	ts.Check(os.Chtimes(file, at, at))
}

func cmdUIDList(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "uidlist FOLDER VALIDITY")
	var names []string
	for _, sub := range []string{"cur", "new"} {
		list, err := os.ReadDir(filepath.Join(ts.MkAbs(args[0]), sub))
		ts.Check(err)
		for _, e := range list {
			base, _, _ := strings.Cut(e.Name(), ":")
			names = append(names, base)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	fmt.Fprintf(&b, "3 V%s N%d G00112233445566778899aabbccddeeff\n", args[1], len(names)+1)
	for i, n := range names {
		fmt.Fprintf(&b, "%d :%s\n", i+1, n)
	}
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[0]), "dovecot-uidlist"), []byte(b.String()), 0o644))
}

// globAll finds the files that a pattern means; there must be some.
func globAll(ts *testscript.TestScript, pattern string) []string {
	list, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	if len(list) == 0 {
		ts.Fatalf("no file matches %s", pattern)
	}
	return list
}

func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "damage KIND GLOB")
	for _, file := range globAll(ts, args[1]) {
		st, err := os.Stat(file)
		ts.Check(err)
		data, err := os.ReadFile(file)
		ts.Check(err)
		switch args[0] {
		case "nul":
			data = make([]byte, len(data))
		case "tail":
			clear(data[len(data)-600:])
		case "truncate":
			data = data[:len(data)/2]
		case "grow":
			data = append(data, "one line too many\n"...)
		case "empty":
			data = nil
		case "flip":
			data[len(data)-10] ^= 0x01
		default:
			ts.Fatalf("unknown damage %q", args[0])
		}
		ts.Check(os.WriteFile(file, data, 0o644))
		ts.Check(os.Chtimes(file, st.ModTime(), st.ModTime()))
	}
}

func cmdLose(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "lose GLOB")
	for _, file := range globAll(ts, args[0]) {
		ts.Check(os.RemoveAll(file))
	}
}

func cmdCopyTree(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "copytree FROM TO")
	out, err := exec.Command("cp", "-a", ts.MkAbs(args[0]), ts.MkAbs(args[1])).CombinedOutput()
	if err != nil {
		ts.Fatalf("cp -a: %v\n%s", err, out)
	}
}

// messages lists the message files of a tree: path relative to it, with size,
// date and a digest of the content.
func messages(ts *testscript.TestScript, dir string) string {
	var b strings.Builder
	ts.Check(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".mailsync" {
			return filepath.SkipDir
		}
		if parent := filepath.Base(filepath.Dir(path)); d.IsDir() || parent != "cur" && parent != "new" {
			return nil
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%q %d %d %x\n", rel, st.Size(), st.ModTime().UnixNano(), data)
		return nil
	}))
	return b.String()
}

func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] same A B")
	}
	a, b := messages(ts, ts.MkAbs(args[0])), messages(ts, ts.MkAbs(args[1]))
	if a == "" {
		ts.Fatalf("no messages below %s", args[0])
	}
	if (a == b) == neg {
		ts.Fatalf("%s and %s: same is %v", args[0], args[1], a == b)
	}
}

// cmdSettle scans a store until nothing of it is read any more: a file that
// was written a moment before a scan could be written again within the same
// tick of the clock, so its stamps prove nothing yet.
func cmdSettle(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "settle STORE")
	for range 200 {
		if err := ts.Exec("mailsync", "scan", args[0], "--json"); err != nil {
			ts.Fatalf("scan: %v", err)
		}
		if strings.Contains(ts.ReadFile("stdout"), `"read_bytes":0,`) {
			return
		}
	}
	ts.Fatalf("%s is read again and again", args[0])
}

// cmdTree writes what must not change when a command only reads: names, sizes,
// modes, inodes, change and access times of everything. It reads directories
// without touching their access times itself.
func cmdTree(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "tree FILE DIR")
	var b strings.Builder
	noatime := len(args) > 2 && args[2] == "noatime"
	var walk func(path string)
	walk = func(path string) {
		var st syscall.Stat_t
		ts.Check(syscall.Lstat(path, &st))
		if noatime {
			st.Atim = syscall.Timespec{}
		}
		fmt.Fprintf(&b, "%q mode %o size %d inode %d mtime %d.%09d ctime %d.%09d atime %d.%09d\n", strings.TrimPrefix(path, ts.Getenv("WORK")),
			st.Mode, st.Size, st.Ino, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec, st.Atim.Sec, st.Atim.Nsec)
		if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			return
		}
		d, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOATIME, 0)
		ts.Check(err)
		defer d.Close()
		names, err := d.Readdirnames(-1)
		ts.Check(err)
		slices.Sort(names)
		for _, n := range names {
			walk(filepath.Join(path, n))
		}
	}
	walk(ts.MkAbs(args[1]))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b.String()), 0o644))
}
