package replay

import (
	"context"
	"encoding/binary"
	"iter"
	"slices"
	"strings"
	"time"

	"mailsync/manifest"
	"mailsync/restore/archive"
)

// Sending is what became of one archived message that left for one recipient.
type Sending string

// The outcomes of mail that left, and two things that only a log knows.
const (
	Sent2xx Sending = "sent"    // the next host, or a mailbox here, took it
	Delayed Sending = "delayed" // it is in the queue, or was when the log ended
	Bounced Sending = "bounced" // refused for good; the sender was told
	Expired Sending = "expired" // given up after the queue's lifetime; the sender was told
	Lost    Sending = "lost"    // none of these: no log knows its end, and no queue has it

	Sighted Sending = "sighted" // the queue had it
	Removed Sending = "removed" // it left the queue
)

// Outgoing is the fate of one archived message for one recipient. Its fields
// are those of the JSON object "sending".
type Outgoing struct {
	Source    string  `json:"source"` // archive position
	Sender    string  `json:"sender"` // of the envelope
	Recipient string  `json:"recipient"`
	Service   string  `json:"service"`    // which of the operator's services handed it in; "" = nothing says it
	MessageID *string `json:"message_id"` // nil when absent
	Outcome   Sending `json:"outcome"`
	Queue     string  `json:"queue_id"` // of the MTA, the last one known; "" = none
	Detail    string  `json:"detail"`
	Date      string  `json:"date,omitempty"` // arrival, RFC 3339 UTC
}

// Service is the account of one service: archived is the sum of the others.
type Service struct {
	Service  string `json:"service"`
	Archived int64  `json:"archived"`
	Sent     int64  `json:"sent"`
	Delayed  int64  `json:"delayed"`
	Bounced  int64  `json:"bounced"`
	Expired  int64  `json:"expired"`
	Lost     int64  `json:"lost"`
	Closed   bool   `json:"closed"` // nothing is delayed or lost
}

func (s *Service) add(o Sending) {
	s.Archived++
	switch o {
	case Sent2xx:
		s.Sent++
	case Delayed:
		s.Delayed++
	case Bounced:
		s.Bounced++
	case Expired:
		s.Expired++
	default:
		s.Lost++
	}
	s.Closed = s.Delayed == 0 && s.Lost == 0
}

// OutboundOptions say what is compared.
type OutboundOptions struct {
	Archive *archive.Archive   // of sent mail
	Logs    []string           // of the MTA, in any order
	Queues  []*archive.Archive // the MTA's queue directories, as they are now
	Header  string             // field that names the service; "" = what the log says
	Copy    string             // the MTA's transport that writes the archive; "" = none
	Since   time.Time
	Until   time.Time

	Memory   int64 // default 64 MiB
	Progress *Progress
}

// OutboundEvent is one step of the account: exactly one field is set. Services
// come at the end, by name.
type OutboundEvent struct {
	Outgoing *Outgoing
	Service  *Service
	Finding  *manifest.Finding
}

// What is known of messages is sorted by Message-ID, so that an archive and
// logs of any size need no more memory.
const (
	recArchived = 'a'
	recQueued   = 'q'
	recSight    = 's'
)

// Outbound gives every archived message and recipient one outcome, by what the
// logs and the queue say. It writes nothing but its spool.
func Outbound(ctx context.Context, o OutboundOptions) iter.Seq2[OutboundEvent, error] {
	return func(yield func(OutboundEvent, error) bool) {
		if o.Memory <= 0 {
			o.Memory = 64 << 20
		}
		if o.Progress == nil {
			o.Progress = &Progress{}
		}
		r := &outbound{o: o, s: newSorter(int(o.Memory)), services: map[string]*Service{}, yield: yield}
		defer r.s.close()
		if err := r.run(ctx); err != nil && err != errStopped {
			yield(OutboundEvent{}, err)
		}
	}
}

type outbound struct {
	o        OutboundOptions
	s        *sorter
	services map[string]*Service
	sights   uint64
	yield    func(OutboundEvent, error) bool
	e        enc
}

func (r *outbound) tell(e OutboundEvent) error {
	if !r.yield(e, nil) {
		return errStopped
	}
	return nil
}

func (r *outbound) run(ctx context.Context) error {
	r.o.Progress.stage("reading the archive", 0)
	if err := r.messages(ctx, r.o.Archive, recArchived); err != nil {
		return err
	}
	r.o.Progress.stage("reading the queue", 0)
	for _, q := range r.o.Queues {
		if err := r.messages(ctx, q, recQueued); err != nil {
			return err
		}
	}
	r.o.Progress.stage("reading the logs", 0)
	log := &outLog{ids: map[string]*queued{}, copy: r.o.Copy}
	for _, name := range r.o.Logs {
		if err := readOutLog(ctx, log, name, func(x *sight) error { r.o.Progress.Done.Add(1); return r.sight(x) }); err != nil {
			return err
		}
	}
	r.o.Progress.stage("drawing up the account", 0)
	var g outGroup
	for rec, err := range r.s.sorted(ctx) {
		if err != nil {
			return err
		}
		key, kind, d := outRecord(rec)
		if key != g.key {
			if err := r.settle(&g); err != nil {
				return err
			}
			g = outGroup{key: key}
		}
		g.add(kind, d)
	}
	if err := r.settle(&g); err != nil {
		return err
	}
	names := make([]string, 0, len(r.services))
	for n := range r.services {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if err := r.tell(OutboundEvent{Service: r.services[n]}); err != nil {
			return err
		}
	}
	return nil
}

