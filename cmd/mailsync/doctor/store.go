package doctor

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"mailsync/scan/maildir"
)

// Store is where a server keeps its mail, in the words of mailsync.toml.
type Store struct {
	Path           string // without variables, absolute
	Layout         string // of a mailbox below Path
	Control, Index string // templates, absolute; "" = with the mailbox
	FS, UTF8       bool
}

// Found is what the settings of a server say of its mail.
type Found struct {
	Store *Store   // nil where they do not tell, and Notes says why
	Notes []string // what an operator has to look at
}

// location is mail_location of Dovecot 2.3, or what takes its place in 2.4.
type location struct {
	driver, path, control, index, layout string
	below                                string // of a folder, where its Maildir lies; "" = it is the folder's directory
	utf8                                 bool
}

// Find reads the place of the mail from the settings of Dovecot 2.3
// (mail_location) or 2.4 (mail_driver, mail_path).
func (s *Settings) Find() Found {
	var f Found
	l := s.location(&f)
	if l.driver != "maildir" {
		f.Notes = nil
		f.note("mail is kept as %q: mailsync reads Maildir only", cmp.Or(l.driver, "auto"))
		return f
	}
	home := s.home(&f)
	full := l.path
	var ok bool
	if full, ok = atHome(full, home); !ok {
		f.note("home directories come from the user database (%s): give the store a users list, address<TAB>path a line", cmp.Or(strings.Join(s.all("userdb/driver"), ", "), "not named"))
		return f
	}
	if l.below != "" {
		f.note("each folder's Maildir lies in a directory of its own, %s, below the folder's, which mailsync does not know: it would take that directory for a folder's name, so no store is described", l.below)
		return f
	}
	if char := s.escape(); char != "" {
		f.note("the server escapes characters of folder names (%s and two hexadecimal digits): mailsync calls such a folder as its directory is called on disk, and puts it back under that name", char)
	}
	st := &Store{FS: l.layout == "fs", UTF8: l.utf8}
	if l.layout != "" && l.layout != "fs" && !strings.EqualFold(l.layout, "maildir++") {
		f.note("folders are laid out as %q, which mailsync does not know", l.layout)
		return f
	}
	st.Path, st.Layout = split(full)
	if _, err := maildir.ParseTemplate(st.Layout); err != nil || st.Path == "/" {
		f.note("the place of a mailbox, %s, makes no layout: give the store a users list, address<TAB>path a line", full)
		return f
	}
	for _, t := range []struct {
		name, text string
		to         *string
	}{{"control", l.control, &st.Control}, {"index", l.index, &st.Index}} {
		text, ok := atHome(t.text, home)
		switch {
		case t.text == "":
		case t.text == "MEMORY":
			f.note("the server keeps no %s files", t.name)
		case !ok || !path.IsAbs(text):
			f.note("the place of %s files, %s, cannot be told", t.name, t.text)
		default:
			*t.to = text
		}
	}
	f.Store = st
	for _, x := range s.all("namespace/location") {
		f.note("a namespace has a location of its own, %s: it is another store", x)
	}
	return f
}

func (f *Found) note(format string, args ...any) {
	f.Notes = append(f.Notes, fmt.Sprintf(format, args...))
}

func (s *Settings) location(f *Found) location {
	if d := s.get("mail_driver"); d != "" {
		return location{
			driver: d, path: s.get("mail_path"), control: s.get("mail_control_path"), index: s.get("mail_index_path"),
			layout: strings.ToLower(s.get("mailbox_list_layout")), below: s.get("mailbox_directory_name"), utf8: s.get("mailbox_list_utf8") == "yes",
		}
	}
	words := strings.Split(s.get("mail_location"), ":")
	l := location{driver: words[0]}
	if len(words) > 1 {
		l.path = words[1]
	}
	for _, w := range words[min(2, len(words)):] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "CONTROL":
			l.control = value
		case "INDEX":
			l.index = value
		case "LAYOUT":
			l.layout = strings.ToLower(value)
		case "DIRNAME", "FULLDIRNAME":
			l.below = value
		case "UTF-8":
			l.utf8 = true
		case "VOLATILEDIR", "INDEXPVT", "INDEXCACHE", "LISTINDEX", "NO-NOSELECT", "BROKENCHAR", "ITERINDEX":
			// Nothing of it changes where mail lies on the first storage.
		default:
			f.note("mail_location has %s, which mailsync does not follow: compare what it finds with what the server shows", w)
		}
	}
	return l
}

// escape returns the character by which the server escapes folder names on
// disk: that of the plugin listescape of 2.3, or the setting of 2.4; "" = none.
func (s *Settings) escape() string {
	if char := s.get("mailbox_list_storage_escape_char"); char != "" {
		return char
	}
	for _, key := range []string{"mail_plugins", "protocol/mail_plugins"} {
		for _, plugins := range s.all(key) {
			if slices.Contains(strings.Fields(plugins), "listescape") {
				return cmp.Or(s.get("plugin/listescape_char"), `\`)
			}
		}
	}
	return ""
}

// home is the template of the home directory: the fixed one of a user database,
// else mail_home. What databases answer wins over mail_home in the server.
func (s *Settings) home(f *Found) string {
	home := s.get("mail_home")
	for _, args := range s.all("userdb/args") {
		for _, w := range strings.Fields(args) {
			if h, ok := strings.CutPrefix(w, "home="); ok {
				return h
			}
		}
	}
	if h := s.get("userdb/fields/home"); h != "" { // of 2.4
		return h
	}
	if home != "" {
		for _, d := range s.all("userdb/driver") {
			if d != "static" && d != "prefetch" {
				f.note("the user database (%s) may name other home directories than mail_home, %s", d, home)
			}
		}
	}
	return home
}

// atHome puts the home directory in front of a path that begins with it. It is
// false where there is none.
func atHome(p, home string) (string, bool) {
	for _, h := range []string{"~", "%h", "%{home}"} {
		if rest, ok := strings.CutPrefix(p, h); ok && (rest == "" || rest[0] == '/') {
			return home + rest, path.IsAbs(home)
		}
	}
	return p, path.IsAbs(p)
}

// Tree is the directory in which a template's places lie: what it says before its
// first variable. A relative one lies below the store's path.
func Tree(store, template string) string {
	if !path.IsAbs(template) {
		template = store + "/" + template
	}
	dir, _ := split(template)
	return dir
}

// split parts a template into the directory above the first variable and the
// rest.
func split(full string) (dir, layout string) {
	i := strings.IndexByte(full, '%')
	if i < 0 {
		return path.Clean(full), ""
	}
	cut := strings.LastIndexByte(full[:i], '/')
	return path.Clean("/" + full[:cut+1]), strings.TrimSuffix(full[cut+1:], "/")
}
