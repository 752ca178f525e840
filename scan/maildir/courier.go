package maildir

import (
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
)

// CourierKeyword is one message's keywords in a Courier folder.
type CourierKeyword struct {
	Base  string
	Names []string
}

// maxCourierNames bounds the table of names of one folder.
const maxCourierNames = 65536

// CourierKeywords reads courierimapkeywords/:list: the names one a line, an empty
// line, then for each message "<base name>:<index> <index> …"
// (README.imapkeywords of courier-libs). It ends with an error that wraps
// ErrKeywords at the first broken line.
func CourierKeywords(r io.Reader) iter.Seq2[CourierKeyword, error] {
	return func(yield func(CourierKeyword, error) bool) {
		in := newLines(r, maxUIDLine)
		broken := func(reason string) error {
			return &Broken{Err: ErrKeywords, Line: in.line, Offset: in.offset, Reason: reason}
		}
		var names []string
		for table := true; ; {
			p, err := in.read()
			var b *Broken
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.Is(err, errTornLine):
				err = broken("the last line is torn")
			case errors.As(err, &b):
				err = broken(b.Reason)
			}
			if err != nil {
				yield(CourierKeyword{}, err)
				return
			}
			if table {
				switch {
				case len(p) == 0:
					table = false
				case len(names) == maxCourierNames:
					yield(CourierKeyword{}, broken("more than 65536 keywords"))
					return
				default:
					names = append(names, string(p))
				}
				continue
			}
			base, list, ok := strings.Cut(string(p), ":")
			if !ok || base == "" {
				yield(CourierKeyword{}, broken("line without a file name"))
				return
			}
			k := CourierKeyword{Base: base}
			for n := range strings.FieldsSeq(list) {
				i, err := strconv.Atoi(n)
				if err != nil || i < 0 || i >= len(names) {
					yield(CourierKeyword{}, broken("index that no keyword has"))
					return
				}
				k.Names = append(k.Names, names[i])
			}
			if !yield(k, nil) {
				return
			}
		}
	}
}

// CourierPending reads a pending update in courierimapkeywords: a file named by
// the message's base name, or when aged ".<N>.<base name>" (N counts 300 seconds
// since 1970); its content is the full list of the message's keywords. The newest
// counts: no age is newer than any. ok is false for other files.
func CourierPending(file string, r io.Reader) (k CourierKeyword, age int64, ok bool, err error) {
	base := file
	if rest, aged := strings.CutPrefix(file, "."); aged {
		number, name, found := strings.Cut(rest, ".")
		n, nerr := strconv.ParseInt(number, 10, 64)
		if !found || nerr != nil || n < 0 {
			return k, 0, false, nil
		}
		base, age = name, n
	}
	if base == "" || base[0] == ':' || base[0] == '.' {
		return k, 0, false, nil
	}
	k.Base, _, _ = strings.Cut(base, ":")
	in := newLines(r, maxKeywordLine)
	for len(k.Names) < maxCourierNames {
		p, err := in.read()
		switch {
		case errors.Is(err, io.EOF):
			return k, age, true, nil
		case errors.Is(err, errTornLine):
			return k, age, true, &Broken{Err: ErrKeywords, Line: in.line, Offset: in.offset, Reason: "the last line is torn"}
		case err != nil:
			return k, age, true, err
		}
		if len(p) > 0 {
			k.Names = append(k.Names, string(p))
		}
	}
	return k, age, true, &Broken{Err: ErrKeywords, Line: in.line, Offset: in.offset, Reason: "more than 65536 keywords"}
}
