package replay

import (
	"fmt"
	"slices"
	"strings"
)

// expansion is one address being followed.
type expansion struct {
	r         *mapResolver
	seen      map[string]bool
	steps     int
	boxes     []string
	unknown   []string
	elsewhere bool
	limit     bool
}

func (x *expansion) answer() Answer {
	slices.Sort(x.boxes)
	a := Answer{Mailboxes: slices.Compact(x.boxes), Unknown: x.unknown, Elsewhere: x.elsewhere}
	switch {
	case x.limit:
		a = Answer{Detail: fmt.Sprintf("its aliases expand to more than %d addresses or lead in a circle", expansionLimit)}
	case len(a.Mailboxes) == 0 && len(x.unknown) > 0:
		a.Detail = "no map knows this address"
	case len(a.Mailboxes) == 0:
		a.Detail = "leads outside of this store"
	}
	return a
}

// address follows one address through the alias maps to where mailboxes are.
func (x *expansion) address(addr string, depth int) {
	r := x.r
	if x.steps++; x.steps > expansionLimit || depth > recursionLimit {
		x.limit = true
		return
	}
	local, domain := splitAddress(addr)
	if domain == "" && len(r.Domains) > 0 {
		domain = r.Domains[0]
	}
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	local = r.fold(local)
	full := joinAddress(local, domain)
	if x.seen[full] {
		return
	}
	x.seen[full] = true
	user, ext := r.cut(local)

	if to, carry, ok := r.lookup(r.virtual, user, ext, domain, true); ok {
		for _, t := range to {
			next := x.target(t, local, domain, ext, carry)
			if next == full {
				x.final(local, user, domain, full) // an address that leads to itself ends there
				continue
			}
			x.address(next, depth+1)
		}
		return
	}
	if domain == "" || r.local[domain] {
		if to, carry, ok := r.alias(user, ext); ok {
			for _, t := range to {
				switch {
				case strings.HasPrefix(t, "|"), strings.HasPrefix(t, "/"), strings.HasPrefix(t, ":include:"):
					x.elsewhere = true // a program, a file or a list: not a mailbox of this store
				case strings.HasPrefix(t, `\`):
					u, _ := splitAddress(t[1:])
					x.final(u, u, domain, joinAddress(u, domain))
				default:
					next := x.target(t, local, domain, ext, carry)
					if next == full {
						x.final(local, user, domain, full)
						continue
					}
					x.address(next, depth+1)
				}
			}
			return
		}
	}
	x.final(local, user, domain, full)
}

// target completes the right side of a map.
func (x *expansion) target(t, local, domain, ext string, carry bool) string {
	if strings.HasPrefix(t, "@") { // the same local part in another domain
		return joinAddress(local, strings.ToLower(t[1:]))
	}
	l, d := splitAddress(t)
	if d == "" {
		d = domain
		if len(x.r.Domains) > 0 && !x.r.local[domain] {
			d = x.r.Domains[0]
		}
	}
	if carry && ext != "" && !x.r.Unpropagated {
		l += ext
	}
	return joinAddress(x.r.fold(l), strings.ToLower(d))
}

// final looks up where the mailbox of an address is, that no alias leads on.
func (x *expansion) final(local, user, domain, full string) {
	r := x.r
	// virtual_mailbox_maps, with and without the extension, then the catch-all.
	if to, _, ok := r.lookup(r.boxes, user, strings.TrimPrefix(local, user), domain, false); ok {
		for _, path := range to {
			if r.At != nil {
				if name := r.At(r.boxPath(path)); name != "" {
					x.boxes = append(x.boxes, name)
					return
				}
			}
		}
	}
	for _, l := range []string{local, user} {
		for _, name := range r.forms(l, domain) {
			r.wantBox(name)
			if path, ok := r.passwd[name]; ok {
				if box, ok := r.name(name); ok {
					x.boxes = append(x.boxes, box)
					return
				}
				if path != "" {
					if box, ok := r.name(path); ok {
						x.boxes = append(x.boxes, box)
						return
					}
				}
			}
			if box, ok := r.Mailboxes.Find(name, !r.KeepCase); ok {
				x.boxes = append(x.boxes, box)
				return
			}
		}
	}
	if domain != "" && !r.homes[domain] && !r.Mailboxes.HasDomain(domain) && len(r.Command) == 0 {
		x.elsewhere = x.elsewhere || len(x.seen) > 1 // reached by an alias: a forward to somebody else
		if x.elsewhere {
			return
		}
	}
	x.unknown = append(x.unknown, full)
}

// forms are the names under which an address may be known. The local part alone
// names a mailbox only in a local domain: elsewhere it is somebody else's.
func (r *mapResolver) forms(local, domain string) []string {
	if domain == "" {
		return []string{local}
	}
	out := []string{local + "@" + domain, domain + "/" + local}
	if r.local[domain] {
		out = append(out, local)
	}
	return out
}

func (r *mapResolver) boxPath(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = strings.TrimSuffix(r.VirtualMailboxBase, "/") + "/" + path
	}
	return strings.TrimSuffix(path, "/")
}

// cut splits a local part at the first delimiter. Some names are never split
// (Postfix' split_addr).
func (r *mapResolver) cut(local string) (user, ext string) {
	if r.Delimiter == "" {
		return local, ""
	}
	switch strings.ToLower(local) {
	case "mailer-daemon", "postmaster", "double-bounce":
		return local, ""
	}
	if l := strings.ToLower(local); strings.ContainsRune(r.Delimiter, '-') && (strings.HasPrefix(l, "owner-") || strings.HasSuffix(l, "-request")) {
		return local, ""
	}
	i := strings.IndexAny(local, r.Delimiter)
	if i <= 0 {
		return local, ""
	}
	return local[:i], local[i:]
}

// lookup asks tables for an address in the order of virtual(5): with its
// extension, without, by local part in local domains, by domain. carry says that
// the key had no extension, so that the result inherits it.
func (r *mapResolver) lookup(tables []table, user, ext, domain string, bare bool) (to []string, carry, ok bool) {
	type key struct {
		s     string
		carry bool
	}
	var keys []key
	// Postfix folds what it looks up, whatever the maps' keys mean.
	add := func(s string, carry bool) { keys = append(keys, key{strings.ToLower(s), carry}) }
	if domain != "" {
		if ext != "" {
			add(user+ext+"@"+domain, false)
		}
		add(user+"@"+domain, true)
	}
	if bare && (domain == "" || r.local[domain]) {
		if ext != "" {
			add(user+ext, false)
		}
		add(user, true)
	}
	if domain != "" {
		add("@"+domain, false)
	}
	for _, k := range keys {
		if bare {
			r.wantAlias(k.s)
		}
		for _, t := range tables {
			if to, ok := t[k.s]; ok {
				return to, k.carry, true
			}
		}
	}
	return nil, false, false
}

// alias asks the local alias maps: with the extension, then without.
func (r *mapResolver) alias(user, ext string) (to []string, carry, ok bool) {
	user, ext = strings.ToLower(user), strings.ToLower(ext)
	for _, t := range r.aliases {
		if ext != "" {
			if to, ok := t[user+ext]; ok {
				return to, false, true
			}
		}
		if to, ok := t[user]; ok {
			return to, true, true
		}
	}
	return nil, false, false
}
