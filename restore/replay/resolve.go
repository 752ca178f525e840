package replay

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Maps configures the Resolver that reads the operator's own maps.
//
// An address is looked up as Postfix would: alias maps first and recursively,
// then what says where a mailbox is. A catch-all in an alias map therefore wins
// over an existing mailbox that the alias map does not name, as it does in
// Postfix.
//
// A mailbox is found under the address (ann@example.com), as a path
// (example.com/ann), and in a local domain under the local part (ann). Without
// Domains, a store whose names hold no domain at all takes the one domain whose
// addresses fit its names; if several do, none.
type Maps struct {
	Delimiter          string   // set of characters that start an address extension; "" = none
	KeepCase           bool     // do not fold local parts; domains always fold
	Domains            []string // local domains: their addresses are looked up by local part too; the first completes names without a domain
	Virtual            []string // files: virtual(5) alias maps, text form
	Aliases            []string // files: aliases(5)
	VirtualMailbox     []string // files: virtual_mailbox_maps
	VirtualMailboxBase string   // directory their results are relative to
	PasswdFiles        []string // files: Dovecot passwd-file
	Command            []string // asked in bulk: addresses on stdin, "address<TAB>mailbox" lines on stdout
	Userdbs            []Userdb // databases, asked in bulk behind the maps
	AsOf               string   // directory under which the files lie as they were then, each at its own path; "" = the files as they are now
	Unpropagated       bool     // extensions are not carried over to what an alias leads to

	// Mailboxes are the names of the target store's mailboxes. An address whose
	// name is among them leads there.
	Mailboxes *Names
	// At names the mailbox whose Maildir is at an absolute path; "" = none. nil:
	// paths are not looked up.
	At func(path string) string
	// Placed tells whether the store has a place for a mailbox of that name,
	// though it need not exist yet. nil: only mailboxes that exist are used.
	Placed func(name string) bool
}

// limits of virtual(5) expansion: Postfix' virtual_alias_expansion_limit and
// virtual_alias_recursion_limit.
const (
	expansionLimit = 1000
	recursionLimit = 1000
)

// mapResolver answers from maps held in memory.
type mapResolver struct {
	Maps
	virtual, aliases, boxes []table
	passwd                  map[string]string // user -> path, "" where it says none
	local                   map[string]bool   // domains
	homes                   map[string]bool   // domains that hold mailboxes
	newest                  time.Time
	asked                   *asked // of the databases; nil: none are there, or nothing was asked yet
}

// NewResolver reads the maps. Errors wrap ErrResolver.
func NewResolver(m Maps) (Resolver, error) {
	r := &mapResolver{Maps: m, passwd: map[string]string{}, local: map[string]bool{}, homes: map[string]bool{}}
	if r.Mailboxes == nil {
		r.Mailboxes = &Names{}
	}
	for _, d := range m.Domains {
		r.local[strings.ToLower(d)] = true
		r.homes[strings.ToLower(d)] = true
	}
	for _, load := range []struct {
		files []string
		to    *[]table
		read  func([]byte) (table, error)
	}{{m.Virtual, &r.virtual, parsePostfixMap}, {m.Aliases, &r.aliases, parseAliases}, {m.VirtualMailbox, &r.boxes, parsePostfixMap}} {
		for _, name := range load.files {
			b, err := r.file(name)
			if err != nil {
				return nil, err
			}
			t, err := load.read(b)
			if err != nil {
				return nil, fmt.Errorf("%w: %s: %w", ErrResolver, name, err)
			}
			*load.to = append(*load.to, t)
		}
	}
	for _, name := range m.PasswdFiles {
		b, err := r.file(name)
		if err != nil {
			return nil, err
		}
		for user, path := range parsePasswd(b) {
			user = r.fold(user)
			if _, twice := r.passwd[user]; !twice {
				r.passwd[user] = path
			}
		}
	}
	for _, t := range r.boxes {
		for k := range t {
			r.homes[k[strings.LastIndexByte(k, '@')+1:]] = true
		}
	}
	for u := range r.passwd {
		if i := strings.LastIndexByte(u, '@'); i >= 0 {
			r.homes[u[i+1:]] = true
		}
	}
	return r, nil
}

