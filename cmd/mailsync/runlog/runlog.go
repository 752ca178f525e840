// Package runlog keeps what a run told: its JSON lines, compressed, one file a
// run in the state directory, so that a report can be made of it later.
//
// A log is a convenience, not a record: journals and manifests hold the truth.
// So it is not synced, a log that cannot be written costs a run nothing but
// the report, and a run that is killed leaves what was written until then.
// Logs older than Keep are removed when a new one begins.
package runlog

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Keep is how long logs are kept.
const Keep = 90 * 24 * time.Hour

// maxLines is how many lines of one type a log takes.
const maxLines = 100_000

// block is how much is written at once, and lost when a run is killed.
const block = 64 << 10

const (
	dirName = "logs"
	suffix  = ".jsonl.zst"
)

// ErrNoLog reports a run of which no log is kept.
var ErrNoLog = errors.New("no log of such a run is kept")

// maxHeld is how much a log holds in memory until it is released.
const maxHeld = 4 << 20

// Writer writes the log of one run. Nothing is written before a block is full
// or Close is called, and nothing at all where the state directory is missing
// by then. It is not safe for several goroutines.
type Writer struct {
	state string
	id    string
	began time.Time

	held    bool
	pending []byte
	lines   map[string]int64
	left    int64
	file    *os.File
	enc     *zstd.Encoder
	err     error
}

// New begins the log of a run. A held one is written only once it is released:
// of a command that may yet turn out to do nothing.
func New(state string, began time.Time, held bool) *Writer {
	var p [4]byte
	_, _ = rand.Read(p[:])
	id := began.UTC().Format("20060102-150405.000") + "-" + hex.EncodeToString(p[:])
	return &Writer{state: state, id: id, began: began, held: held, lines: map[string]int64{}}
}

// Release lets a held log be written.
func (w *Writer) Release() { w.held = false }

// Held tells whether nothing is written yet, and will not be unless released.
func (w *Writer) Held() bool { return w.held }

// ID names the log.
func (w *Writer) ID() string { return w.id }

// Line takes a line with its newline. Beyond maxLines of its type it is
// counted only.
func (w *Writer) Line(line []byte) {
	t := kindOf(line)
	if w.lines[t]++; w.lines[t] > maxLines || w.held && len(w.pending) > maxHeld {
		w.left++
		return
	}
	w.pending = append(w.pending, line...)
	if len(w.pending) >= block && !w.held {
		w.flush()
	}
}

// kindOf cuts the type out of a line as ui writes it.
func kindOf(line []byte) string {
	_, rest, ok := bytes.Cut(line, []byte(`"type":"`))
	if !ok {
		return ""
	}
	t, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(t)
}

func (w *Writer) flush() {
	if w.err == nil && w.file == nil {
		w.err = w.open()
	}
	if w.err == nil {
		_, w.err = w.enc.Write(w.pending)
	}
	if w.err == nil {
		w.err = w.enc.Flush()
	}
	w.pending = w.pending[:0]
}

func (w *Writer) open() error {
	if _, err := os.Stat(w.state); err != nil {
		return err
	}
	dir := filepath.Join(w.state, dirName)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	w.prune(dir)
	f, err := os.OpenFile(filepath.Join(dir, w.id+suffix), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	enc, err := zstd.NewWriter(f, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	if err != nil {
		_ = f.Close()
		return err
	}
	w.file, w.enc = f, enc
	return nil
}

// prune removes logs that are older than Keep. What cannot be removed stays.
func (w *Writer) prune(dir string) {
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		at, ok := timeOf(strings.TrimSuffix(e.Name(), suffix))
		if ok && strings.HasSuffix(e.Name(), suffix) && w.began.Sub(at) > Keep {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// timeOf reads when a run began out of its id.
func timeOf(id string) (time.Time, bool) {
	const layout = "20060102-150405.000"
	if len(id) < len(layout)+2 || id[len(layout)] != '-' {
		return time.Time{}, false
	}
	at, err := time.Parse(layout, id[:len(layout)])
	return at, err == nil
}

// Close ends the log. A run that has an id of its own gives it to its log. The
// error says why there is no log, or only a part of one.
func (w *Writer) Close(run string) error {
	if w.held {
		return nil
	}
	if w.left > 0 {
		w.pending = fmt.Appendf(w.pending, `{"v":1,"type":"left_out","lines":%d}`+"\n", w.left)
	}
	w.flush()
	if w.file == nil {
		return w.err
	}
	err := errors.Join(w.err, w.enc.Close(), w.file.Close())
	w.enc = nil // a megabyte
	if run != "" && run != w.id {
		if rerr := os.Rename(w.file.Name(), filepath.Join(w.state, dirName, run+suffix)); rerr == nil {
			w.id = run
		}
	}
	return err
}

// List returns the ids of the logs that are kept, the oldest first.
func List(state string) ([]string, error) {
	list, err := os.ReadDir(filepath.Join(state, dirName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	for _, e := range list {
		if id, ok := strings.CutSuffix(e.Name(), suffix); ok && e.Type().IsRegular() {
			if _, ok := timeOf(id); ok {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return ids, err
}

// Open reads the log of a run; "last" is the newest. A log that was cut short
// ends with io.ErrUnexpectedEOF.
func Open(state, id string) (io.ReadCloser, error) {
	if id == "last" {
		ids, err := List(state)
		if err != nil {
			return nil, err
		}
		if len(ids) == 0 {
			return nil, ErrNoLog
		}
		id = ids[len(ids)-1]
	}
	if _, ok := timeOf(id); !ok || id != filepath.Base(id) {
		return nil, ErrNoLog
	}
	f, err := os.Open(filepath.Join(state, dirName, id+suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoLog
	}
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &reader{dec, f}, nil
}

type reader struct {
	*zstd.Decoder
	file *os.File
}

func (r *reader) Close() error {
	r.Decoder.Close()
	return r.file.Close()
}
