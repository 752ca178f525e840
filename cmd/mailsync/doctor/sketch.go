package doctor

import (
	"fmt"
	"strings"
)

// Sketch is a first mailsync.toml for a store, for a person to read: what was
// found, and what only a person knows.
func Sketch(state, version string, st *Store) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# A first configuration, as Dovecot %s describes its mail.\n", version)
	b.WriteString("# Read it before it is used; then: mailsync config check\n\n")
	fmt.Fprintf(&b, "state = %q\n", state)
	b.WriteString("# The record must outlive the store: name a directory on another host's disk.\n# state_copies = [\"/mnt/elsewhere/mailsync\"]\n\n")
	b.WriteString("[stores.primary]\n")
	fmt.Fprintf(&b, "path   = %q\nlayout = %q\nrole   = \"primary\"\n", st.Path, st.Layout)
	if st.FS {
		b.WriteString("folders = \"fs\"\n")
	}
	if st.UTF8 {
		b.WriteString("utf8 = true\n")
	}
	for _, t := range [][2]string{{"control", st.Control}, {"index", st.Index}} {
		if t[1] != "" {
			fmt.Fprintf(&b, "%s = %q\n", t[0], t[1])
		}
	}
	b.WriteString("# What shares a power supply or an array is one witness, not two:\n# failure_domain = \"rack-a\"\n\n")
	b.WriteString("# A hot spare and a backup are stores of the same layout:\n# [stores.backup]\n# path = \"/backup/mail\"\n")
	fmt.Fprintf(&b, "# layout = %q\n# role = \"backup\"\n\n", st.Layout)
	b.WriteString("# The gateway's archive of what came in:\n# [archives.gateway]\n# path = \"/srv/gateway\"\n")
	return b.String()
}
