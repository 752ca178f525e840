package maildir

import (
	"slices"
	"strconv"
	"strings"
)

// Name is a parsed file name of a message in new or cur. Its strings share
// the memory of the name that was parsed, except for names written by nobody
// in particular (fields in an unusual order).
type Name struct {
	Full string // the name as given
	Base string // before the info separator, as servers compare it; without an alternate info part
	// ServerBase is what Dovecot and Courier take for the base name: all
	// before the first ':'. It differs from Base only with an alternate
	// separator, which servers take for a part of the name.
	ServerBase string
	Unique     string // Base without its ,S= and ,W= fields: the key that survives a server's renaming
	Sep        byte   // separator of the info part: ':', or ';' '!' (alternate), 0 without info
	Info       string // what follows the separator: "2,FS"
	Flags      string // upper-case letters of a "2," info, ASCII-sorted, without repetition; unknown letters are kept
	Letters    string // lower-case letters a-z of a "2," info (Dovecot keywords), sorted, without repetition
	Other      string // anything else between "2," and the next comma, in order
	Ext        string // from the second comma on, comma included: ",x"
	S, W       int64  // physical and virtual size from ,S= and ,W=; valid where HasS, HasW
	HasS, HasW bool
}

// Alternate tells whether the info part stands behind ';' or '!', as systems
// write it that cannot have ':' in file names. A server takes such a name for
// one without flags.
func (n *Name) Alternate() bool { return n.Sep == ';' || n.Sep == '!' }

// ParseName takes a file name of new or cur apart. It accepts every name; ask
// Judge first which names are messages at all. It does not allocate for names
// as delivery agents and servers write them.
func ParseName(name string) Name {
	n := Name{Full: name, Base: name, ServerBase: name}
	if i := strings.IndexByte(name, ':'); i >= 0 {
		n.Sep, n.Base, n.ServerBase, n.Info = ':', name[:i], name[:i], name[i+1:]
	} else if i := alternate(name); i > 0 {
		n.Sep, n.Base, n.Info = name[i], name[:i], name[i+1:]
	}
	if flags, ok := strings.CutPrefix(n.Info, "2,"); ok {
		if i := strings.IndexByte(flags, ','); i >= 0 {
			flags, n.Ext = flags[:i], flags[i:]
		}
		n.Flags, n.Letters, n.Other = splitFlags(flags)
	}
	n.parseSizes()
	return n
}

// alternate finds the separator of an info part that ends the name:
// [;!]2,[A-Za-z]*$. It returns -1 where there is none.
func alternate(name string) int {
	i := len(name)
	for i > 0 && isLetter(name[i-1]) {
		i--
	}
	if i < 3 || name[i-1] != ',' || name[i-2] != '2' || (name[i-3] != ';' && name[i-3] != '!') {
		return -1
	}
	return i - 3
}

func isUpper(c byte) bool  { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool  { return c >= 'a' && c <= 'z' }
func isLetter(c byte) bool { return isUpper(c) || isLower(c) }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// splitFlags sorts the letters of a flag list. The usual list (capitals, then
// small letters, both ascending) is cut without allocating.
func splitFlags(s string) (flags, letters, other string) {
	i := 0
	for i < len(s) && isUpper(s[i]) && (i == 0 || s[i] > s[i-1]) {
		i++
	}
	j := i
	for j < len(s) && isLower(s[j]) && (j == i || s[j] > s[j-1]) {
		j++
	}
	if j == len(s) {
		return s[:i], s[i:], ""
	}
	var f, l, o []byte
	for k := range len(s) {
		switch c := s[k]; {
		case isUpper(c):
			f = append(f, c)
		case isLower(c):
			l = append(l, c)
		default:
			o = append(o, c)
		}
	}
	return string(sortedSet(f)), string(sortedSet(l)), string(o)
}

func sortedSet(p []byte) []byte {
	slices.Sort(p)
	return slices.Compact(p)
}

// parseSizes finds the first ,S= and ,W= fields of the base name, as Dovecot
// does: digits up to the next comma or the end. A field with anything else in
// it is no size and stays a part of the unique name.
func (n *Name) parseSizes() {
	n.Unique = n.Base
	sAt, sEnd := sizeField(n.Base, 'S', &n.S)
	wAt, wEnd := sizeField(n.Base, 'W', &n.W)
	n.HasS, n.HasW = sAt >= 0, wAt >= 0
	switch {
	case !n.HasS && !n.HasW:
		return
	case !n.HasW:
		n.Unique = without(n.Base, sAt, sEnd)
	case !n.HasS:
		n.Unique = without(n.Base, wAt, wEnd)
	case sEnd == wAt:
		n.Unique = without(n.Base, sAt, wEnd)
	case wEnd == sAt:
		n.Unique = without(n.Base, wAt, sEnd)
	case sAt < wAt:
		n.Unique = n.Base[:sAt] + n.Base[sEnd:wAt] + n.Base[wEnd:]
	default:
		n.Unique = n.Base[:wAt] + n.Base[wEnd:sAt] + n.Base[sEnd:]
	}
	if n.Unique == "" {
		n.Unique = n.Base // a name that is nothing but sizes has no other key
	}
}

func without(s string, from, to int) string {
	if to == len(s) {
		return s[:from]
	}
	return s[:from] + s[to:]
}

// sizeField returns the extent of the first ",<kind>=<digits>" field, or -1.
func sizeField(base string, kind byte, size *int64) (from, to int) {
	for at := 0; ; {
		i := strings.IndexByte(base[at:], ',')
		if i < 0 {
			return -1, -1
		}
		i += at
		at = i + 1
		if len(base) < i+3 || base[i+1] != kind || base[i+2] != '=' {
			continue
		}
		end := i + 3
		for end < len(base) && isDigit(base[end]) {
			end++
		}
		if end == i+3 || end < len(base) && base[end] != ',' {
			return -1, -1 // Dovecot gives up at the first field of the kind
		}
		v, err := strconv.ParseInt(base[i+3:end], 10, 64)
		if err != nil {
			return -1, -1 // beyond any size
		}
		*size = v
		return i, end
	}
}

// With returns the file name with other flags and keyword letters and
// everything else kept: base name, unknown characters, extensions. Letters
// outside A-Z and a-z are ignored. An info part of another kind than "2," is
// replaced, as servers do. The separator stays what it is; a name without info
// gets ':'.
func (n *Name) With(flags, letters string) string {
	sep := n.Sep
	if sep == 0 {
		sep = ':'
	}
	set := make([]byte, 0, len(flags)+len(letters))
	for _, s := range [2]string{flags, letters} {
		for i := range len(s) {
			if isLetter(s[i]) {
				set = append(set, s[i])
			}
		}
	}
	return n.Base + string(sep) + "2," + string(sortedSet(set)) + n.Other + n.Ext
}

// Sized returns a unique name with its sizes, as Dovecot writes them. A
// negative size is left out.
func Sized(unique string, s, w int64) string {
	b := append(make([]byte, 0, len(unique)+32), unique...)
	if s >= 0 {
		b = strconv.AppendInt(append(b, ",S="...), s, 10)
	}
	if w >= 0 {
		b = strconv.AppendInt(append(b, ",W="...), w, 10)
	}
	return string(b)
}
