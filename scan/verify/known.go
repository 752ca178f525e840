package verify

import (
	"fmt"
	"strings"
	"time"
)

// known is what a stage leaves known, in a few short sentences.
func (v *Verification) known(id StageID) string {
	c := &v.result.Counts
	var out []string
	switch id {
	case Structure:
		out = append(out, fmt.Sprintf("%s in %s listed, no mail was read.", count(c.Messages, "message"), count(c.Mailboxes, "mailbox")))
		if c.Disordered > 0 {
			out = append(out, count(c.Disordered, "disorder")+" in the housekeeping.")
		}
	case Window:
		read := "Read: new mail"
		if v.hasRec {
			read += ", what is not recorded"
		}
		if v.from != noWindow {
			read += ", and what was written since " + time.Unix(0, v.from).UTC().Format(time.RFC3339)
		}
		out = append(out, read+" ("+size(c.ReadBytes)+").")
		if n := v.result.Missing; n == 1 {
			out = append(out, "1 recorded message is missing.")
		} else if n > 1 {
			out = append(out, fmt.Sprintf("%d recorded messages are missing.", n))
		} else if v.hasRec {
			out = append(out, "No recorded message is missing.")
		}
		if n := c.Vanished; n > 0 {
			out = append(out, count(n, "message")+" gone without evidence either way.")
		}
	case Rest:
		out = append(out, "Every message that can be read was read ("+size(c.ReadBytes)+").")
	}
	suspect := c.Suspect - v.result.Missing
	switch {
	case c.Damaged > 0 && suspect > 0:
		out = append(out, fmt.Sprintf("%d proven damaged, %d suspect.", c.Damaged, suspect))
	case c.Damaged > 0:
		out = append(out, fmt.Sprintf("%d proven damaged.", c.Damaged))
	case suspect > 0:
		out = append(out, fmt.Sprintf("None proven damaged, %d suspect.", suspect))
	case id == Rest:
		out = append(out, "Nothing speaks against any of them.")
	default:
		out = append(out, "No damage so far.")
	}
	if n := c.Unreadable; n > 0 {
		out = append(out, count(n, "thing")+" could not be looked at.")
	}
	return strings.Join(out, " ")
}

func count(n int64, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "x"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// size writes a number of bytes as people do, in powers of ten.
func size(n int64) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB", "PB"} {
		if f < 1000 {
			break
		}
		f, unit = f/1000, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", f, unit)
}
