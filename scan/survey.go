package scan

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// folderLook is one folder while its mailbox is looked at.
type folderLook struct {
	v      *View
	info   manifest.Folder
	rec    *manifest.Folder // as recorded; nil = not recorded
	branch branch
	// unchanged: the stamps prove that names, UIDs and keywords are as recorded.
	unchanged bool
	// missing: the folder was recorded and its directory is not there.
	missing bool
	blind   error // why the folder's names cannot be known; nil = they can

	uids     *maildir.UIDIndex
	halfUIDs bool // the UID list holds more than uids, or cannot be read
	words    map[string][]string
	courier  *courierKeywords // nil: not a Courier folder
	dirs     folderDirs
	isOpen   bool
	list     *listing
	again    *listing // a later listing, for what was not found
	lasting  bool     // whatever moves after it moves its stamps
	looks    int      // how often it was listed again
	relisted int64    // names in those listings
	restless int      // how often it did not come to rest when that was waited for
	pending  int      // tasks on their way
	produced bool

	log       *serverLog     // nil: not read yet
	saved     *serverLog     // nil: not read yet
	index     *maildir.Index // nil: not read yet
	keptUIDs  bool           // the record's UIDs stand where uids knows none
	tableGone string         // the keyword table that was recorded and is gone
	lettered  int64          // names with keyword letters
	alternate int64
	altName   string
}

func (fl *folderLook) close() {
	if fl.isOpen {
		fl.isOpen = false
		fl.v.open--
		fl.dirs.close()
	}
	fl.list, fl.again = nil, nil
}

// survey finds the folders of the mailbox and reads the server's small files.
func (v *View) survey(ctx context.Context) error {
	names := map[string]bool{}
	odd, err := walkMailbox(ctx, v.root, func(d *beneath.Dir, b *branch) error {
		v.tree = append(v.tree, branch{dir: b.dir, hasNew: b.hasNew, hasCur: b.hasCur, stat: b.stat, still: b.still})
		if !b.maildir() {
			if b.dir == "" {
				return errors.New("its root holds neither cur nor new")
			}
			return nil
		}
		name, ok := v.folderName(b.dir, names)
		if !ok {
			return nil
		}
		names[name] = true
		return v.surveyFolder(d, b, name)
	})
	if err != nil {
		return err
	}
	for _, o := range odd {
		v.oddBranch(o)
	}
	if v.rec != nil {
		for i := range v.rec.Folders {
			if rf := &v.rec.Folders[i]; !names[rf.Name] {
				v.absentFolder(rf, odd)
			}
		}
	}
	slices.SortFunc(v.folders, func(a, b *folderLook) int { return strings.Compare(a.info.Name, b.info.Name) })
	for _, fl := range v.folders {
		if !fl.missing {
			v.mb.Folders = append(v.mb.Folders, fl.info)
		}
	}
	v.counts.Folders = int64(len(v.mb.Folders))
	v.counts.Mailboxes = 1
	return v.rootFiles()
}

// folderName names the folder in dir. Where the configured layout has no name
// for it, the other layout's is taken: below a mailbox' root every further
// Maildir is one of its folders.
func (v *View) folderName(dir string, taken map[string]bool) (string, bool) {
	first := v.place.Folders()
	other := first
	other.Layout = maildir.FS
	if first.Layout == maildir.FS {
		other.Layout = maildir.PlusPlus
	}
	for _, n := range [2]maildir.FolderNames{first, other} {
		if name, ok := n.Folder(dir); ok && !taken[name] {
			return name, true
		}
	}
	name := "\uFFFD" + strings.ToValidUTF8(dir, "\uFFFD")
	return name, !taken[name]
}

