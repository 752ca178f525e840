package remote

import (
	"fmt"

	"mailsync/restore"
)

// What passes in a run (methodRun). The caller's first frame is the request; it
// goes on with inputs, and with the data of plans. Each Apply and each Deliver is
// answered by items up to one with Over, the run's End by one with Ended.

// runRequest begins a run.
type runRequest struct {
	Options RunOptions `cbor:"1,keyasint"`
	Source  opened     `cbor:"2,keyasint"` // of the caller: everything that Options.Here does not name
}

// runInput is what the caller says in a run: exactly one field is set.
type runInput struct {
	Actions [][]byte `cbor:"1,keyasint,omitempty"` // as Action.AppendBinary writes them, of the next Deliver
	Deliver bool     `cbor:"2,keyasint,omitempty"` // carry out those that came
	Plan    *runPlan `cbor:"3,keyasint,omitempty"` // a plan, whose data follow
	Apply   bool     `cbor:"6,keyasint,omitempty"` // the plan is whole: carry it out
	Stop    bool     `cbor:"4,keyasint,omitempty"` // end what is in flight and no more
	End     *runEnd  `cbor:"5,keyasint,omitempty"`
}

type runPlan struct {
	Fresh bool `cbor:"1,keyasint,omitempty"` // see restore.ReadPlan
}

// runEnd says why a run ends; no error: everything was tried.
type runEnd struct {
	Err *wireError `cbor:"1,keyasint,omitempty"`
}

// runItem is what the host tells of a run: exactly one field is set.
type runItem struct {
	Begun    string       `cbor:"1,keyasint,omitempty"` // the run's id
	Actions  [][]byte     `cbor:"2,keyasint,omitempty"` // ended; what is done is durable
	Progress *runProgress `cbor:"3,keyasint,omitempty"`
	Over     *runOver     `cbor:"4,keyasint,omitempty"` // of an Apply or a Deliver
	Ended    bool         `cbor:"5,keyasint,omitempty"`
}

// runOver says why an Apply or a Deliver ended early, where it did, and how many
// of the run's actions nobody has begun.
type runOver struct {
	Err     *wireError `cbor:"1,keyasint,omitempty"`
	Planned int64      `cbor:"2,keyasint,omitempty"`
}

type runProgress struct {
	_                   struct{} `cbor:",toarray"`
	Done, Failed, Bytes int64
}

const (
	// actionBytes is how many bytes of actions make a frame full.
	actionBytes = 32 << 10
	// maxDelivery and maxDeliveryBytes bound the actions of one Deliver that travel
	// together, and so what a host holds of them.
	maxDelivery      = 4096
	maxDeliveryBytes = 4 << 20
)

// actions takes up actions until a frame is full.
type actions struct {
	list [][]byte
	size int
}

func (l *actions) add(a *restore.Action) error {
	p, err := a.AppendBinary(nil)
	if err != nil {
		return err
	}
	l.list = append(l.list, p)
	l.size += len(p)
	return nil
}

// take returns what there is, and begins anew.
func (l *actions) take() [][]byte {
	out := l.list
	*l = actions{}
	return out
}

func parseAction(p []byte) (restore.Action, error) {
	var a restore.Action
	if err := a.UnmarshalBinary(p); err != nil {
		return a, fmt.Errorf("%w: an action: %w", ErrProtocol, err)
	}
	return a, nil
}
