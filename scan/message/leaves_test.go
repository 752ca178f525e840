package message

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func leaves(t interface{ Fatal(...any) }, p string) Leaves {
	l, err := IdentifyLeaves(strings.NewReader(p), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const idFields = "Message-ID: <1@example.org>\nDate: x\nFrom: a@b\nSubject: s\n"

// How a part is encoded, bounded and folded does not matter; what is in it does.
func TestLeavesSurviveEncodings(t *testing.T) {
	t.Parallel()
	atom := rapid.SampledFrom([]string{"text", "é", "=", "a long line " + strings.Repeat("x", 90), "\n", "\n\n", " ", "--", "--b\n", "\t"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(atom, 0, 15).Draw(t, "text"), "")
		data := rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "data")
		wrap := func(s string) string {
			var b strings.Builder
			for len(s) > 40 {
				b.WriteString(s[:40] + "\n")
				s = s[40:]
			}
			return b.String() + s
		}
		message := func(boundary, textEncoding string) string {
			body := text
			switch textEncoding {
			case "base64":
				body = wrap(base64.StdEncoding.EncodeToString([]byte(text)))
			case "quoted-printable":
				var b bytes.Buffer
				w := quotedprintable.NewWriter(&b)
				_, _ = io.WriteString(w, text)
				_ = w.Close()
				body = strings.ReplaceAll(b.String(), "\r\n", "\n")
			}
			return idFields + "Content-Type: multipart/mixed;\n boundary=\"" + boundary + "\"\n\npreamble\n--" + boundary + "\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: " + textEncoding + "\n\n" +
				body + "\n--" + boundary + " \nContent-Type: application/octet-stream\nContent-Transfer-Encoding: BASE64\n\n" + wrap(base64.StdEncoding.EncodeToString(data)) + "\n--" + boundary + "--\nepilogue\n"
		}
		want := leaves(t, message("xyz", "8bit"))
		if want.Parts != 2 || want.Delivery.IsZero() || want.Body.IsZero() {
			t.Fatalf("%+v", want)
		}
		for _, p := range []string{
			message("another boundary", "8bit"), message("xyz", "base64"), message("xyz", "quoted-printable"),
			strings.ReplaceAll(message("xyz", "quoted-printable"), "\n", "\r\n"),
			strings.ReplaceAll(message("xyz", "8bit"), "application/octet-stream", "APPLICATION/Octet-Stream; name=x"),
		} {
			if got := leaves(t, p); got != want {
				t.Fatalf("%+v, want %+v:\n%q\n%q", got, want, p, message("xyz", "8bit"))
			}
		}
		other := strings.Replace(message("xyz", "base64"), "text/plain", "text/html", 1)
		if got := leaves(t, other); got.Body == want.Body {
			t.Fatal("another type, the same identity")
		}
	})
	if leaves(t, idFields+"\nbody") == leaves(t, idFields+"\nbodies") {
		t.Error("another body, the same identity")
	}
	if l := leaves(t, "Subject: x\n\nbody"); !l.Body.IsZero() || l.Parts != 1 {
		t.Errorf("without Message-ID: %+v", l)
	}
}

func TestHostileMIME(t *testing.T) {
	t.Parallel()
	var deep strings.Builder
	deep.WriteString(idFields)
	for i := range 10_000 {
		b := fmt.Sprintf("b%dx", i)
		deep.WriteString("Content-Type: multipart/mixed; boundary=" + b + "\n\n--" + b + "\n")
	}
	deep.WriteString("\nend\n")
	if l := leaves(t, deep.String()); l.Parts != 1 {
		t.Errorf("10,000 levels: %d parts", l.Parts)
	}
	many := idFields + "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 20_000)
	if _, err := IdentifyLeaves(strings.NewReader(many), Limits{}); !errors.Is(err, ErrLimit) {
		t.Errorf("20,000 parts: %v", err)
	}
	part := io.MultiReader(strings.NewReader(idFields+"Content-Type: multipart/mixed; boundary=b\n\n--b\n"), &endless{line: "X-A: b\n", left: 50 << 20})
	if _, err := IdentifyLeaves(part, Limits{}); !errors.Is(err, ErrLimit) {
		t.Errorf("a part with a header of 50 MB: %v", err)
	}
	for _, line := range []string{"x", "=", " ", "= ", "-"} {
		for _, enc := range []string{"8bit", "quoted-printable", "base64"} {
			r := io.MultiReader(strings.NewReader(idFields+"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: "+enc+"\n\n"), &endless{line: line, left: 4 << 20})
			if l, err := IdentifyLeaves(r, Limits{}); err != nil || l.Parts != 1 {
				t.Errorf("one line of %q, %s: %+v %v", line, enc, l, err)
			}
		}
	}
}

// A line of escapes that are none, with white space behind them, is looked
// through once, not once for each of them.
func TestLineOfBrokenEscapes(t *testing.T) {
	line := strings.Repeat("=X", 16<<10) + strings.Repeat(" ", 32<<10) + "\n"
	text := "Message-ID: <a@b>\nContent-Transfer-Encoding: quoted-printable\n\n" + strings.Repeat(line, 1<<10)
	got, err := IdentifyLeaves(strings.NewReader(text), Limits{})
	if err != nil || got.Parts != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}
