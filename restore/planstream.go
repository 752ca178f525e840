package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// MaxPlan bounds a plan that comes from elsewhere, in bytes: that of some
// thirty million messages.
const MaxPlan = 8 << 30

// WriteTo implements io.WriterTo: it writes what Save would write, for another
// host to read with ReadPlan.
func (p *Plan) WriteTo(w io.Writer) (int64, error) {
	dir, err := os.MkdirTemp("", "mailsync-plan-*")
	if err != nil {
		return 0, fmt.Errorf("spool: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "plan")
	if err := writePlan(path, p.header, &p.forecast, p.store.records(context.Background())); err != nil {
		return 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return io.Copy(w, f)
}

// ReadPlan reads what WriteTo has written, of up to MaxPlan bytes, to its end,
// into a file without a name, and checks all of it as LoadPlan does. A plan is
// fresh where it was made for this run: as one that was made in this process, it
// is not refused mailbox by mailbox where something has moved; each action checks
// its own ground. The caller closes the plan.
func ReadPlan(r io.Reader, fresh bool) (*Plan, error) {
	f, err := TempFile()
	if err != nil {
		return nil, err
	}
	p, err := readPlan(f, r)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	p.strict = !fresh
	return p, nil
}

func readPlan(f *os.File, r io.Reader) (*Plan, error) {
	n, err := io.Copy(f, io.LimitReader(r, MaxPlan+1))
	if err != nil {
		return nil, err
	}
	if n > MaxPlan {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrPlan, int64(MaxPlan))
	}
	held := heldPlan{planFile{path: fmt.Sprintf("/proc/self/fd/%d", f.Fd()), name: "from another host"}, f}
	p, err := loadPlan(held.planFile)
	if err != nil {
		return nil, err
	}
	p.store = held
	return p, nil
}

// Fresh tells whether the plan was made for this run, and not taken from a file
// of another day.
func (p *Plan) Fresh() bool { return !p.strict }

// heldPlan is the store of a plan that came from elsewhere.
type heldPlan struct {
	planFile
	f *os.File
}

func (h heldPlan) close() error { return h.f.Close() }

var errLongAction = errors.New("an action is longer than an action can be")

// maxAction bounds an action that travels by itself, in bytes.
const maxAction = 64 << 10

// AppendBinary implements encoding.BinaryAppender: an action as plans and
// journals hold it. The lines of a UID list are left out: what is told or asked
// of a single action needs none.
func (a *Action) AppendBinary(b []byte) ([]byte, error) {
	short := *a
	short.UIDs = nil
	e := encoder{b: b}
	e.action(&short)
	if len(e.b)-len(b) > maxAction {
		return b, errLongAction
	}
	return e.b, nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. It refuses what no
// mailsync has written, and more than an action can be.
func (a *Action) UnmarshalBinary(p []byte) error {
	if len(p) > maxAction {
		return errLongAction
	}
	d := decoderOver(p)
	d.action(a)
	return d.end()
}