// file reads a map. One of then that is missing is an error: today's would say where mail goes now.
func (r *mapResolver) file(name string) ([]byte, error) {
	name = MapFile(name, r.AsOf)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResolver, err)
	}
	if st, err := os.Stat(name); err == nil && r.AsOf == "" && st.ModTime().After(r.newest) {
		r.newest = st.ModTime()
	}
	return b, nil
}

// MapFile is the file of text in which a map of that name is written, which may
// carry Postfix' table type; below asOf, where that is not "".
func MapFile(name, asOf string) string {
	for _, t := range []string{"texthash:", "hash:", "btree:", "lmdb:", "cdb:"} {
		name = strings.TrimPrefix(name, t)
	}
	if asOf != "" {
		name = filepath.Join(asOf, name)
	}
	return name
}

// MapsChanged returns when the newest file of a resolver's maps was changed. A
// map newer than the window may say where mail goes now, not where it went
// then. Zero: no files, or those of then (Maps.AsOf).
func MapsChanged(r Resolver) time.Time {
	if m, ok := r.(*mapResolver); ok {
		return m.newest
	}
	return time.Time{}
}

// Resolve implements Resolver.
func (r *mapResolver) Resolve(ctx context.Context, addrs []string) ([]Answer, error) {
	r.learnDomain(addrs)
	if err := r.askDatabases(ctx, addrs); err != nil {
		return nil, err
	}
	out := make([]Answer, len(addrs))
	asked := map[string][]int{} // address -> who needs the command's answer
	for i, a := range addrs {
		x := expansion{r: r, seen: map[string]bool{}}
		x.address(a, 0)
		out[i] = x.answer()
		if len(r.Command) > 0 {
			for _, left := range x.unknown {
				asked[left] = append(asked[left], i)
			}
		}
	}
	if len(asked) == 0 {
		return out, nil
	}
	keys := make([]string, 0, len(asked))
	for k := range asked {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	answers := map[string][]string{}
	for chunk := range slices.Chunk(keys, commandChunk) {
		if err := runCommand(ctx, r.Command, chunk, answers); err != nil {
			return nil, err
		}
	}
	for _, k := range keys {
		for _, i := range asked[k] {
			a := &out[i]
			for _, box := range answers[k] {
				if name, ok := r.name(box); ok {
					a.Mailboxes = append(a.Mailboxes, name)
				} else {
					a.Detail = "the command names a mailbox that the store has no place for"
				}
			}
			if len(answers[k]) > 0 {
				a.Unknown = slices.DeleteFunc(a.Unknown, func(u string) bool { return u == k })
			}
		}
	}
	for i := range out {
		slices.Sort(out[i].Mailboxes)
		out[i].Mailboxes = slices.Compact(out[i].Mailboxes)
	}
	return out, nil
}

// learnDomain settles what local parts mean in a store whose mailboxes and
// users are all named without a domain, where the operator named no local
// domain either: if the addresses whose local part names a mailbox are all of
// one domain, it is that store's. If they are of several, nobody can tell
// whose they are, and no local part is looked up.
func (r *mapResolver) learnDomain(addrs []string) {
	if len(r.Domains) > 0 || len(r.local) > 0 || r.Mailboxes.dotted() {
		return
	}
	for u := range r.passwd {
		if strings.ContainsRune(u, '@') {
			return
		}
	}
	only := ""
	for _, a := range addrs {
		local, domain := splitAddress(a)
		user, _ := r.cut(r.fold(local))
		if domain = strings.ToLower(domain); domain == "" || domain == only {
			continue
		}
		_, known := r.passwd[user]
		if _, box := r.Mailboxes.Find(user, !r.KeepCase); !known && !box {
			continue
		}
		if only != "" {
			return
		}
		only = domain
	}
	if only != "" {
		r.local[only], r.homes[only] = true, true
	}
}

// name turns a userdb's answer, a mailbox name or an absolute path, into the
// store's name.
func (r *mapResolver) name(box string) (string, bool) {
	if strings.HasPrefix(box, "/") {
		if r.At == nil {
			return "", false
		}
		name := r.At(box)
		return name, name != ""
	}
	if name, ok := r.Mailboxes.Find(box, !r.KeepCase); ok {
		return name, true
	}
	if r.Placed != nil && r.Placed(box) {
		return box, true
	}
	return "", false
}

// fold is how local parts and names are compared.
func (r *mapResolver) fold(s string) string {
	if !r.KeepCase {
		return strings.ToLower(s)
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return s[:i] + strings.ToLower(s[i:])
	}
	return s
}
