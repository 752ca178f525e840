package replay

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mailsync/manifest"
	"mailsync/restore/archive"
)

// route turns recipients into mailboxes: sorted by mailbox, and a tape of what
// leads nowhere.
func (r *Run) route(ctx context.Context, c *collected) error {
	r.byMailbox = newSorter(int(r.o.Memory / 2))
	r.nowhere = newTape()
	r.findings = c.findings

	known := map[string]struct{}{}
	var none int64
	for rec, err := range c.items.records(ctx) {
		if err != nil {
			return err
		}
		d := newDec(rec)
		it := d.item()
		if d.bad {
			return errRecord
		}
		to := c.envelope(it.to)
		for _, x := range to {
			known[x.addr] = struct{}{}
		}
		if len(to) == 0 {
			none++
		}
	}
	c.survey.NoRecipients = none
	if c.survey.Messages > 0 && none == c.survey.Messages {
		return c.noEnvelopes()
	}
	answers, err := r.resolve(ctx, known)
	if err != nil {
		return err
	}
	var e enc
	for rec, err := range c.items.records(ctx) {
		if err != nil {
			return err
		}
		d := newDec(rec)
		it := d.item()
		if d.bad {
			return errRecord
		}
		to := c.envelope(it.to)
		it.to = nil
		for _, x := range to {
			it.recipient, it.blocked = x.addr, x.blocked
			a := answers[x.addr]
			// Asked for named mailboxes, nobody asks for what has none.
			for _, detail := range noMailbox(a) {
				if r.o.Mailbox != nil {
					break
				}
				e.b = e.b[:0]
				e.item(&it)
				e.str(detail)
				if err := r.nowhere.add(e.b); err != nil {
					return err
				}
			}
			for _, name := range a.Mailboxes {
				if r.o.Mailbox != nil && !r.o.Mailbox(name) || strings.IndexByte(name, 0) >= 0 {
					continue
				}
				it.mailbox = name
				order := 0
				if r.o.Order != nil {
					order = r.o.Order(name)
				}
				e.b = e.b[:0]
				sortKey(&e, order, &it)
				e.item(&it)
				if err := r.byMailbox.add(e.b); err != nil {
					return err
				}
			}
		}
		if len(to) == 0 {
			f := &manifest.Finding{
				Store: r.o.Archive.Name(), File: it.pos, Kind: manifest.ArchiveNoRecipients,
				Detail: "nothing says for whom this message was",
			}
			c.trouble = true
			e.b = e.b[:0]
			encodeFinding(&e, f)
			if err := c.findings.add(e.b); err != nil {
				return err
			}
		}
	}
	r.damagedFiles, r.trouble = c.damaged, c.trouble
	return nil
}

// noMailbox gives the reason for each line without a mailbox: one where the
// address leads nowhere, one for each member of an alias that nothing knows.
func noMailbox(a Answer) []string {
	if len(a.Mailboxes) == 0 {
		if a.Detail != "" {
			return []string{a.Detail}
		}
		return []string{"no map knows this address"}
	}
	var out []string
	for _, u := range a.Unknown {
		out = append(out, "leads to "+u+" too, which no map knows")
	}
	return out
}

// envelope is who a message was for: the first place that names anybody but the
// archive itself.
func (c *collected) envelope(list []recipient) []recipient {
	var out []recipient
	for _, x := range list {
		if !c.isOwn(x) && (len(out) == 0 || x.how == out[0].how) {
			out = append(out, x)
		}
	}
	return out
}

func (c *collected) isOwn(x recipient) bool {
	return c.own != "" && (x.how == archive.OriginalTo || x.how == archive.DeliveredTo) && strings.EqualFold(x.addr, c.own)
}

// resolve asks for all addresses at once, sorted.
func (r *Run) resolve(ctx context.Context, known map[string]struct{}) (map[string]Answer, error) {
	addrs := make([]string, 0, len(known))
	for a := range known {
		addrs = append(addrs, a)
	}
	slices.Sort(addrs)
	got, err := r.o.Resolver.Resolve(ctx, addrs)
	if err != nil {
		return nil, fmt.Errorf("recipients: %w", err)
	}
	if len(got) != len(addrs) {
		return nil, fmt.Errorf("recipients: %w: %d answers to %d addresses", ErrResolver, len(got), len(addrs))
	}
	out := make(map[string]Answer, len(addrs))
	for i, a := range got {
		out[addrs[i]] = a
	}
	return out, nil
}

// noEnvelopes says what would help.
func (c *collected) noEnvelopes() error {
	hint := "archive with the envelope: batched SMTP, held queue files, a field X-Envelope-To in front of each message, or one directory a recipient with pattern = \"{recipient}/**\"; " +
		"if the gateway's own Received fields name the recipient, set received_by to the gateway's host name"
	if c.own != "" {
		hint = "X-Original-To and Delivered-To name only " + c.own + ", which is the archive's own mailbox; " + hint
	}
	return &NoEnvelopesError{Messages: c.survey.Messages, Hint: hint}
}
