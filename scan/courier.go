package scan

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"slices"

	"mailsync/manifest"
	"mailsync/scan/beneath"
	"mailsync/scan/maildir"
)

// maxPending bounds the pending updates of one folder that are read; Courier
// folds them into its list after a quarter of an hour.
const maxPending = 100_000

var errManyKeywords = &maildir.Broken{Err: maildir.ErrKeywords, Reason: "more keywords of one message than are recorded"}

// courierKeywords is what a folder's messages are marked with, by base name.
type courierKeywords struct {
	names map[string][]string
	ages  map[string]int64 // of pending updates, while they are read
}

// readCourier reads the keywords of a Courier folder: the list, then what is not
// folded into it yet. Their stamp is that of the directory: every change renames
// something in it.
func (fl *folderLook) readCourier(folder *beneath.Dir) {
	d, err := folder.OpenDir(maildir.CourierKeywordDir)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		fl.smallFailed(maildir.CourierKeywordDir, err)
		return
	}
	defer d.Close()
	before, err := d.Self()
	if err != nil {
		fl.smallFailed(maildir.CourierKeywordDir, err)
		return
	}
	k := &courierKeywords{names: make(map[string][]string), ages: make(map[string]int64)}
	whole := fl.courierList(d, k) && fl.courierPending(d, k)
	k.ages = nil
	fl.courier = k
	fl.info.KeywordsStamp = settled(stampOf(&before), fl.v.began, fl.v.margin)
	after, err := d.Self()
	if !whole || err != nil || !after.Same(&before) {
		fl.info.KeywordsStamp.Safe = false
	}
}

// courierList reads the list. It returns false where it is not read whole.
func (fl *folderLook) courierList(d *beneath.Dir, k *courierKeywords) bool {
	const list = ":list"
	f, err := d.OpenFile(list)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		fl.smallFailed(maildir.CourierKeywordDir+"/"+list, err)
		return false
	}
	defer f.Close()
	for c, err := range maildir.CourierKeywords(bufio.NewReader(io.LimitReader(f, maxSmallFile))) {
		if err != nil {
			fl.courierFailed(list, err)
			return false
		}
		if !k.set(c.Base, c.Names) {
			fl.courierFailed(list, errManyKeywords)
		}
	}
	return true
}

// courierPending reads the updates that are not in the list yet; of one message
// the newest counts.
func (fl *folderLook) courierPending(d *beneath.Dir, k *courierKeywords) bool {
	var files []string
	for e, err := range d.List() {
		if err != nil {
			fl.smallFailed(maildir.CourierKeywordDir, err)
			return false
		}
		if len(files) == maxPending {
			fl.courierFailed("", &maildir.Broken{Err: maildir.ErrKeywords, Reason: "too many pending updates"})
			return false
		}
		if e.Name[0] != ':' {
			files = append(files, string(e.Name))
		}
	}
	whole := true
	for _, name := range files {
		f, err := d.OpenFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // folded into the list meanwhile; the stamp has moved
		}
		if err != nil {
			fl.smallFailed(maildir.CourierKeywordDir+"/"+name, err)
			whole = false
			continue
		}
		c, age, ok, err := maildir.CourierPending(name, bufio.NewReader(io.LimitReader(f, maxSmallFile)))
		_ = f.Close()
		if err != nil {
			fl.courierFailed(name, err)
			whole = false
		}
		if was, seen := k.ages[c.Base]; ok && (!seen || was != 0 && (age == 0 || age > was)) {
			k.ages[c.Base] = age
			if !k.set(c.Base, c.Names) {
				fl.courierFailed(name, errManyKeywords)
			}
		}
	}
	return whole
}

// set notes the keywords of a message: sorted, and no more of them than an entry
// holds.
func (k *courierKeywords) set(base string, names []string) (whole bool) {
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" || len(n) > maildir.MaxKeyword })
	slices.Sort(names)
	names = slices.Compact(names)
	n, size := 0, 0
	for n < len(names) && n < manifest.MaxKeywords && size+len(names[n])+2 <= manifest.MaxKeywordBytes {
		size += len(names[n]) + 2
		n++
	}
	k.names[base] = names[:n:n]
	return n == len(names)
}

func (fl *folderLook) courierFailed(name string, err error) {
	file := maildir.CourierKeywordDir
	if name != "" {
		file += "/" + name
	}
	if !errors.Is(err, maildir.ErrKeywords) {
		fl.smallFailed(file, err)
		return
	}
	fl.v.finding(manifest.Finding{
		Folder: fl.info.Name, File: file, Kind: manifest.KeywordsBroken, Certainty: manifest.Proof, Detail: err.Error(),
	})
}
