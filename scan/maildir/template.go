package maildir

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Template is a layout below a store, written with Dovecot's variables:
//
//	%u %n %d %h             address, local part, domain, home (also %{user}, %{username}, %{domain}, %{home})
//	%Lx %Ux                 lower case, upper case
//	%1n  %2.3n              the first character; 3 characters from offset 2
//	%Mu  %2.256Nu           MD5 in hexadecimal; MD5 modulo 256 in at least 2 digits
//	%{user | username | lower}, | domain, | upper, | substr(0, 1)    the forms of Dovecot 2.4
//
// A template of a tree beside the mail (ParseTree) may be absolute.
//
// Anything else is refused: a list of users with their paths says the same
// without a second implementation of the server's rules.
type Template struct {
	text   string
	parts  []part
	home   bool             // it begins with the home directory: nothing can be matched
	beside bool             // of a tree beside the mail: it may be absolute, and nothing is matched
	prefix []*regexp.Regexp // of the first 1, 2 … components
	names  []byte           // variable of each group of the last: 'u' 'n' 'd'
}

// part is literal text, or a variable.
type part struct {
	text  string // literal text where kind is 0
	kind  byte   // 'u' 'n' 'd' 'h'
	steps []step
}

// step changes a variable's value.
type step struct {
	op   byte // 'L' 'U' 'M' 'N', 's' substring
	a, b int  // 's': offset and length; 'N': width and modulus
}

// whole tells whether the variable's value can be read off its result.
func (p *part) whole() bool {
	for _, s := range p.steps {
		if s.op != 'L' && s.op != 'U' {
			return false
		}
	}
	return true
}

func refuseTemplate(text, why string) error {
	return fmt.Errorf("%w %q: %s (a users list, address<TAB>path a line, can take its place)", ErrTemplate, text, why)
}

// ParseTemplate reads a template. Variables and modifiers that it does not
// know are refused with an error that wraps ErrTemplate and names the
// alternative. A template is relative to the store's root, unless it begins with %h.
func ParseTemplate(text string) (*Template, error) { return parse(&Template{text: text}) }

// ParseTree reads the template of a tree beside the mail, as Dovecot's CONTROL=
// and INDEX= name them: it may be absolute, too. Such a template expands, and
// finds no mailboxes.
func ParseTree(text string) (*Template, error) { return parse(&Template{text: text, beside: true}) }

func parse(t *Template) (*Template, error) {
	text := t.text
	rest := text
	for rest != "" {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			i = len(rest)
		}
		if i > 0 {
			t.parts = append(t.parts, part{text: rest[:i]})
			rest = rest[i:]
			continue
		}
		if strings.HasPrefix(rest, "%%") {
			t.parts = append(t.parts, part{text: "%"})
			rest = rest[2:]
			continue
		}
		p, n, why := parseVariable(rest)
		if why != "" {
			return nil, refuseTemplate(text, why)
		}
		if p.kind == 'h' {
			if len(t.parts) > 0 {
				return nil, refuseTemplate(text, "the home directory stands at the beginning or not at all")
			}
			t.home = true
		}
		t.parts = append(t.parts, p)
		rest = rest[n:]
	}
	if strings.HasPrefix(text, "~/") {
		t.home = true
		t.parts = append([]part{{kind: 'h'}, {text: t.parts[0].text[1:]}}, t.parts[1:]...)
	}
	if why := t.check(); why != "" {
		return nil, refuseTemplate(text, why)
	}
	return t, t.compile()
}

func (t *Template) check() (why string) {
	user, name := false, false
	for i := range t.parts {
		p := &t.parts[i]
		user = user || p.kind == 'u' && p.whole()
		name = name || p.kind == 'n' && p.whole()
	}
	switch {
	case t.home:
		return ""
	case t.text == "", t.text[0] == '/' && !t.beside:
		return "it must be relative to the store's path"
	case !user && !name:
		return "it holds neither the address (%u) nor its local part (%n)"
	case path.Clean(t.text) != strings.TrimSuffix(t.text, "/"):
		return "empty, '.' or '..' components"
	}
	return ""
}

