package main

// group keeps the lines of one mailbox together where several stores, on
// several hosts, are looked at side by side. Its methods are called by one
// goroutine at a time; a store has one of its own.
type group struct {
	a    *app
	box  string
	held []func()
	mine bool // the turn is this store's until the mailbox ends
}

// maxGroup is how many lines of a mailbox wait for its end before they are
// written, and the others wait for it.
const maxGroup = 1000

// line writes a line about a mailbox.
func (g *group) line(mailbox string, write func()) {
	if !g.a.several {
		write()
		return
	}
	if mailbox != g.box {
		g.end()
		g.box = mailbox
	}
	if g.mine {
		write()
		return
	}
	if g.held = append(g.held, write); len(g.held) >= maxGroup {
		g.take()
	}
}

// take writes what is held, and keeps the turn.
func (g *group) take() {
	g.a.turn.Lock()
	g.mine = true
	for _, write := range g.held {
		write()
	}
	g.held = nil
}

// end ends the lines of a mailbox.
func (g *group) end() {
	if len(g.held) > 0 && !g.mine {
		g.take()
	}
	if g.mine {
		g.a.turn.Unlock()
		g.mine = false
	}
}

// alone writes several lines that stand together.
func (g *group) alone(write func()) {
	g.end()
	g.a.turn.Lock()
	defer g.a.turn.Unlock()
	write()
}
