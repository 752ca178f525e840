package archive

import (
	"bytes"
	"strconv"
	"strings"
)

// .emlx (Apple Mail): a line with the message's size, the message, a property
// list.

func matchEmlx(in *input, head []byte) bool {
	i := bytes.IndexByte(head, '\n')
	if i < 1 || i > 20 {
		return false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(head[:i])), 10, 64)
	return err == nil && n > 0 && (strings.HasSuffix(strings.ToLower(in.name), ".emlx") || matchEml(&input{}, head[i+1:]))
}

func readEmlx(p *pass, in *input) error {
	line, _ := in.w.line()
	n, _ := strconv.ParseInt(strings.TrimSpace(string(line)), 10, 64) // matchEmlx has read it
	in.w.skip(len(line))
	if n > p.a.opts.MaxMessage {
		return p.tooLarge(in.pos)
	}
	out := sink{p: p}
	for n > 0 {
		b := in.w.peek(1)
		if len(b) == 0 {
			if err := in.w.broken(); err != nil {
				return p.brokenStream(in.pos, "file", err)
			}
			return p.truncated(in.pos, "the file ends inside its message")
		}
		b = b[:min(int64(len(b)), n)]
		if err := out.write(b); err != nil {
			return p.badContent(in.pos, in, err)
		}
		in.w.skip(len(b))
		n -= int64(len(b))
	}
	c, err := out.content()
	if err != nil {
		return p.badContent(in.pos, in, err)
	}
	p.msg = Message{Pos: in.pos, Format: "emlx", content: c}
	return p.emit(in, &p.msg)
}
