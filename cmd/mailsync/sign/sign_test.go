package sign

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"aead.dev/minisign"
)

// keys writes a pair of keys and returns the public one as text.
func keys(t *testing.T, dir string) (public string, s *Signer) {
	t.Helper()
	pub, sec, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := sec.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "key")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = NewSigner(file, ""); err != nil {
		t.Fatal(err)
	}
	return pub.String(), s
}

func verifier(t *testing.T, keys ...string) *Verifier {
	t.Helper()
	v, err := NewVerifier(keys)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSignedIsOpened(t *testing.T) {
	dir := t.TempDir()
	public, s := keys(t, dir)
	path := filepath.Join(dir, "plan")
	if err := os.WriteFile(path, []byte("what was signed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Sign(path, "a plan"); err != nil {
		t.Fatal(err)
	}
	other, _ := keys(t, dir)
	got, err := verifier(t, other, public).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	// The file changes after the check: the copy does not.
	if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(got.Path())
	if err != nil || string(text) != "what was signed" || got.Comment != "a plan" {
		t.Errorf("%q, comment %q, %v", text, got.Comment, err)
	}
	text, err = io.ReadAll(got)
	if err != nil || string(text) != "what was signed" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestWrongSignaturesAreRefused(t *testing.T) {
	dir := t.TempDir()
	public, s := keys(t, dir)
	foreign, _ := keys(t, dir)
	path := filepath.Join(dir, "plan")
	body := []byte("what was signed")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Sign(path, "a plan"); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path + Suffix)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key       string
		body, sig []byte
	}{
		"another key":          {foreign, body, good},
		"another body":         {public, append([]byte("x"), body...), good},
		"a shorter body":       {public, body[:3], good},
		"no signature":         {public, body, nil},
		"an empty signature":   {public, body, []byte{}},
		"half a signature":     {public, body, good[:len(good)/2]},
		"another comment":      {public, body, bytes.Replace(good, []byte("a plan"), []byte("b plan"), 1)},
		"something else":       {public, body, []byte("untrusted comment: x\n")},
		"a very long one":      {public, body, bytes.Repeat([]byte("untrusted comment: x\n"), 10000)},
		"a flipped signature":  {public, body, flip(good)},
		"the key's, not a sig": {public, body, []byte(public)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, c.body, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path + Suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if c.sig != nil {
				if err := os.WriteFile(path+Suffix, c.sig, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := verifier(t, c.key).Open(path); !errors.Is(err, ErrSignature) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// flip changes one character in the middle of the signature's own line.
func flip(sig []byte) []byte {
	out := bytes.Clone(sig)
	at := bytes.IndexByte(out, '\n') + 40
	if out[at] == 'A' {
		out[at] = 'B'
	} else {
		out[at] = 'A'
	}
	return out
}

// The real minisign checks what we sign, and we check what it signs.
func TestBesideMinisign(t *testing.T) {
	program, err := exec.LookPath("minisign")
	if err != nil {
		t.Skip("skipped: minisign is not installed")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		c := exec.Command(program, args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("minisign %q: %v\n%s", args, err, out)
		}
	}
	run("-G", "-W", "-p", "pub", "-s", "sec")
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("bytes\x00\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(filepath.Join(dir, "sec"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sign(path, "by us"); err != nil {
		t.Fatal(err)
	}
	run("-V", "-p", "pub", "-m", "file")
	run("-S", "-s", "sec", "-m", "file", "-t", "by minisign")
	got, err := verifier(t, filepath.Join(dir, "pub")).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if got.Comment != "by minisign" {
		t.Errorf("comment %q", got.Comment)
	}
}

func FuzzSignature(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("bytes"), 0o600); err != nil {
		f.Fatal(err)
	}
	pub, sec, err := minisign.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	if err := (&Signer{key: sec}).Sign(path, "c"); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path + Suffix)
	if err != nil {
		f.Fatal(err)
	}
	v := &Verifier{keys: []minisign.PublicKey{pub}}
	var want minisign.Signature
	if err := want.UnmarshalText(good); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("untrusted comment: \n\ntrusted comment: \n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path+Suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := v.Open(path)
		if err != nil {
			return
		}
		defer got.Close()
		var s minisign.Signature
		if err := s.UnmarshalText(text); err != nil || s.Signature != want.Signature || got.Comment != want.TrustedComment {
			t.Errorf("accepted: %q", text)
		}
	})
}
