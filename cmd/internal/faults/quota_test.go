//go:build faults

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// quota is one way in which a kernel limits what a store may take. The store's
// file system is mounted where the store lies.
type quota struct {
	name, typ string
	size      int64
	mkfs      []string
	options   []string // of mount(8), which turn it on; a kernel may not know them
	programs  []string // that it needs
	why       string   // what is said when it is met

	begin func(t *testing.T, v *volume)             // puts the empty store under it
	owner string                                    // whom all files must belong to
	used  func(t *testing.T, v *volume) int64       // bytes that count now
	limit func(t *testing.T, v *volume, most int64) // 0: none
}

// The owner and the project whose limits are set.
const quotaID = "12345"

// quotas lists the kinds. A limit of the owner's on XFS is not among them: what
// is written counts as root's, and a process with CAP_FOWNER may give it to an
// owner who has no room.
func quotas() []quota {
	journaled := func(kind string) []string {
		return append(slices.Clone(ext4), "-O", "quota,project", "-E", "quotatype="+kind)
	}
	return []quota{
		{
			name: "btrfs, a qgroup", typ: "btrfs", size: 160 << 20, mkfs: btrfs, programs: []string{"btrfs"},
			why: "quota", begin: beginQgroup, used: usedByQgroup, limit: limitQgroup,
		},
		{
			name: "ext4, the owner's", typ: "ext4", size: 8 << 20, mkfs: journaled("usrquota"), options: []string{"-o", "usrquota"},
			why: "quota", owner: quotaID, used: usedBy("-u"), limit: limitOf("-u"),
		},
		{
			name: "ext4, a project's", typ: "ext4", size: 8 << 20, mkfs: journaled("prjquota"), options: []string{"-o", "prjquota"},
			why: "quota", begin: beginProject, used: usedBy("-p"), limit: limitOf("-p"),
		},
		{ // a full project is a full disk to XFS
			name: "XFS, a project's", typ: "xfs", size: 320 << 20, mkfs: xfs, options: []string{"-o", "prjquota"},
			why: "no space left", begin: beginProject, used: usedBy("-p"), limit: limitOf("-p"),
		},
	}
}

// A quota that the kernel enforces: as a full disk, and the reason is the quota.
// ext4 lets processes with CAP_SYS_RESOURCE pass, so the commands have it not.
func TestQuota(t *testing.T) {
	for _, q := range quotas() {
		for _, name := range []string{"restore", "replay"} {
			t.Run(q.name+" "+name, func(t *testing.T) {
				needs(t, append([]string{q.mkfs[0], "xfs_quota", "xfs_io", "setpriv"}, q.programs...)...)
				dir := t.TempDir()
				v := newImage(t, q.typ, q.size, filepath.Join(dir, "now", "store"), q.mkfs...)
				v.options = q.options
				if err := v.tryMount(); err != nil && q.options != nil {
					t.Skipf("SKIPPED, nothing was proved: this kernel has no such quota (the one of .ci/vm has): %v", err)
				} else {
					must(t, err)
				}
				if q.begin != nil {
					q.begin(t, v)
				}
				l := newLabAt(t, dir)
				s := sceneOf(t, name)
				must(t, s.Prepare(l.Ground))
				must(t, l.Keep())
				l.bin.Wrap = []string{"setpriv", "--bounding-set", "-sys_resource"}
				stopped := 0
				for _, leave := range []int64{0, 2 << 10, 6 << 10, 32 << 10, 64 << 10, 96 << 10} {
					fill := func() {
						if q.owner != "" {
							_, err := command("chown", "-R", q.owner, v.at)
							must(t, err)
						}
						must(t, unixSync(v.at))
						q.limit(t, v, q.used(t, v)+leave)
					}
					if l.full(s, leave, fill, func() { q.limit(t, v, 0) }, q.why) != 0 {
						stopped++
					}
				}
				t.Logf("over quota at %d of 6 levels", stopped)
				if stopped == 0 {
					t.Error("the quota was never met")
				}
			})
		}
	}
}

// beginQgroup mounts a subvolume where the top of its file system was, which
// stays reachable at another place: a subvolume over its limit takes no change at
// all, that of its limit included.
func beginQgroup(t *testing.T, v *volume) {
	t.Helper()
	top := qgroupTop(v)
	must(t, os.Mkdir(top, 0o755))
	for _, line := range [][]string{
		{"mount", "--move", v.at, top},
		{"btrfs", "quota", "enable", top},
		{"btrfs", "subvolume", "create", filepath.Join(top, "s")},
		{"mount", "-t", "btrfs", "-o", "subvol=s", v.loop, v.at},
	} {
		_, err := command(line...)
		must(t, err)
	}
	t.Cleanup(func() { _, _ = command("umount", top) })
}

func qgroupTop(v *volume) string { return v.img + ".top" }

func usedByQgroup(t *testing.T, v *volume) int64 {
	t.Helper()
	out, err := command("btrfs", "qgroup", "show", "--raw", "-f", v.at)
	must(t, err)
	return number(t, strings.Fields(out[strings.LastIndexByte(out, '\n')+1:]))
}

func limitQgroup(t *testing.T, v *volume, most int64) {
	t.Helper()
	id, err := command("btrfs", "inspect-internal", "rootid", v.at)
	must(t, err)
	n := "none"
	if most > 0 {
		n = fmt.Sprint(most)
	}
	_, err = command("btrfs", "qgroup", "limit", n, "0/"+id, qgroupTop(v))
	must(t, err)
}

// beginProject gives what will be made in the store to a project.
func beginProject(t *testing.T, v *volume) {
	t.Helper()
	_, err := command("xfs_io", "-c", "chproj "+quotaID, "-c", "chattr +P", v.at)
	must(t, err)
}

// usedBy asks for what an owner (-u) or a project (-p) has, by a program of XFS'
// that speaks with ext4, too.
func usedBy(kind string) func(*testing.T, *volume) int64 {
	return func(t *testing.T, v *volume) int64 {
		t.Helper()
		out, err := command("xfs_quota", "-f", "-x", "-c", "report -n -N -b "+kind, v.at)
		must(t, err)
		for line := range strings.Lines(out) { // #ID used soft hard …, in KiB
			if f := strings.Fields(line); len(f) > 1 && f[0] == "#"+quotaID {
				return number(t, f) << 10
			}
		}
		t.Fatalf("nobody has anything: %s", out)
		return 0
	}
}

func limitOf(kind string) func(*testing.T, *volume, int64) {
	return func(t *testing.T, v *volume, most int64) {
		t.Helper()
		_, err := command("xfs_quota", "-f", "-x", "-c", fmt.Sprintf("limit %s bhard=%d %s", kind, most, quotaID), v.at)
		must(t, err)
	}
}

// number is the second of a line's fields.
func number(t *testing.T, fields []string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(fields[1], 10, 64)
	must(t, err)
	return n
}
