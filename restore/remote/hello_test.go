package remote

import "testing"

// FuzzHello: a first line is what hello.line writes, or refused.
func FuzzHello(f *testing.F) {
	f.Add("mailsync 1-1 v1.2.3 serve\n")
	f.Add("mailsync 1-999999 dev call\n")
	f.Add("SSH-2.0-OpenSSH_9.2\n")
	f.Fuzz(func(t *testing.T, line string) {
		h, err := parseHello(line)
		if err != nil {
			return
		}
		if again, err := parseHello(h.line()); err != nil || again != h {
			t.Fatalf("%q: %+v, %+v, %v", line, h, again, err)
		}
		if h.oldest < 1 || h.newest < h.oldest {
			t.Fatalf("%q: %+v", line, h)
		}
	})
}
