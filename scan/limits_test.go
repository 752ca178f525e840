package scan

import (
	"strings"
	"testing"

	"mailsync/manifest"
)

// TestOwnersCannotStopAScan: whatever the owner of one mailbox writes into it,
// the others are scanned.
func TestOwnersCannotStopAScan(t *testing.T) {
	letters := "abcdefghijklmnopqrstuvwxyz"
	for name, plant := range map[string]func(b *tree){
		"long keyword names": func(b *tree) {
			var table strings.Builder
			for i, c := range letters {
				table.WriteString(strings.Join([]string{string(rune('0' + i/10)), string(rune('0' + i%10)), " "}, "") + strings.Repeat(string(c), 4000) + "\n")
			}
			b.write("u/dovecot-keywords", table.String())
			b.write("u/cur/1.h:2,S"+letters, mail("x", 100))
		},
		"many flags": func(b *tree) {
			b.write("u/cur/1.h:2,"+strings.Repeat("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 9), mail("x", 100))
		},
		"many of Courier's keywords": func(b *tree) {
			b.write("u/cur/1.h:2,S", mail("x", 100))
			var words strings.Builder
			for i := range 3000 {
				words.WriteString(strings.Repeat("k", 10) + string(rune('a'+i%26)) + strings.Repeat("z", i%400) + "\n")
			}
			b.write("u/courierimapkeywords/1.h", words.String())
		},
		"many folders": func(b *tree) {
			for i := range 300 {
				b.maildir("u/." + strings.Repeat("n", 200) + string(rune('a'+i%26)) + strings.Repeat("m", i%50))
			}
		},
		"subscriptions": func(b *tree) {
			b.write("u/subscriptions", "V\t2\n\n"+strings.Repeat(strings.Repeat("s", 5000)+"\n", 3000))
		},
		"GUIDs of the list": func(b *tree) {
			b.write("u/cur/1.h:2,S", mail("x", 100))
			b.write("u/dovecot-uidlist", "3 V7 N9 G"+strings.Repeat("f", 32)+" X"+strings.Repeat("y", 7000)+"\n1 G"+strings.Repeat("z", 7000)+" :1.h\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := newState(t)
			st.maildir("v")
			st.put("v/cur", "2.h", mail("other", 100), ":2,S")
			st.maildir("u")
			plant(st.tree)
			st.old()
			s := scanner(t, st.path, Options{})
			r, err := Run(t.Context(), s, st.repo(), RunOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Mailboxes == 0 {
				t.Errorf("%+v", r)
			}
			store, err := st.repo().Store(manifest.StoreKey("", st.path))
			st.check(err)
			m, err := store.OpenMailbox("v")
			st.check(err)
			st.check(m.Close())
		})
	}
}
