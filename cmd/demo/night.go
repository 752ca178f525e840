package main

import (
	"fmt"
	"regexp"
)

// night plays the whole story.
func night(s *stage) error {
	s.line("%s", s.paint("1", "mailsync: a bad night, rehearsed"))
	s.say(`Three people, two replicas of their mail (primary and spare), and a gateway
		that keeps a copy of every message before it is delivered.`)
	e, err := build(s.dir)
	if err != nil {
		return fmt.Errorf("build the estate: %w", err)
	}
	for _, act := range []func(*stage, *estate) error{saturday, cut, putBack, takeBack, gap} {
		if err := act(s, e); err != nil {
			return err
		}
	}
	s.line("")
	s.line("%s", s.paint("1;32", "All is in place, and every step of it was checked."))
	s.say(`Where to go next:
		README.md                 the first use on your own store
		docs/configuration.md     stores, archives and recipients by name
		docs/exit-codes.md        what cron and monitoring see
		mailsync help             every command`)
	return nil
}

func saturday(s *stage, _ *estate) error {
	s.title("Saturday evening: all is well", `A scan records what each store holds, message by message. It reads only.`)
	_, err := s.mailsync(want{exit: 0, has: []string{`\./primary: 3 mailboxes, 7 messages`, `\./spare: 3 mailboxes, 7 messages`}},
		"scan", "./primary", "./spare")
	return err
}

func cut(s *stage, e *estate) error {
	s.title("Sunday, 01:30: the power goes", `One message of the primary is now all NUL bytes (its size is right), one ends
		in the middle, one is gone. Nobody knows yet.`)
	if err := e.powerCut(); err != nil {
		return fmt.Errorf("damage the primary: %w", err)
	}
	if _, err := s.mailsync(want{exit: 1, has: []string{`nul_filled +alice@example\.org`, `truncated +bob@example\.org`, `missing +carol@example\.org`, `Nothing was changed`}},
		"verify", "./primary", "--crash-at", "2026-11-22T01:30:00Z"); err != nil {
		return err
	}
	s.line("")
	s.say(`What does the spare have, and which copy is good?`)
	_, err := s.mailsync(want{exit: 1, has: []string{`3 differences`, `\./spare is good`}}, "diff", "./primary", "./spare")
	return err
}

func putBack(s *stage, e *estate) error {
	s.title("Put back what was lost", `Restore plans first. On a terminal it asks; here --yes answers. Damaged
		originals move to a quarantine, nothing is overwritten or deleted.`)
	if _, err := s.mailsync(want{exit: 0, has: []string{`3 actions? done`, `mailsync undo `}},
		"restore", "./primary", "--from", "./spare", "--yes", "--crash-at", "2026-11-22T01:30:00Z"); err != nil {
		return err
	}
	if err := e.whole("welcome", "tides", "minutes", "invoice", "soup", "photo", "list"); err != nil {
		return fmt.Errorf("after restore: %w", err)
	}
	if _, err := s.mailsync(want{exit: 0, has: []string{`hold the same 7 messages`}}, "diff", "./primary", "./spare"); err != nil {
		return err
	}
	s.line("")
	s.say(`The same command again finds nothing to do.`)
	_, err := s.mailsync(want{exit: 0, has: []string{`nothing to do`}}, "restore", "./primary", "--from", "./spare", "--yes")
	return err
}

func takeBack(s *stage, e *estate) error {
	s.title("Changed your mind?", `Every write is journalled. Undo takes back exactly what a run did.`)
	out, err := s.mailsync(want{exit: 0, has: []string{`restore +\./primary`, `undone`}}, "runs")
	if err != nil {
		return err
	}
	id := regexp.MustCompile(`(?m)^(\S+)  .*restore`).FindStringSubmatch(out)
	if id == nil {
		return fmt.Errorf("mailsync runs names no run")
	}
	if _, err := s.mailsync(want{exit: 0, has: []string{`is taken back`}}, "undo", id[1], "--yes"); err != nil {
		return err
	}
	if err := e.whole("soup"); err == nil {
		return fmt.Errorf("after undo the lost message is still there")
	}
	s.line("")
	s.say(`And put back once more, to go on:`)
	if _, err := s.mailsync(want{exit: 0, has: []string{`3 actions? done`}},
		"restore", "./primary", "--from", "./spare", "--yes", "--crash-at", "2026-11-22T01:30:00Z"); err != nil {
		return err
	}
	if err := e.whole("welcome", "tides", "minutes", "invoice", "soup", "photo", "list"); err != nil {
		return fmt.Errorf("after the second restore: %w", err)
	}
	return nil
}

func gap(s *stage, e *estate) error {
	s.title("The gap", `Two messages arrived while nothing was replicated: no store has them. The
		gateway's archive does. The account shows what is missing; nothing is written.`)
	if _, err := s.mailsync(want{exit: 1, has: []string{`9 archived = 7 present \+ 2 to deliver`}},
		"audit", "--from", "./gateway.mbox", "--to", "./primary", "--since", "2026-11-22T01:30:00Z"); err != nil {
		return err
	}
	s.line("")
	s.say(`Deliver exactly these, straight into the mailboxes: no filter, vacation
		reply or forward runs.`)
	if _, err := s.mailsync(want{exit: 0, has: []string{`9 archived = 7 present \+ 2 delivered`, `account closes`}},
		"replay", "--from", "./gateway.mbox", "--to", "./primary", "--since", "2026-11-22T01:30:00Z", "--yes"); err != nil {
		return err
	}
	for _, name := range []string{"storm", "cancel"} {
		n, err := e.holds(name)
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("after replay %s is there %d times", name, n)
		}
	}
	s.line("")
	s.say(`A second replay delivers nothing, and the account closes.`)
	if _, err := s.mailsync(want{exit: 0, has: []string{`9 archived = 9 present`}},
		"replay", "--from", "./gateway.mbox", "--to", "./primary", "--since", "2026-11-22T01:30:00Z", "--yes"); err != nil {
		return err
	}
	_, err := s.mailsync(want{exit: 0, has: []string{`9 archived = 9 present`, `account closes`}},
		"audit", "--from", "./gateway.mbox", "--to", "./primary", "--since", "2026-11-22T01:30:00Z")
	return err
}