// put adds a record: length and bytes of the key, the kind, the rest.
func (r *outbound) put(key string, kind byte, fill func(*enc)) error {
	r.e.b = binary.BigEndian.AppendUint16(r.e.b[:0], uint16(min(len(key), 4096)))
	r.e.b = append(r.e.b, key[:min(len(key), 4096)]...)
	r.e.b = append(r.e.b, kind)
	fill(&r.e)
	return r.s.add(r.e.b)
}

func outRecord(rec []byte) (key string, kind byte, d dec) {
	n := int(binary.BigEndian.Uint16(rec))
	return string(rec[2 : 2+n]), rec[2+n], newDec(rec[3+n:])
}

// messages reads an archive or a queue.
func (r *outbound) messages(ctx context.Context, a *archive.Archive, kind byte) error {
	for it, err := range a.Messages(ctx) {
		if err != nil {
			return err
		}
		if it.Finding != nil {
			// A queue moves while it is read: what is half written there is no finding.
			if kind == recArchived {
				if err := r.tell(OutboundEvent{Finding: it.Finding}); err != nil {
					return err
				}
			}
			continue
		}
		m := it.Message
		r.o.Progress.Done.Add(1)
		if kind == recArchived && (!r.o.Since.IsZero() && m.Arrival.Before(r.o.Since) || !r.o.Until.IsZero() && !m.Arrival.Before(r.o.Until)) {
			continue
		}
		if kind == recArchived && len(m.Recipients) == 0 {
			f := &manifest.Finding{Store: a.Name(), File: m.Pos.String(), Kind: manifest.ArchiveNoRecipients, Detail: "nothing says for whom this message was"}
			if err := r.tell(OutboundEvent{Finding: f}); err != nil {
				return err
			}
			continue
		}
		id, _ := m.Field("Message-ID")
		service := ""
		if r.o.Header != "" {
			service, _ = m.Field(r.o.Header)
		}
		queue := queueOf(m)
		err := r.put(outKey(id, queue), kind, func(e *enc) {
			e.str(m.Pos.String())
			e.str(m.Sender)
			e.str(id)
			e.str(service)
			e.str(queue)
			e.int(nanos(m.Arrival))
			e.uint(uint64(len(m.Recipients)))
			for _, x := range m.Recipients {
				e.str(x.Addr)
				e.str(x.Original)
				e.bool(x.Done)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// outKey is under what message, queue and log come together. A Message-ID that
// Exim itself made, as that of a bounce, is not in its log, but names the queue id.
func outKey(id, queue string) string {
	if id = strings.TrimSpace(id); id != "" && (queue == "" || !strings.HasPrefix(id, "<E"+queue+"@")) {
		return id
	}
	return "\x00" + queue
}

// queueOf is the queue id of a message: its file's name in a queue, else what
// its topmost Received names.
func queueOf(m *archive.Message) string {
	switch m.Format {
	case "postfix":
		return m.Pos.File[strings.LastIndexByte(m.Pos.File, '/')+1:]
	case "exim":
		return strings.TrimSuffix(m.Pos.File[strings.LastIndexByte(m.Pos.File, '/')+1:], "-H")
	}
	f, _ := m.Field("Received")
	words := strings.Fields(f)
	for i := 0; i+1 < len(words); i++ {
		if strings.EqualFold(words[i], "id") {
			return strings.TrimSuffix(words[i+1], ";")
		}
	}
	return ""
}

func (r *outbound) sight(x *sight) error {
	r.sights++
	return r.put(outKey(strings.Trim(x.key, " "), x.queue), recSight, func(e *enc) {
		e.str(x.queue)
		e.str(x.service)
		e.str(x.who)
		e.str(x.orig)
		e.str(string(x.fate))
		e.str(x.next)
		e.str(x.why[:min(len(x.why), 300)])
		e.int(x.at.Unix()) // nanoseconds alone cannot tell a time without a year
		e.int(int64(x.at.Nanosecond()))
		e.uint(r.sights)
		e.bool(x.year)
	})
}

// settle gives each message and recipient of a group its outcome.
func (r *outbound) settle(g *outGroup) error {
	known := map[string]bool{}
	for i := range g.sights {
		known[g.sights[i].queue] = true
	}
	for i := range g.archived {
		m := &g.archived[i]
		g.date(m.at)
		seen := map[string]bool{}
		for _, to := range m.to {
			if seen[strings.ToLower(to.addr)] {
				continue
			}
			seen[strings.ToLower(to.addr)] = true
			x := g.outcome(m, to, known, len(r.o.Queues) > 0)
			s := r.services[x.Service]
			if s == nil {
				s = &Service{Service: x.Service}
				r.services[x.Service] = s
			}
			s.add(x.Outcome)
			if err := r.tell(OutboundEvent{Outgoing: &x}); err != nil {
				return err
			}
		}
	}
	return nil
}
