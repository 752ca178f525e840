//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mailsync/cmd/internal/drive"
)

// Mail that a real Postfix holds during an incident: audit lists it, it is
// released by mailbox and domain in the order asked for, what is released is
// taken from the queue by the documented recipe, and what is then let go comes
// once: nothing is lost, nothing is there twice.
func TestHeldQueue(t *testing.T) {
	if _, err := exec.LookPath("jq"); err != nil {
		missing(t, "jq is not installed")
	}
	const ward = "ward@hospital.example"
	d := newDovecot(t)
	d.addUser(ward)
	b := product(t, d)
	p := newPostfix(t, d)
	p.command("postconf", "-c", p.conf, "-e", "virtual_mailbox_domains=example.org hospital.example")
	p.command("postfix", "-c", p.conf, "reload")
	writeConfig(t, d, "[recipients]\ndelimiter = \"+\"\nvirtual = [\""+filepath.Join(p.conf, "virtual")+"\"]\n")
	queue := filepath.Join(p.conf, "queue", "hold")

	everyone := append(slices.Clone(users), ward)
	want := map[string]map[string]int{} // mailbox, message, copies
	send := func(id string, envelope []string, boxes ...string) {
		t.Helper()
		p.send(mail(id, 900), envelope...)
		for _, u := range boxes {
			if want[u] == nil {
				want[u] = map[string]int{}
			}
			want[u][id]++
		}
	}
	send("before", everyone, everyone...) // the store knows its mailboxes once they have mail
	p.release()
	for i := range 4 {
		send(fmt.Sprintf("anna-%d", i), []string{anna}, anna)
		send(fmt.Sprintf("ward-%d", i), []string{ward}, ward)
	}
	send("bela", []string{"bela+lists@example.org"}, bela)
	send("team", []string{"team@example.org"}, anna, bela)
	send("all", everyone, everyone...)
	held := 4 + 4 + 1 + 2 + len(everyone) // messages and recipients

	from := []string{"--from", queue, "--to", "primary", "--since", "all"}
	r := run(t, b, []int{1}, append([]string{"audit"}, from...)...)
	if got := r.Count("would_deliver"); got != int64(held) {
		t.Errorf("audit lists %d as held, want %d: %s", got, held, r)
	}
	replay := func(want int, patterns ...string) *drive.Result {
		t.Helper()
		args := append([]string{"replay", "--yes"}, from...)
		for _, m := range patterns {
			args = append(args, "--mailbox", m)
		}
		r := run(t, b, []int{0}, args...)
		if got := r.Count("delivered"); got != int64(want) {
			t.Errorf("replay of %v delivered %d, want %d: %s", patterns, got, want, r)
		}
		return r
	}
	waiting := func(want int) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(queue, "*"))
		if err != nil || len(files) != want {
			t.Errorf("%d messages are in the queue, want %d (%v)", len(files), want, err)
		}
	}

	// The most important mailbox first, a domain after it; all others wait.
	r = replay(2+1+4+1, bela, "*@hospital.example")
	var order []string
	for _, a := range r.Find("account") {
		order = append(order, a.Mailbox)
	}
	if bela, ward := slices.Index(order, bela), slices.Index(order, ward); bela < 0 || ward < bela {
		t.Errorf("released in the order %v", order)
	}
	replay(0, bela, "*@hospital.example")
	waiting(11)
	cleanQueue(t, b, p)
	waiting(6) // those to anna, and the two whose other recipients wait

	replay(4+1+1+1, "*@example.org")
	replay(0)
	send("late", []string{anna}, anna) // held, and not released
	cleanQueue(t, b, p)
	waiting(1)
	p.release()
	replayed := d.lookAll(everyone)
	for _, u := range everyone {
		for id, n := range want[u] {
			if got := replayed[u][id]; got != n {
				t.Errorf("%s has %s %d times, want %d", u, id, got, n)
			}
			delete(replayed[u], id)
		}
		for id := range replayed[u] {
			t.Errorf("%s has %s, which nobody sent", u, id)
		}
	}
	noComplaints(t, d)
}

// lookAll counts the messages in the users' inboxes by the name that mail gave
// them.
func (d *dovecot) lookAll(users []string) map[string]map[string]int {
	d.t.Helper()
	out := map[string]map[string]int{}
	for _, u := range users {
		out[u] = map[string]int{}
		for _, m := range d.look(u)["INBOX"].Messages {
			out[u][strings.TrimSuffix(strings.TrimPrefix(m.ID, "<"), "@test.example.net>")]++
		}
	}
	return out
}

// cleanQueue runs the recipe of docs/archives.md that takes from the queue what
// was released, as it is written there.
func cleanQueue(t *testing.T, b drive.Bin, p *postfix) {
	t.Helper()
	recipe := strings.ReplaceAll(documented(t, "postsuper -d -"), "/var/spool/postfix", filepath.Join(p.conf, "queue"))
	script := fmt.Sprintf("set -e -o pipefail\nmailsync() { local code=0; %q --state %q --config %q \"$@\" || code=$?; [ $code -le 1 ]; }\npostsuper() { command postsuper -c %q \"$@\"; }\n%s",
		b.Path, b.State, b.Config, p.conf, recipe)
	if out, err := exec.Command("bash", "-c", script).CombinedOutput(); err != nil {
		t.Errorf("the recipe: %v\n%s", err, out)
	}
}

// documented returns the block of the pages about archives that holds a text.
func documented(t *testing.T, text string) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/archives.md")
	postfix, perr := os.ReadFile("../../../docs/how-to-archive-postfix.md")
	page, err = append(page, postfix...), errors.Join(err, perr)
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(page), "\n```") {
		if i%2 == 1 && strings.Contains(block, text) {
			_, block, _ = strings.Cut(block, "\n") // its language
			return block
		}
	}
	t.Fatalf("neither docs/archives.md nor docs/how-to-archive-postfix.md has a block with %q", text)
	return ""
}