// surveyFolder looks at one folder's stamps and small files.
func (v *View) surveyFolder(d *beneath.Dir, b *branch, name string) error {
	fl := &folderLook{v: v, branch: *b}
	fl.info.Name, fl.info.Dir = name, b.dir
	fl.info.ACL = b.files[maildir.ACLFile] || b.files[maildir.CourierACLFile]
	if v.rec != nil {
		fl.rec = v.rec.Folder(name)
	}
	v.folders = append(v.folders, fl)
	self := settled(stampOf(&b.stat), v.began, v.margin)
	self.Safe = self.Safe && b.still
	fl.info.SelfStamp = self

	control, files := d, b.files
	if v.place.Control != "" {
		c, err := v.s.openAt(v.place.ControlDir(b.dir))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			control, files = nil, nil
		case err != nil:
			v.finding(manifest.Finding{Folder: name, File: maildir.UIDListFile, Kind: manifest.Unreadable, Detail: err.Error()})
			control, files, fl.halfUIDs = nil, nil, true
			fl.keepUIDs(false)
			fl.keepWords(false)
		default:
			defer c.Close()
			control, files = c, nil
		}
	}
	if fl.same(d, control) {
		fl.unchanged = true
		fl.halfUIDs = !fl.rec.UIDListStamp.IsZero() // not read
		self := fl.info.SelfStamp
		acl := fl.info.ACL
		fl.info = *fl.rec
		fl.info.SelfStamp, fl.info.ACL, fl.info.Dir = self, acl, b.dir
		if control != nil {
			fl.checkUIDList(control, b)
		}
		return v.tmp.list(v, fl, d)
	}
	if control != nil {
		fl.readUIDs(control, files)
		fl.readKeywords(control, files)
	}
	fl.checkUIDList(control, b)
	fl.readIndex(d, b)
	fl.checkUIDNext()
	return v.tmp.list(v, fl, d)
}

// same tells whether the stamps prove that nothing in the folder has changed
// since it was recorded.
func (fl *folderLook) same(d, control *beneath.Dir) bool {
	v := fl.v
	if fl.rec == nil || v.s.opt.Stat || v.o.Crashed || v.o.Accept || v.o.Decide != nil || v.rec.Alg != v.alg || v.o.Adopted || v.unsafe {
		return false
	}
	rf := fl.rec
	check := func(d *beneath.Dir, name string, rec manifest.DirStamp) bool {
		if d == nil {
			return rec.IsZero()
		}
		st, err := d.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return rec.IsZero()
		}
		return err == nil && stampOf(&st).Same(rec)
	}
	return check(d, "new", rf.NewStamp) && check(d, "cur", rf.CurStamp) &&
		check(control, uidListName(fl.branch.files), rf.UIDListStamp) && check(control, keywordsName(fl.branch.files), rf.KeywordsStamp)
}

// oddBranch reports a directory that could not be followed.
func (v *View) oddBranch(o oddBranch) {
	v.unsafe = true
	f := manifest.Finding{Kind: manifest.Unreadable, Detail: o.err.Error()}
	if noFile(o.err) {
		f.Kind, f.Certainty = manifest.NotRegular, manifest.Proof
	}
	dir, last := o.dir, ""
	if i := strings.LastIndexByte(dir, '/'); i >= 0 {
		dir, last = dir[:i], dir[i+1:]
	} else {
		dir, last = "", dir
	}
	if last == "cur" || last == "new" {
		f.File = last
	} else {
		dir = o.dir
	}
	f.Folder, _ = v.folderName(dir, nil)
	v.blinded(f.Folder, f.Detail)
	v.finding(f)
}

// absentFolder takes in a folder that was recorded and was not seen: it is
// gone, or it cannot be looked at.
func (v *View) absentFolder(rf *manifest.Folder, odd []oddBranch) {
	fl := &folderLook{v: v, rec: rf}
	fl.info = manifest.Folder{Name: rf.Name, Dir: rf.Dir}
	v.folders = append(v.folders, fl)
	for _, o := range odd {
		if rf.Dir == o.dir || strings.HasPrefix(rf.Dir, o.dir+"/") {
			fl.blind = o.err
		}
	}
	if fl.blind == nil {
		// A listing may skip a name that is renamed meanwhile: ask for it.
		d, err := v.root.OpenDir(rf.Dir)
		switch {
		case err == nil:
			_ = d.Close()
			fl.blind = errors.New("the folder appeared while its mailbox was listed")
		case errors.Is(err, fs.ErrNotExist):
			fl.missing = true
			return
		default:
			fl.blind = err
		}
		v.blinded(rf.Name, fl.blind.Error())
		v.finding(manifest.Finding{Folder: rf.Name, Kind: manifest.Unreadable, Detail: fl.blind.Error()})
	}
	fl.info = *rf
}
