package maildir

import (
	"regexp"
	"strings"
)

// compile makes one expression for the first 1, 2 … components of the template.
// They only find candidates: Match then asks Expand.
func (t *Template) compile() error {
	if t.home {
		return nil
	}
	var b strings.Builder
	b.WriteString("^")
	var names []byte
	cut := func() error {
		re, err := regexp.Compile(`(?s)` + b.String() + "$")
		if err != nil {
			return refuseTemplate(t.text, "too large")
		}
		t.prefix = append(t.prefix, re)
		return nil
	}
	parts := t.parts
	for i := range parts {
		p := &parts[i]
		if p.kind == 0 {
			text := p.text
			if i == len(parts)-1 {
				text = strings.TrimSuffix(text, "/")
			}
			for {
				before, after, more := strings.Cut(text, "/")
				b.WriteString(regexp.QuoteMeta(before))
				if !more {
					break
				}
				if err := cut(); err != nil {
					return err
				}
				b.WriteString("/")
				text = after
			}
			continue
		}
		if !p.whole() {
			b.WriteString("[^/]*?")
			continue
		}
		switch p.kind {
		case 'u':
			b.WriteString("([^/]+)")
		default:
			b.WriteString("([^/@]+)")
		}
		names = append(names, p.kind)
	}
	t.names = names
	return cut()
}

// Match returns the address whose mailbox lies at path, relative to the
// store's root: the one that Expand turns into this path. ok is false where there is
// none, and for every path when the template begins with the home directory.
func (t *Template) Match(p string) (address string, ok bool) {
	if t.home || strings.Count(p, "/")+1 != len(t.prefix) {
		return "", false
	}
	m := t.prefix[len(t.prefix)-1].FindStringSubmatch(p)
	if m == nil {
		return "", false
	}
	var user, name, domain string
	for i, kind := range t.names {
		switch kind {
		case 'u':
			user = m[i+1]
		case 'n':
			name = m[i+1]
		case 'd':
			domain = m[i+1]
		}
	}
	if user == "" {
		user = name
		if domain != "" {
			user += "@" + domain
		}
	}
	for _, a := range [2]string{strings.ToLower(user), user} { // %Un hides the case: addresses are lower-case then
		if back, err := t.Expand(a, ""); err == nil && back == p {
			return a, true
		}
	}
	return "", false
}

// MatchPrefix tells whether a directory may lead to a mailbox: whether path
// looks like the first components of the template. All of them count too.
func (t *Template) MatchPrefix(p string) bool {
	n := strings.Count(p, "/")
	return n < len(t.prefix) && t.prefix[n].MatchString(p)
}
