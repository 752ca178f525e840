package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"mailsync/compare"
)

// table is one map: keys folded as Postfix folds them.
type table map[string][]string

// errPattern reports a regexp or pcre map.
var errPattern = errors.New("pattern maps are not read as text: use resolve_command with postmap -q")

// parsePostfixMap reads the text form of virtual(5) and its like: a key, white
// space, a value; lines that start with white space continue the one before;
// '#' starts a comment only as the first visible character of a line.
func parsePostfixMap(b []byte) (table, error) {
	t := table{}
	for line := range logicalLines(b) {
		key, value := cutKeyValue(line)
		if key == "" || value == "" {
			continue
		}
		if strings.HasPrefix(key, "/") || key == "if" {
			return nil, errPattern
		}
		local, domain := splitAddress(key)
		k := strings.ToLower(joinAddress(local, domain))
		if strings.HasPrefix(key, "@") {
			k = strings.ToLower(key)
		}
		if _, twice := t[k]; !twice { // postmap warns and keeps the first
			t[k] = splitList(value)
		}
	}
	return t, nil
}

// parseAliases reads aliases(5): "name: target, target".
func parseAliases(b []byte) (table, error) {
	t := table{}
	for line := range logicalLines(b) {
		i := colonOutsideQuotes(line)
		if i <= 0 {
			continue
		}
		key := strings.ToLower(unquoteLocal(strings.TrimSpace(line[:i])))
		if value := splitList(line[i+1:]); key != "" && len(value) > 0 {
			if _, twice := t[key]; !twice {
				t[key] = value
			}
		}
	}
	return t, nil
}

// logicalLines joins continued lines and drops comments and empty lines.
func logicalLines(b []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		var line strings.Builder
		for raw := range bytes.Lines(b) {
			s := strings.TrimRight(string(raw), "\r\n")
			trimmed := strings.TrimLeft(s, " \t")
			if trimmed == "" || trimmed[0] == '#' {
				continue
			}
			if len(trimmed) < len(s) && line.Len() > 0 {
				line.WriteByte(' ')
				line.WriteString(trimmed)
				continue
			}
			if line.Len() > 0 && !yield(line.String()) {
				return
			}
			line.Reset()
			line.WriteString(trimmed)
		}
		if line.Len() > 0 {
			yield(line.String())
		}
	}
}

// cutKeyValue splits at the first white space outside quotes.
func cutKeyValue(s string) (key, value string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return s[:i], strings.TrimSpace(s[i:])
		}
	}
	return s, ""
}

func colonOutsideQuotes(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ':' && !quoted:
			return i
		}
	}
	return -1
}

// splitList splits a right side at commas and white space outside quotes. What
// an alias pipes into a program may hold both, and is one entry in quotes.
func splitList(s string) []string {
	var out []string
	var cur strings.Builder
	quoted := false
	flush := func() {
		if v := strings.TrimSpace(cur.String()); v != "" {
			if strings.HasPrefix(v, `"|`) || strings.HasPrefix(v, `"/`) || strings.HasPrefix(v, `":`) {
				v = strings.Trim(v, `"`)
			}
			out = append(out, v)
		}
		cur.Reset()
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && quoted && i+1 < len(s):
			cur.WriteByte(c)
			i++
			c = s[i]
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ' ' || c == '\t'):
			flush()
			continue
		}
		cur.WriteByte(c)
	}
	flush()
	return out
}

// splitAddress splits at the last '@' and takes the quotes off a local part
// (RFC 5321 section 4.1.2): "a b"@c and a b@c are one address.
func splitAddress(s string) (local, domain string) {
	s = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "<"), ">")
	i := strings.LastIndexByte(s, '@')
	if i < 0 || strings.HasSuffix(s, `"`) && strings.HasPrefix(s, `"`) {
		return unquoteLocal(s), ""
	}
	return unquoteLocal(s[:i]), s[i+1:]
}

func unquoteLocal(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func joinAddress(local, domain string) string {
	if domain == "" {
		return local
	}
	return local + "@" + domain
}

// parsePasswd reads a Dovecot passwd-file:
// user:password:uid:gid:(gecos):home:(shell):extra. It yields the users and the
// path of their Maildir where the file says it.
func parsePasswd(b []byte) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for raw := range bytes.Lines(b) {
			s := strings.TrimRight(string(raw), "\r\n")
			if s == "" || s[0] == '#' || s[0] == ':' {
				continue
			}
			f := strings.SplitN(s, ":", 8)
			user := strings.TrimSpace(f[0])
			home, mail := "", ""
			if len(f) > 5 {
				home = f[5]
			}
			if len(f) > 7 {
				for x := range strings.FieldsSeq(f[7]) {
					if v, ok := strings.CutPrefix(x, "userdb_home="); ok {
						home = v
					}
					for _, key := range []string{"userdb_mail=", "userdb_mail_path="} {
						if v, ok := strings.CutPrefix(x, key); ok {
							mail = v
						}
					}
				}
			}
			local, domain := splitAddress(user)
			vars := strings.NewReplacer("%u", user, "%n", local, "%d", domain, "%h", home, "%{user}", user, "%{home}", home)
			mail = strings.TrimPrefix(mail, "maildir:")
			mail, _, _ = strings.Cut(mail, ":") // :INDEX=, :LAYOUT=
			mail = vars.Replace(mail)
			if strings.HasPrefix(mail, "~/") {
				mail = vars.Replace(home) + mail[1:]
			}
			if mail == "" && home != "" {
				mail = vars.Replace(home) + "/Maildir"
			}
			if !strings.HasPrefix(mail, "/") {
				mail = ""
			}
			if !yield(user, mail) {
				return
			}
		}
	}
}

// Names are the names of a store's mailboxes.
type Names struct {
	names   map[string]string // folded -> as the store spells it
	exact   map[string]bool
	domains map[string]bool
}

// NewNames reads the names of a store's mailboxes. Names that are paths
// ("example.com/ann") are found by address too.
func NewNames(ctx context.Context, s compare.Source) (*Names, error) {
	n := &Names{}
	for h, err := range s.Mailboxes(ctx) {
		if err != nil {
			return nil, fmt.Errorf("mailboxes of %s: %w", s.Info().Name, err)
		}
		n.Add(h.Name)
	}
	return n, nil
}

// Add adds a name.
func (n *Names) Add(name string) {
	if n.names == nil {
		n.names, n.exact, n.domains = map[string]string{}, map[string]bool{}, map[string]bool{}
	}
	n.exact[name] = true
	folded := strings.ToLower(name)
	if had, twice := n.names[folded]; twice && had != name {
		n.names[folded] = "" // two that differ only by case: neither without its case
	} else {
		n.names[folded] = name
	}
	if i := strings.LastIndexByte(folded, '@'); i >= 0 {
		n.domains[folded[i+1:]] = true
	} else if d, _, ok := strings.Cut(folded, "/"); ok && strings.Contains(d, ".") {
		n.domains[d] = true
	}
}

// Find returns the store's spelling of a name; case is disregarded where fold is
// set and the name stays unambiguous.
func (n *Names) Find(name string, fold bool) (string, bool) {
	if n.exact[name] {
		return name, true
	}
	if !fold {
		return "", false
	}
	got := n.names[strings.ToLower(name)]
	return got, got != ""
}

// dotted tells whether any name holds a domain.
func (n *Names) dotted() bool { return len(n.domains) > 0 }

// HasDomain tells whether the store holds mailboxes of a domain.
func (n *Names) HasDomain(domain string) bool { return n.domains[strings.ToLower(domain)] }
