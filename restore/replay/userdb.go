package replay

import (
	"context"
	"slices"
	"strings"
)

// Userdb is a database of aliases and mailboxes that is asked while addresses
// are followed, many at a time. Package userdb has what implements it.
type Userdb interface {
	// Aliases returns where keys lead: to addresses, or to "@domain", which
	// keeps the local part. Keys are addresses, and "@domain" for what a whole
	// domain leads to. A key that is not in the result leads nowhere.
	Aliases(ctx context.Context, keys []string) (map[string][]string, error)
	// Mailboxes returns which addresses have a mailbox, and the absolute path of
	// its Maildir, or "" where that is not told.
	Mailboxes(ctx context.Context, addrs []string) (map[string]string, error)
}

// asked is what the databases have been asked so far, and what an expansion
// would have liked to know.
type asked struct {
	aliases, boxes         map[string]bool
	wantAliases, wantBoxes map[string]bool
}

func (r *mapResolver) wantAlias(key string) {
	if r.asked != nil && !r.asked.aliases[key] {
		r.asked.wantAliases[key] = true
	}
}

func (r *mapResolver) wantBox(addr string) {
	if r.asked != nil && !r.asked.boxes[addr] && strings.IndexByte(addr, '@') > 0 {
		r.asked.wantBoxes[addr] = true
	}
}

// askDatabases learns what the addresses need. They are followed with what is
// known; what was missing on the way is asked for, all at once; and those that
// missed something are followed again, until nothing is missing. What a
// database says joins the maps: its aliases stand behind theirs.
func (r *mapResolver) askDatabases(ctx context.Context, addrs []string) error {
	if len(r.Userdbs) == 0 {
		return nil
	}
	if r.asked == nil {
		r.asked = &asked{aliases: map[string]bool{}, boxes: map[string]bool{}}
		for range r.Userdbs {
			r.virtual = append(r.virtual, table{})
		}
	}
	for round := 0; len(addrs) > 0 && round < recursionLimit; round++ {
		r.asked.wantAliases, r.asked.wantBoxes = map[string]bool{}, map[string]bool{}
		var again []string
		for _, a := range addrs {
			before := len(r.asked.wantAliases) + len(r.asked.wantBoxes)
			x := expansion{r: r, seen: map[string]bool{}}
			x.address(a, 0)
			if len(r.asked.wantAliases)+len(r.asked.wantBoxes) > before {
				again = append(again, a)
			}
		}
		if err := r.ask(ctx); err != nil {
			return err
		}
		addrs = again
	}
	return nil
}

// ask puts what is wanted to every database.
func (r *mapResolver) ask(ctx context.Context) error {
	keys, boxes := keysOf(r.asked.wantAliases), keysOf(r.asked.wantBoxes)
	for i, db := range r.Userdbs {
		t := r.virtual[len(r.virtual)-len(r.Userdbs)+i]
		if len(keys) > 0 {
			got, err := db.Aliases(ctx, keys)
			if err != nil {
				return err
			}
			for k, to := range got {
				t[strings.ToLower(k)] = append(t[strings.ToLower(k)], to...)
			}
		}
		if len(boxes) > 0 {
			got, err := db.Mailboxes(ctx, boxes)
			if err != nil {
				return err
			}
			for user, path := range got {
				user = r.fold(user)
				if _, twice := r.passwd[user]; !twice {
					r.passwd[user] = path
				}
				r.homes[user[strings.LastIndexByte(user, '@')+1:]] = true
			}
		}
	}
	for _, k := range keys {
		r.asked.aliases[k] = true
	}
	for _, b := range boxes {
		r.asked.boxes[b] = true
	}
	return nil
}

func keysOf(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
