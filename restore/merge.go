package restore

import (
	"slices"
	"strings"

	"mailsync/manifest"
)

// merge is the outcome of merging flags and keywords.
type merge struct {
	flags    string
	keywords []string
}

// mergeSets merges three-way: where target and source differ, the side that
// differs from the base has changed it, and its change wins. So additions of
// both are kept. Where the source's state is older than the base (moved is
// false), it is no change.
func mergeSets(base, target, source []string, moved bool) []string {
	has := func(set []string, v string) bool { return slices.Contains(set, v) }
	var out []string
	for _, v := range union(target, source) {
		t, s := has(target, v), has(source, v)
		keep := t
		if t != s && t == has(base, v) && moved {
			keep = s
		}
		if keep {
			out = append(out, v)
		}
	}
	return out
}

func union(a, b []string) []string {
	out := append(slices.Clone(a), b...)
	slices.Sort(out)
	return slices.Compact(out)
}

func letters(flags string) []string {
	out := make([]string, 0, len(flags))
	for i := range len(flags) {
		out = append(out, flags[i:i+1])
	}
	return out
}

// Keywords of which a message carries at most one.
const (
	junk    = "$Junk"
	nonJunk = "$NonJunk"
)

// mergeEntries merges a source's flags and keywords into the target's. T is
// never added: it would delete the message at the next expunge. moved tells
// whether the source's state is newer than the base; a nil base merges nothing
// unless unite asks for the flags of both.
func mergeEntries(base, target, source *manifest.Entry, moved, unite bool) merge {
	var bf, bk []string
	switch {
	case base != nil:
		bf, bk = letters(base.Flags), base.Keywords
	case unite:
		moved = true // against an empty base every flag is an addition
	default:
		return merge{target.Flags, target.Keywords}
	}
	flags := mergeSets(bf, letters(target.Flags), letters(source.Flags), moved)
	if !strings.Contains(target.Flags, "T") {
		flags = slices.DeleteFunc(flags, func(f string) bool { return f == "T" })
	}
	kw := mergeSets(bk, target.Keywords, source.Keywords, moved)
	// a letter without a name means something only in its own folder
	kw = slices.DeleteFunc(kw, func(k string) bool {
		return strings.HasPrefix(k, "?") && !slices.Contains(target.Keywords, k)
	})
	return merge{strings.Join(flags, ""), exclude(kw, bk, target.Keywords)}
}

// exclude keeps one of $Junk and $NonJunk: the one that was added, else the target's.
func exclude(kw, base, target []string) []string {
	if !slices.Contains(kw, junk) || !slices.Contains(kw, nonJunk) {
		return kw
	}
	drop := junk
	switch added, alsoAdded := !slices.Contains(base, junk), !slices.Contains(base, nonJunk); {
	case added && !alsoAdded:
		drop = nonJunk
	case added == alsoAdded && slices.Contains(target, junk):
		drop = nonJunk
	}
	return slices.DeleteFunc(kw, func(k string) bool { return k == drop })
}