// parseVariable reads a variable that s begins with, and returns its length.
func parseVariable(s string) (p part, n int, why string) {
	if strings.HasPrefix(s, "%{") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return p, 0, "a '%{' without '}'"
		}
		p, why = parseLong(s[2:end])
		return p, end + 1, why
	}
	i := 1
	num := func() (int, bool) {
		from := i
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		v, err := strconv.Atoi(s[from:i])
		return v, err == nil && v < 1<<20
	}
	a, hasA := num()
	b, hasB := 0, false
	if i < len(s) && s[i] == '.' {
		i++
		b, hasB = num()
		if !hasB {
			return p, 0, "a width that is no number"
		}
	}
	hashed := false
	for i < len(s) {
		c := s[i]
		i++
		switch c {
		case 'L', 'U', 'M':
			p.steps = append(p.steps, step{op: c})
		case 'N':
			if !hasA || !hasB || b == 0 {
				return p, 0, "%N needs a width and a modulus, as in %2.256Nu"
			}
			hashed = true
			p.steps = append(p.steps, step{op: 'N', a: a, b: b})
		case 'u', 'n', 'd', 'h':
			p.kind = c
			switch {
			case hashed:
			case hasB:
				p.steps = append(p.steps, step{op: 's', a: a, b: b})
			case hasA:
				p.steps = append(p.steps, step{op: 's', b: a})
			}
			if c == 'h' && len(p.steps) > 0 {
				return p, 0, "a changed home directory"
			}
			return p, i, ""
		default:
			return p, 0, fmt.Sprintf("%%%c", c)
		}
	}
	return p, 0, "a '%' without a variable"
}

var substring = regexp.MustCompile(`^substr\(\s*(\d{1,4})\s*(?:,\s*(\d{1,4})\s*)?\)$`)

// parseLong reads what stands between %{ and }.
func parseLong(s string) (p part, why string) {
	words := strings.Split(s, "|")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	switch words[0] {
	case "user":
		p.kind = 'u'
	case "username":
		p.kind = 'n'
	case "domain":
		p.kind = 'd'
	case "home":
		p.kind = 'h'
	default:
		return p, "%{" + words[0] + "}"
	}
	for _, w := range words[1:] {
		switch {
		case p.kind == 'h':
			return p, "a changed home directory"
		case w == "username" && p.kind == 'u' && p.whole():
			p.kind = 'n'
		case w == "domain" && p.kind == 'u' && p.whole():
			p.kind = 'd'
		case w == "lower":
			p.steps = append(p.steps, step{op: 'L'})
		case w == "upper":
			p.steps = append(p.steps, step{op: 'U'})
		default:
			m := substring.FindStringSubmatch(w)
			if m == nil {
				return p, "the filter " + w
			}
			st := step{op: 's', b: 1 << 20}
			st.a, _ = strconv.Atoi(m[1])
			if m[2] != "" {
				st.b, _ = strconv.Atoi(m[2])
			}
			p.steps = append(p.steps, st)
		}
	}
	return p, ""
}

// value applies the steps.
func (p *part) value(v string) string {
	for _, s := range p.steps {
		switch s.op {
		case 'L':
			v = strings.ToLower(v)
		case 'U':
			v = strings.ToUpper(v)
		case 'M':
			sum := md5.Sum([]byte(v))
			v = hex.EncodeToString(sum[:])
		case 'N':
			sum := md5.Sum([]byte(v))
			v = fmt.Sprintf("%0*x", s.a, binary.BigEndian.Uint64(sum[:8])%uint64(s.b))
		case 's':
			v = v[min(s.a, len(v)):]
			v = v[:min(s.b, len(v))]
		}
	}
	return v
}

// Expand returns the path of an address, relative to the store's root, or below
// home for a template that begins with it. The error wraps ErrTemplate where the
// address cannot make a path: it holds '/' or NUL, or would make a component
// empty, "." or "..".
func (t *Template) Expand(address, home string) (string, error) {
	name, domain, _ := strings.Cut(address, "@")
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		name, domain = address[:i], address[i+1:]
	}
	if address == "" || strings.ContainsAny(address, "/\x00") {
		return "", fmt.Errorf("%w: %q cannot be a part of a path", ErrTemplate, address)
	}
	var b strings.Builder
	for i := range t.parts {
		p := &t.parts[i]
		switch p.kind {
		case 'u':
			b.WriteString(p.value(address))
		case 'n':
			b.WriteString(p.value(name))
		case 'd':
			b.WriteString(p.value(domain))
		case 'h':
			if home == "" || home[0] != '/' {
				return "", fmt.Errorf("%w: %q has no home directory", ErrTemplate, address)
			}
			b.WriteString(home)
		default:
			b.WriteString(p.text)
		}
	}
	s := strings.TrimSuffix(b.String(), "/")
	if path.Clean(s) != s || s == "." || s == ".." || strings.HasPrefix(s, "../") || s[0] == '/' && !t.home && t.text[0] != '/' {
		return "", fmt.Errorf("%w: %q makes an empty, '.' or '..' component", ErrTemplate, address)
	}
	return s, nil
}

// String returns the template as it was written.
func (t *Template) String() string { return t.text }
