package message

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-msgauth/dkim"
	"pgregory.net/rapid"
)

// signed returns the message (CRLF) with a signature by a real signer.
func signed(t interface{ Fatal(...any) }, key *rsa.PrivateKey, msg []byte, body dkim.Canonicalization) []byte {
	var out bytes.Buffer
	err := dkim.Sign(&out, bytes.NewReader(msg), &dkim.SignOptions{
		Domain: "example.org", Selector: "s", Signer: key,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: body,
		HeaderKeys: []string{"From", "Subject"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBodyHashesOfARealSigner(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	atom := rapid.SampledFrom([]string{"text", " ", "\t ", "\r\n", "\r\n\r\n", "  \r\n", "é", ".", "From x"})
	rapid.Check(t, func(t *rapid.T) {
		body := strings.Join(rapid.SliceOfN(atom, 0, 20).Draw(t, "body"), "")
		msg := []byte("From: a@example.org\r\nSubject: x\r\n\r\n" + body)
		for _, form := range []dkim.Canonicalization{dkim.CanonicalizationSimple, dkim.CanonicalizationRelaxed} {
			p := signed(t, key, msg, form)
			for how, q := range map[string][]byte{
				"CRLF": p, "LF": bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n")),
				"prepended": append([]byte("Received: x\n"), p...),
			} {
				d, err := DKIMBody(iotest.HalfReader(bytes.NewReader(q)), Limits{})
				if err != nil || d.Holds != Yes || d.Signatures != 1 || d.Whole != 1 || d.Verified != 1 {
					t.Fatalf("%v %s: %+v, %v\n%q", form, how, d, err, q)
				}
			}
			d, err := DKIMBody(strings.NewReader(string(p)+"more\r\n"), Limits{})
			if err != nil || d.Holds != No {
				t.Fatalf("%v with a footer: %+v, %v", form, d, err)
			}
		}
	})
}

func TestSignatureTags(t *testing.T) {
	t.Parallel()
	const bh = "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=" // of an empty body, simple, SHA-256
	const bh1 = "uoq1oCgLlTqpdDX/iUbLy7J1Wic="                // the same, SHA-1 (RFC 6376 §3.4.3)
	for name, tc := range map[string]struct {
		fields string
		want   DKIM
	}{
		"none":             {"Subject: x\n", DKIM{}},
		"simple":           {"DKIM-Signature: v=1; a=rsa-sha256; bh=" + bh + "; b=x\n", DKIM{1, 1, 1, Yes}},
		"ed25519":          {"DKIM-Signature: a=ed25519-sha256; c=relaxed/simple; bh=" + bh + "\n", DKIM{1, 1, 1, Yes}},
		"sha1":             {"DKIM-Signature: a=rsa-sha1; bh=" + bh1 + "\n", DKIM{1, 1, 1, Yes}},
		"folded":           {"DKIM-Signature: a=rsa-sha256; bh=" + bh[:10] + "\r\n\t " + bh[10:] + "\n", DKIM{1, 1, 1, Yes}},
		"wrong":            {"DKIM-Signature: a=rsa-sha256; bh=" + strings.Replace(bh, "f", "g", 1) + "\n", DKIM{1, 1, 0, No}},
		"two, one holds":   {"DKIM-Signature: a=rsa-sha256; bh=" + strings.Replace(bh, "f", "g", 1) + "\nDKIM-Signature: a=rsa-sha256; bh=" + bh + "\n", DKIM{2, 2, 1, Yes}},
		"prefix only":      {"DKIM-Signature: a=rsa-sha256; l=0; bh=" + bh + "\n", DKIM{1, 0, 0, Maybe}},
		"whole by length":  {"DKIM-Signature: a=rsa-sha256; l=2; bh=" + bh + "\n", DKIM{1, 1, 1, Yes}},
		"cut by length":    {"DKIM-Signature: a=rsa-sha256; l=9; bh=" + bh + "\n", DKIM{1, 1, 0, No}},
		"in another tag":   {"DKIM-Signature: a=rsa-sha256; x=bh=" + bh + "\n", DKIM{}},
		"twice":            {"DKIM-Signature: a=rsa-sha256; bh=" + bh + "; bh=" + bh + "\n", DKIM{}},
		"no base64":        {"DKIM-Signature: a=rsa-sha256; bh=!!\n", DKIM{}},
		"wrong length":     {"DKIM-Signature: a=rsa-sha1; bh=" + bh + "\n", DKIM{}},
		"unknown form":     {"DKIM-Signature: a=rsa-sha256; c=simple/odd; bh=" + bh + "\n", DKIM{}},
		"ARC is no DKIM":   {"ARC-Message-Signature: a=rsa-sha256; bh=" + bh + "\n", DKIM{}},
		"negative length":  {"DKIM-Signature: a=rsa-sha256; l=-1; bh=" + bh + "\n", DKIM{}},
		"many are bounded": {strings.Repeat("DKIM-Signature: a=rsa-sha256; bh="+bh+"\n", 100), DKIM{maxSignatures, maxSignatures, maxSignatures, Yes}},
	} {
		// an empty line is the same simple body as none
		got, err := DKIMBody(strings.NewReader(tc.fields+"\n\n\r\n"), Limits{})
		if err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzDKIMBody(f *testing.F) {
	f.Add([]byte("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; l=3; bh=AA==; b=\n\nbody \r\n\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		a, err := DKIMBody(bytes.NewReader(p), Limits{MaxPlain: 1 << 20, MaxWindow: 1 << 20})
		b, berr := DKIMBody(iotest.OneByteReader(bytes.NewReader(p)), Limits{MaxPlain: 1 << 20, MaxWindow: 1 << 20})
		if a != b || (err == nil) != (berr == nil) {
			t.Fatalf("%+v %v, byte by byte %+v %v", a, err, b, berr)
		}
		if a.Verified > a.Whole || a.Whole > a.Signatures {
			t.Fatalf("%+v", a)
		}
	})
}
