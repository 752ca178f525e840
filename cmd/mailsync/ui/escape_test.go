package ui

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"INBOX":                     "INBOX",
		"Entwürfe/日本":               "Entwürfe/日本",
		"a\x1b[2Jb":                 `a\x1b[2Jb`,
		"line\nbreak\ttab\r":        `line\nbreak\ttab\r`,
		"back\\slash":               `back\\slash`,
		"\xff\xfe":                  `\xff\xfe`,
		"abc\u202egpj.exe":          `abc\u202egpj.exe`,
		"\u2066x\u2069\u200b\ufeff": `\u2066x\u2069\u200b\ufeff`,
		"c1\u009b31m":               `c1\u009b31m`,
		"del\x7f":                   `del\x7f`,
		"tag\U000e0041":             `tag\U000e0041`,
		"nbsp\u00a0":                `nbsp\u00a0`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %s, want %s", in, got, want)
		}
	}
}

// harmful tells whether a terminal would act upon s or hide part of it.
func harmful(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Whatever a name holds, what is printed is harmless, and two names are never
// printed alike.
func FuzzEscape(f *testing.F) {
	f.Add("a\x1b]0;title\x07", "b")
	f.Add(`\x1b`, "\x1b")
	f.Add("\u202e", `\u202e`)
	f.Add("\xf0\x9f\x98", "😀")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := Escape(a), Escape(b)
		if harmful(x) {
			t.Errorf("Escape(%q) = %q", a, x)
		}
		if a != b && x == y {
			t.Errorf("%q and %q are both printed as %s", a, b, x)
		}
		if harmful(EscapeText(a)) {
			t.Errorf("EscapeText(%q) = %q", a, EscapeText(a))
		}
		if got := EscapeLines(a); strings.Count(got, "\n") != strings.Count(a, "\n") || harmful(strings.ReplaceAll(got, "\n", "")) {
			t.Errorf("EscapeLines(%q) = %q", a, got)
		}
		if harmful(ShellQuote(a)) {
			t.Errorf("ShellQuote(%q) = %q", a, ShellQuote(a))
		}
	})
}

// What is printed as a command can be pasted: a shell reads back the argument.
func TestShellQuote(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("skipped: no bash here to ask")
	}
	for _, arg := range []string{
		"", "plain", "a b", "it's", "$HOME", "`id`", "a*", "new\nline", "\x1b[31m", `back\slash`, "'\n'", "!!", "\xff", "ü", "\u202e", "~", "#", "a;b", "-n", `"`,
	} {
		cmd := exec.Command(bash, "-c", "printf %s "+ShellQuote(arg))
		cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8")
		out, err := cmd.Output()
		if err != nil || string(out) != arg {
			t.Errorf("%q is quoted as %s, read back as %q (%v)", arg, ShellQuote(arg), out, err)
		}
	}
}

// A shell that does not know $'…' reads another argument, and runs nothing of it.
func TestShellQuoteInOtherShells(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("skipped: no sh here to ask")
	}
	for _, arg := range []string{"x\n'; echo run #", "\xff';echo run;'", "\\'\n;echo run #", "it's; echo run #"} {
		out, err := exec.Command(sh, "-c", "printf %s "+ShellQuote(arg)).Output()
		if err != nil || !strings.Contains(string(out), "echo run") {
			t.Errorf("%q is quoted as %s, which does %q (%v)", arg, ShellQuote(arg), out, err)
		}
	}
}
