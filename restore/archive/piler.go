package archive

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pilerexport (piler, src/pilerexport.c) writes one file a message, ID.eml, ID
// being the number of the message in piler's database. The recipients stay in
// the database: a list of them, "ID<TAB>address" or "ID,address" a line and
// sorted by ID, lies beside the messages as recipients.tsv or recipients.csv.
// It is searched where it lies, so that it may be of any size.

var pilerLists = []string{"recipients.tsv", "recipients.csv"}

// pilerID reads the name of an exported message.
func pilerID(name string) (uint64, bool) {
	s, ok := strings.CutSuffix(name, ".eml")
	if !ok || s == "" || s[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// pilerList opens the list of a directory.
func pilerList(in *input) (f *File, name string) {
	for _, name := range pilerLists {
		if f, err := in.beside(name); err == nil {
			return f, name
		}
	}
	return nil, ""
}

func matchPiler(in *input, _ []byte) bool {
	if in.beside == nil {
		return false
	}
	for _, l := range pilerLists {
		if in.name == l {
			return true
		}
	}
	if _, ok := pilerID(in.name); !ok {
		return false
	}
	f, _ := pilerList(in)
	if f == nil {
		return false
	}
	f.Close()
	return true
}

func readPiler(p *pass, in *input) error {
	id, ok := pilerID(in.name)
	if !ok {
		return nil // the list
	}
	c, err := p.whole(in)
	if err == nil && in.w.broken() != nil {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return p.badContent(in.pos, in, err)
	}
	f, name := pilerList(in)
	if f == nil {
		return p.refuse(in.pos, "its list of recipients is gone")
	}
	defer f.Close()
	dir, _, _ := cutLast(in.pos.File)
	if err := p.a.lists.check(dir+"/"+name, f); err != nil {
		return p.refuse(in.pos, name+" "+err.Error())
	}
	m := &p.msg
	*m = Message{Pos: in.pos, Format: "piler", content: c}
	add := func(a string) bool { return m.add(Recipient{Addr: a, How: Container}) }
	if err := findRecipients(f, f.Size, id, add); err != nil {
		return p.refuse(in.pos, name+" cannot be read: "+reason(err))
	}
	return p.emit(in, m)
}

// recipientLists remembers which list was found to be in order.
type recipientLists struct {
	mu    sync.Mutex
	name  string
	size  int64
	mtime time.Time
	err   error
}

var errListOrder = errors.New(`is not a list of "ID<TAB>address" lines sorted by ID (write it with ORDER BY id)`)

// check reads a list through once, and once more when it changed.
func (l *recipientLists) check(name string, f *File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.name != name || l.size != f.Size || !l.mtime.Equal(f.MTime) {
		l.name, l.size, l.mtime = name, f.Size, f.MTime
		l.err = sortedList(io.NewSectionReader(f, 0, f.Size))
	}
	return l.err
}

func sortedList(r io.Reader) error {
	b := bufio.NewReaderSize(r, 64<<10)
	last := uint64(0)
	for first := true; ; first = false {
		line, err := b.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return errListOrder // a line longer than an address can be, or no reading
		}
		if len(bytes.TrimSpace(line)) > 0 {
			id, _, ok := listLine(line)
			if (!ok || id < last) && !first { // the first line may name the columns
				return errListOrder
			}
			last = max(last, id)
		}
		if err != nil {
			return nil
		}
	}
}

// listLine reads "ID<TAB>address", with a comma or a semicolon as well, and
// with the quotes of a spreadsheet.
func listLine(line []byte) (id uint64, addr string, ok bool) {
	s := strings.TrimRight(string(line), "\r\n")
	i := strings.IndexAny(s, "\t,;")
	if i < 0 {
		return 0, "", false
	}
	id, err := strconv.ParseUint(strings.Trim(s[:i], `" `), 10, 64)
	if err != nil {
		return 0, "", false
	}
	addr = strings.TrimSpace(s[i+1:])
	if len(addr) > 1 && addr[0] == '"' && addr[len(addr)-1] == '"' {
		addr = strings.ReplaceAll(addr[1:len(addr)-1], `""`, `"`)
	}
	return id, addr, true
}

// findRecipients searches a sorted list, and adds what it finds for as long as
// that is wanted.
func findRecipients(f io.ReaderAt, size int64, id uint64, add func(string) bool) error {
	// lo is the start of a line before which all ids are smaller.
	lo, hi := int64(0), size
	for hi-lo > 4096 {
		mid := lo + (hi-lo)/2
		r := bufio.NewReaderSize(io.NewSectionReader(f, mid, hi-mid), 1024)
		part, err := r.ReadSlice('\n') // the rest of a line
		skipped := int64(len(part))
		for errors.Is(err, bufio.ErrBufferFull) {
			part, err = r.ReadSlice('\n')
			skipped += int64(len(part))
		}
		if errors.Is(err, io.EOF) {
			hi = mid
			continue
		} else if err != nil {
			return err
		}
		line, err := r.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		got, _, ok := listLine([]byte(line))
		if ok && got < id {
			lo = mid + skipped
		} else {
			hi = mid
		}
	}
	r := bufio.NewReader(io.NewSectionReader(f, lo, size-lo))
	for {
		line, err := r.ReadString('\n')
		got, addr, ok := listLine([]byte(line))
		switch {
		case ok && got > id:
			return nil
		case ok && got == id && addr != "":
			if !add(addr) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
