package restore

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"mailsync/manifest"
	"mailsync/restore/place"
)

// Where a mailbox or folder cannot be made, all that was to come into it says
// why, and the others are made.
func TestUnmadeFoldersTellWhy(t *testing.T) {
	denied := func(name string) bool { return name == "bad" || name == ".Bad" }
	for name, hit := range map[string]func(*place.Calls){
		"making": func(c *place.Calls) {
			real := c.Mkdirat
			n := 0
			c.Mkdirat = func(d int, name string, mode uint32) error {
				if strings.HasPrefix(name, ".."+tempPrefix) {
					if n++; n == 1 {
						return unix.EACCES
					}
				}
				return real(d, name, mode)
			}
		},
		"naming": func(c *place.Calls) {
			real := c.Move
			c.Move = func(a int, an string, b int, bn string) error {
				if denied(bn) {
					return unix.EACCES
				}
				return real(a, an, b, bn)
			}
		},
	} {
		for _, dir := range []string{"", ".Bad"} {
			t.Run(name+dir, func(t *testing.T) {
				w := newWorld(t)
				box := "bad"
				if dir != "" {
					box = "some" // only its folder is hit
					w.maildir("primary", box, "")
				} else {
					w.maildir("primary", "other", "")
				}
				w.maildir("backup", box, "")
				w.maildir("backup", box, dir)
				for n := range 3 {
					w.put("backup", box, dir, n, ":2,S")
				}
				w.maildir("backup", "good", "")
				w.maildir("primary", "good", "")
				w.put("backup", "good", "", 9, ":2,S")
				w.tune = func(o *PlanOptions) { o.Undecided = RestoreUndecided }
				calls := place.System()
				hit(&calls)
				w.calls = &calls
				p := w.plan("primary", "backup")
				defer p.Close()
				res := w.apply(p, "primary", "backup")
				w.must(res.err)
				failed := 0
				for _, a := range res.actions {
					if a.Ref.Mailbox == "good" {
						if a.State != Done {
							t.Errorf("%s %s: %s %s", a.Op, a.Ref.Mailbox, a.State, a.Detail)
						}
						continue
					}
					if a.Op == Add {
						failed++
						if a.State != Failed || !strings.Contains(a.Detail, "permission denied") {
							t.Errorf("%s %s: %s %q", a.Op, a.Post.Name, a.State, a.Detail)
						}
					}
				}
				if failed != 3 {
					t.Errorf("%d messages of 3", failed)
				}
				w.noLeftovers("primary")
			})
		}
	}
}

// A target whose record is of another file system is refused, with the error
// that a command knows the remedy of.
func TestPlanOfAnotherFileSystem(t *testing.T) {
	w := newWorld(t)
	w.maildir("backup", "a", "")
	w.put("backup", "a", "", 1, ":2,S")
	w.copy("backup", "primary")
	w.copy("backup", "new")
	w.scan("primary")
	w.swap("primary", "new")
	if p, err := w.tryPlan("primary", "backup"); !errors.Is(err, manifest.ErrOther) {
		t.Errorf("planned: %v, %v", p, err)
	}
}
