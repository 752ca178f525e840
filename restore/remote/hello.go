package remote

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
)

// The versions of the protocol that this program speaks.
const (
	OldestVersion = 1
	NewestVersion = 1
)

// maxHello bounds the first line of either side, in bytes.
const maxHello = 200

// hello is the first line of either side: "mailsync 1-1 v0.3.0 serve". The
// numbers are the oldest and the newest version of the protocol that it speaks.
type hello struct {
	oldest, newest int
	program        string // version of the program, for people
	role           string // call or serve
}

var helloRE = regexp.MustCompile(`^mailsync ([0-9]{1,6})-([0-9]{1,6}) ([!-~]{1,100}) (call|serve)\n$`)

func (h hello) line() string {
	return fmt.Sprintf("mailsync %d-%d %s %s\n", h.oldest, h.newest, h.program, h.role)
}

func parseHello(line string) (hello, error) {
	m := helloRE.FindStringSubmatch(line)
	if m == nil {
		return hello{}, fmt.Errorf("%w: its first line is %q", ErrHello, line)
	}
	oldest, _ := strconv.Atoi(m[1])
	newest, _ := strconv.Atoi(m[2])
	if oldest < 1 || newest < oldest {
		return hello{}, fmt.Errorf("%w: its first line is %q", ErrHello, line)
	}
	return hello{oldest, newest, m[3], m[4]}, nil
}

// greet exchanges the first lines and returns the newest version that both
// speak. What serves says its line before it listens: it ends when its caller
// hangs up, and a caller that has nothing to say, a person who tries it by hand,
// shall still see what answers. What calls does both at once, so that no pipe
// without a buffer stops the two.
func greet(rw io.ReadWriter, own hello) (version int, other hello, err error) {
	sent := make(chan error, 1)
	say := func() {
		_, err := io.WriteString(rw, own.line())
		sent <- err
	}
	if own.role == "serve" {
		say()
	} else {
		go say()
	}
	line, err := readLine(rw)
	if err != nil {
		return 0, other, err
	}
	if other, err = parseHello(line); err != nil {
		return 0, other, err
	}
	if other.role == own.role {
		return 0, other, fmt.Errorf("%w: both ends %s", ErrHello, own.role)
	}
	version = min(own.newest, other.newest)
	if version < own.oldest || version < other.oldest {
		return 0, other, fmt.Errorf("%w: here %s (%d to %d), there %s (%d to %d)",
			ErrVersion, own.program, own.oldest, own.newest, other.program, other.oldest, other.newest)
	}
	if err := <-sent; err != nil {
		return 0, other, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return version, other, nil
}

// readLine reads up to a line end, byte by byte: what follows belongs to the
// multiplexer.
func readLine(r io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for len(line) < maxHello {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			if len(line) > 0 {
				return "", fmt.Errorf("%w: it said %q and no more", ErrHello, line)
			}
			return "", fmt.Errorf("%w before a word was said: %w", ErrLost, err)
		}
		line = append(line, b[0])
		if b[0] == '\n' {
			return string(line), nil
		}
	}
	return "", fmt.Errorf("%w: its first line begins with %q", ErrHello, line[:40])
}
