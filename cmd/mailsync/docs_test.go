package main

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is one fenced block of a page. Comments in front of it, which a reader
// does not see, tell the test what it has to know:
//
//	<!-- not run: REASON -->       its commands cannot run here
//	<!-- needs: jq minisign -->    they run where these programs are
//	<!-- first: COMMANDS -->       what has happened before, in the shell's words
//	<!-- exit: 0 1 -->             the exit code of each command, where not all are 0
type block struct {
	line  int
	lang  string
	text  string
	notes map[string]string
	says  string // the text block that follows: what the commands print
}

var note = regexp.MustCompile(`^<!-- (not run|needs|first|exit): (.*) -->$`)

// blocks reads the fenced blocks of a page.
func blocks(t *testing.T, page string) []*block {
	t.Helper()
	var out []*block
	var open *block
	indent, notes, follows := 0, map[string]string{}, false
	for i, line := range strings.Split(read(t, page), "\n") {
		trimmed := strings.TrimSpace(line)
		lang, fence := strings.CutPrefix(trimmed, "```")
		switch {
		case fence && open == nil:
			open = &block{line: i + 1, lang: lang, notes: notes}
			indent, notes = strings.Index(line, "`"), map[string]string{}
		case fence && open.lang == "text" && follows:
			out[len(out)-1].says, open, follows = open.text, nil, false
		case fence:
			out, follows, open = append(out, open), open.lang == "sh", nil
		case open != nil:
			open.text += line[min(indent, len(line)):] + "\n"
		case note.MatchString(trimmed):
			m := note.FindStringSubmatch(trimmed)
			notes[m[1]] = m[2]
		case trimmed != "":
			notes, follows = map[string]string{}, false
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block does not end", page, open.line)
	}
	return out
}

// pages are all pages of the documentation.
func pages(t *testing.T) []string {
	t.Helper()
	out := []string{"../../README.md", "../../CONTRIBUTING.md"}
	if err := filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			out = append(out, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Every block says what it is, so that no command escapes the test that runs
// them: sh are commands, text is what they print (or a drawing).
func TestBlocksInDocs(t *testing.T) {
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			if !slices.Contains([]string{"sh", "text", "toml", "sql", "conf", "lua", "ini"}, b.lang) {
				t.Errorf("%s:%d: a block of %q", page, b.line, b.lang)
			}
		}
	}
}

// Every command that a page names, in a block or in its text, is one that this
// program takes.
func TestCommandsInDocs(t *testing.T) {
	inline := regexp.MustCompile("[^(]`(mailsync [^`\\\\]*)`")
	placeholders := strings.NewReplacer("'", "", `"`, "", "$CRASH", "2026-11-22T01:30:00Z", "bash|zsh|fish", "bash", "…", "")
	commands := 0
	for _, page := range pages(t) {
		var lines []string
		for _, b := range blocks(t, page) {
			if b.lang == "sh" {
				lines = append(lines, strings.Split(b.text, "\n")...)
			}
		}
		for _, m := range inline.FindAllStringSubmatch(read(t, page), -1) {
			lines = append(lines, m[1])
		}
		for _, line := range lines {
			command, ok := strings.CutPrefix(strings.TrimSpace(line), "mailsync ")
			command, _, _ = strings.Cut(command, " # ")
			command, _, _ = strings.Cut(command, " |")
			if !ok {
				continue
			}
			a := newApp(nil, std{getenv: func(string) string { return "" }}, nil)
			c, rest, err := a.root().Find(strings.Fields(placeholders.Replace(command)))
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err == nil && !c.HasParent() && len(c.Flags().Args()) > 0 {
				err = usage("no such command")
			}
			if err != nil {
				t.Errorf("%s: %q: %v", page, line, err)
			}
			commands++
		}
	}
	if commands < 80 {
		t.Errorf("only %d commands were found", commands)
	}
}

// Every link leads to a page that is there, and to a heading that it has.
func TestLinksInDocs(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	drop := regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			u, err := url.Parse(m[1])
			if err != nil || u.Scheme != "" {
				continue
			}
			file := page
			if u.Path != "" {
				file = filepath.Join(filepath.Dir(page), u.Path)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if u.Fragment == "" {
				continue
			}
			found := false
			for _, h := range heading.FindAllStringSubmatch(read(t, file), -1) {
				found = found || strings.ReplaceAll(strings.ToLower(drop.ReplaceAllString(h[1], "")), " ", "-") == u.Fragment
			}
			if !found {
				t.Errorf("%s: %s has no heading #%s", page, u.Path, u.Fragment)
			}
		}
	}
}
