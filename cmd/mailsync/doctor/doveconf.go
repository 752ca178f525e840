package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Limits of what is read of doveconf: a large installation's output has some
// hundred kilobytes.
const (
	maxOutput = 8 << 20
	maxWait   = 20 * time.Second
	// maxBlockName is far more than any block's name has: each setting's key
	// repeats those of its blocks.
	maxBlockName = 200
)

// ErrOutput: what doveconf wrote is no configuration of Dovecot.
var ErrOutput = errors.New("this is not what doveconf prints")

// Settings is what doveconf prints: each setting by the names of its blocks and
// its own, joined by '/' ("userdb/driver"), in order of appearance.
type Settings struct {
	Version string // as in "2.3.19.1"
	list    []setting
}

type setting struct{ key, value string }

// Ask runs doveconf, given as a program and its arguments, for all settings.
// doveconf hides passwords.
func Ask(ctx context.Context, doveconf []string) (*Settings, error) {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	args := append(append([]string{}, doveconf[1:]...), "-a")
	cmd := exec.CommandContext(ctx, doveconf[0], args...)
	cmd.WaitDelay = time.Second
	var errs bytes.Buffer
	out, stderr := &capped{limit: maxOutput}, &capped{limit: 4096, buf: &errs}
	out.buf = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, stderr
	if err := cmd.Run(); err != nil {
		if line, _, _ := strings.Cut(strings.TrimSpace(errs.String()), "\n"); line != "" {
			return nil, fmt.Errorf("%s: %w: %s", doveconf[0], err, line)
		}
		return nil, fmt.Errorf("%s: %w", doveconf[0], err)
	}
	if out.over {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", doveconf[0], ErrOutput, maxOutput)
	}
	s, err := Parse(out.buf.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doveconf[0], err)
	}
	return s, nil
}

// capped keeps the first bytes of a stream and notes that there were more.
type capped struct {
	buf   *bytes.Buffer
	limit int
	over  bool
}

// Write implements io.Writer; it takes all.
func (c *capped) Write(p []byte) (int, error) {
	room := c.limit - c.buf.Len()
	if len(p) > room {
		c.over = true
		c.buf.Write(p[:room])
		return len(p), nil
	}
	return c.buf.Write(p)
}

// Parse reads what doveconf printed. The error wraps ErrOutput.
func Parse(text []byte) (*Settings, error) {
	s := &Settings{}
	var blocks []string
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, maxOutput)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		switch {
		case line == "":
		case line[0] == '#':
			if v, _, ok := strings.Cut(strings.TrimPrefix(line, "# "), " "); ok && s.Version == "" && v != "" && v[0] >= '0' && v[0] <= '9' {
				s.Version = strings.TrimSuffix(v, ":")
			}
		case line == "}":
			if len(blocks) == 0 {
				return nil, fmt.Errorf("%w: line %d: a block ends that did not begin", ErrOutput, n)
			}
			blocks = blocks[:len(blocks)-1]
		case strings.HasSuffix(line, "{"):
			if len(blocks) == 32 {
				return nil, fmt.Errorf("%w: line %d: blocks in more than 32 blocks", ErrOutput, n)
			}
			name, _, _ := strings.Cut(strings.TrimSpace(strings.TrimSuffix(line, "{")), " ")
			if len(name) > maxBlockName {
				return nil, fmt.Errorf("%w: line %d: a block's name of %d bytes", ErrOutput, n, len(name))
			}
			blocks = append(blocks, name)
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				continue // a list's line, as in Dovecot 2.4
			}
			key = strings.Join(append(blocks[:len(blocks):len(blocks)], strings.TrimSpace(key)), "/")
			s.list = append(s.list, setting{key, strings.TrimSpace(value)})
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutput, err)
	}
	if len(blocks) > 0 || len(s.list) == 0 {
		return nil, fmt.Errorf("%w: it ends early", ErrOutput)
	}
	return s, nil
}

// get returns the last value of a setting that is not empty.
func (s *Settings) get(key string) string {
	value := ""
	for _, x := range s.list {
		if x.key == key && x.value != "" {
			value = x.value
		}
	}
	return value
}

// all returns every value of a setting that is not empty.
func (s *Settings) all(key string) (values []string) {
	for _, x := range s.list {
		if x.key == key && x.value != "" {
			values = append(values, x.value)
		}
	}
	return values
}
