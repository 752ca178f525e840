package doctor

import (
	"bufio"
	"io"
	"slices"
	"strings"
)

// Mount is a mounted file system, as /proc/self/mountinfo tells (proc(5)).
type Mount struct {
	Dir, Type, Source string
	Options           []string // of the mount and of the file system
}

// Mounts reads /proc/self/mountinfo.
func Mounts(r io.Reader) ([]Mount, error) {
	var list []Mount
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		left, right, ok := strings.Cut(sc.Text(), " - ")
		a, b := strings.Fields(left), strings.Fields(right)
		if !ok || len(a) < 6 || len(b) < 2 {
			continue
		}
		m := Mount{Dir: unescape(a[4]), Type: b[0], Source: unescape(b[1]), Options: strings.Split(a[5], ",")}
		if len(b) > 2 {
			m.Options = append(m.Options, strings.Split(b[2], ",")...)
		}
		list = append(list, m)
	}
	return list, sc.Err()
}

// Tried tells whether the file system is one on which what mailsync promises of
// power cuts was tried (docs/reliability.md).
func (m Mount) Tried() bool { return m.Type == "ext4" || m.Type == "xfs" || m.Type == "btrfs" }

// Fstab reads fstab(5): the file systems that belong to a directory.
func Fstab(r io.Reader) ([]Mount, error) {
	var list []Mount
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 || f[0][0] == '#' || f[1][0] != '/' {
			continue
		}
		list = append(list, Mount{Dir: unescape(f[1]), Type: f[2], Source: unescape(f[0]), Options: strings.Split(f[3], ",")})
	}
	return list, sc.Err()
}

// Of returns the mount that a clean absolute path lies on; of several at one
// place the last one, which hides the others.
func Of(mounts []Mount, p string) (Mount, bool) {
	best := -1
	for i := range mounts {
		if below(p, mounts[i].Dir) && (best < 0 || len(mounts[i].Dir) >= len(mounts[best].Dir)) {
			best = i
		}
	}
	if best < 0 {
		return Mount{}, false
	}
	return mounts[best], true
}

// NotMounted lists what fstab has at, above or below a path and nobody has
// mounted.
func NotMounted(fstab, mounts []Mount, p string) []Mount {
	var list []Mount
	for _, f := range fstab {
		if f.Dir == "/" || f.Type == "swap" || !below(p, f.Dir) && !below(f.Dir, p) {
			continue
		}
		if !slices.ContainsFunc(mounts, func(m Mount) bool { return m.Dir == f.Dir }) {
			list = append(list, f)
		}
	}
	return list
}

// Has tells whether one of the options is set.
func (m *Mount) Has(options ...string) bool {
	return slices.ContainsFunc(m.Options, func(o string) bool { return slices.Contains(options, o) })
}

func below(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}

// unescape undoes the octal escapes of blanks in mountinfo and fstab.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
