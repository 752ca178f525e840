package message

import (
	"errors"
	"fmt"

	"mailsync/manifest"
)

// Claim is what the file's name, the server and the record say about a
// message. The zero value claims nothing.
type Claim struct {
	S, W       int64 // sizes in the file name
	HasS, HasW bool

	ListS, ListW       int64 // sizes in the server's uidlist, for names without
	HasListS, HasListW bool

	// What was recorded of this message when it was last known good.
	Digest  manifest.Digest // of the stored bytes; zero: not recorded
	Plain   manifest.Digest // of the decompressed content; zero where it is Digest
	Size    int64           // of the file; valid where HasSize
	HasSize bool
}

// Converted tells whether a file of this size may be the recorded message with
// its line ends converted, which only Facts.Converted can prove: the size is not
// S= but W=, and a digest was recorded. It is cheap and says no for nearly every file.
func (c *Claim) Converted(size int64) bool {
	s, _, hasS := c.claimedS()
	w, hasW := c.claimedW()
	return hasS && hasW && s != size && !c.Digest.IsZero() && (size == w || s == w)
}

// Verdict is what Damage concludes. Its zero value means: nothing was found.
type Verdict struct {
	Kind      manifest.Kind // a kind of damage, WrongSizeName, or NoKind
	Certainty manifest.Certainty
	Detail    string          // for a person; names further kinds; never message text
	Also      []manifest.Kind // the further kinds of damage that apply, in order
	Opaque    bool            // encrypted by the server: only the stored bytes could be checked
	// Unchecked says what could not be checked and why (a decompression
	// limit); "" when everything was. It is no finding.
	Unchecked string
}

// Damage compares facts with claims. One file gives one finding: the first
// that applies in the order empty, nul_filled, nul_tail, truncated, grown,
// nul_run, line_count, compressed_corrupt, content_changed, header_broken.
//
// empty, truncated, grown, nul_filled, line_count, compressed_corrupt and
// content_changed are proofs; nul_tail and nul_run are where sizes, line count,
// stream or record confirm them, and suspicions otherwise; header_broken is a
// suspicion. Where the bytes equal the recorded digest, or the size equals W=
// (line ends were converted), the name is wrong and not the message:
// wrong_size_name.
//
// Without S=, W= and record, only the message itself speaks: empty, NULs,
// stream checks and the header. S= and W= of compressed files speak of the
// decompressed message. Of mail_crypt files only the stored bytes can be
// compared, and since an intended encryption looks the same, a difference there
// is a suspicion.
func Damage(f *Facts, c *Claim) Verdict {
	if sound(f, c) {
		return Verdict{}
	}
	facts, claim := *f, *c // copied: what is judged closely may cost an allocation, what is sound not
	j := judgement{f: &facts, c: &claim}
	j.v.Opaque = f.Opaque()
	j.judge()
	return j.v
}

// sound is the short way through Damage for what nearly every file is: plain,
// with nothing against it.
func sound(f *Facts, c *Claim) bool {
	m := &f.Stored
	if f.Encoding != Plain || m.Size == 0 || m.NULRun != 0 || m.NULTail != 0 || f.Header.Broken() {
		return false
	}
	s, _, hasS := c.claimedS()
	w, hasW := c.claimedW()
	return (!hasS || s == m.Size) && (!hasW || m.Size+m.Lines.Bare() == w) &&
		(!c.HasSize || c.Size == m.Size) && (c.Digest.IsZero() || c.Digest == m.Digest)
}

// judgement is one run of Damage.
type judgement struct {
	f *Facts
	c *Claim
	v Verdict

	same    bool // the record says that this is the content
	changed bool // the record says that it is not
	sizes   bool // S=, W= or the record contradict what is there
}

func (j *judgement) judge() {
	f, c := j.f, j.c
	if f.Stored.Size == 0 {
		j.add(manifest.Empty, manifest.Proof, func() string { return "the file is empty" + claimed(c) })
		if claimed(c) != "" && f.Encoding == Plain { // what else an empty file is needs no second sentence
			j.v.Also = append(j.v.Also, manifest.Truncated)
			j.v.Detail += "; also " + manifest.Truncated.String()
		}
		return
	}
	if f.StreamErr != nil && errors.Is(f.StreamErr, ErrLimit) {
		j.v.Unchecked = f.StreamErr.Error()
	}
	j.record()

	// What is wrong with the sizes is worked out first, because it confirms
	// NULs; what is said first follows the order of kinds.
	truncated, grown, name := j.size()
	lines := j.lineCount()
	broken := f.StreamErr != nil && !errors.Is(f.StreamErr, ErrLimit)
	j.sizes = truncated != "" || grown != "" || lines != ""
	confirmed := suspicion(j.sizes || broken || j.changed && !f.Opaque())
	proof := suspicion(!f.Opaque())

	if f.Stored.AllNUL() {
		j.add(manifest.NULFilled, manifest.Proof, func() string {
			return fmt.Sprintf("all %d bytes are NUL", f.Stored.Size)
		})
	} else if n := j.nulTail(broken); n > 0 {
		j.add(manifest.NULTail, confirmed, func() string {
			return fmt.Sprintf("the last %d of %d bytes are NUL", n, f.Stored.Size)
		})
	}
	if truncated != "" {
		j.add(manifest.Truncated, proof, func() string { return truncated })
	}
	if grown != "" {
		j.add(manifest.Grown, proof, func() string { return grown })
	}
	if n := j.nulRun(broken); n > 0 {
		j.add(manifest.NULRun, confirmed, func() string { return fmt.Sprintf("holds %d NULs in a row", n) })
	}
	if lines != "" {
		j.add(manifest.LineCount, manifest.Proof, func() string { return lines })
	}
	if broken {
		j.add(manifest.CompressedCorrupt, manifest.Proof, f.StreamErr.Error)
	}
	if j.changed {
		j.add(manifest.ContentChanged, proof, func() string {
			return "the content differs from what was recorded under this name"
		})
	}
	if !f.Opaque() && !broken && j.v.Unchecked == "" && f.Message.Size > 0 && f.Header.Broken() && !f.Stored.AllNUL() {
		j.add(manifest.HeaderBroken, manifest.Suspicion, f.Header.trouble)
	}
	if j.v.Kind == manifest.NoKind && name != "" {
		j.v.Kind, j.v.Certainty, j.v.Detail = manifest.WrongSizeName, manifest.Proof, name
	}
}

func suspicion(proven bool) manifest.Certainty {
	if proven {
		return manifest.Proof
	}
	return manifest.Suspicion
}

// add adds a kind. The first names the verdict, the others are named in its
// detail.
func (j *judgement) add(k manifest.Kind, c manifest.Certainty, detail func() string) {
	if j.v.Kind == manifest.NoKind {
		j.v.Kind, j.v.Certainty, j.v.Detail = k, c, detail()
		return
	}
	j.v.Also = append(j.v.Also, k)
	j.v.Detail += "; also " + k.String() + ": " + detail()
}

// record compares with what was recorded.
func (j *judgement) record() {
	f, c := j.f, j.c
	if c.Digest.IsZero() || c.Digest.Alg != f.Stored.Digest.Alg {
		return
	}
	if c.Digest == f.Stored.Digest {
		j.same = true
		return
	}
	// compressed, decompressed or compressed anew since: the same message
	content := c.Plain
	if content.IsZero() {
		content = c.Digest
	}
	switch {
	case f.StreamErr == nil && !f.Opaque() && f.Message.Digest == content:
		j.same = true
	case !f.Converted.IsZero() && f.Converted == content:
		j.same = true
	case j.v.Unchecked != "":
	default:
		j.changed = true
	}
}

// whole returns the message whose sizes S= and W= speak of.
func (j *judgement) whole() (*Content, bool) {
	return &j.f.Message, !j.f.Opaque() && j.f.StreamErr == nil
}

// claimedS returns the size that the name, else the uidlist, claims.
func (c *Claim) claimedS() (int64, string, bool) {
	switch {
	case c.HasS:
		return c.S, "the name", true
	case c.HasListS:
		return c.ListS, "the UID list", true
	}
	return 0, "", false
}

// claimedW returns the virtual size that the name, else the uidlist, claims.
func (c *Claim) claimedW() (int64, bool) {
	if c.HasW {
		return c.W, true
	}
	return c.ListW, c.HasListW
}

func claimed(c *Claim) string {
	if s, who, ok := c.claimedS(); ok && s != 0 {
		return fmt.Sprintf(", %s says S=%d", who, s)
	}
	if c.HasSize && c.Size != 0 {
		return fmt.Sprintf(", %d bytes were recorded", c.Size)
	}
	return ""
}

// size compares sizes. At most one of the three is not empty; wrong says why the
// name is wrong while the message is not.
func (j *judgement) size() (truncated, grown, wrong string) {
	f, c := j.f, j.c
	if m, ok := j.whole(); ok {
		if s, who, claimed := c.claimedS(); claimed && s != m.Size {
			detail := fmt.Sprintf("%d bytes%s, but %s says S=%d", m.Size, decompressed(f), who, s)
			w, hasW := c.claimedW()
			switch {
			case j.same:
				return "", "", detail + "; the content is what was recorded"
			case hasW && (m.Size == w || m.Size+m.Lines.Bare() == w):
				return "", "", detail + "; its line ends were converted"
			case f.Encoding.Compressed() && s == f.Stored.Size:
				return "", "", detail + ", the compressed size" // written by something other than a server
			case m.Size < s:
				return detail, "", ""
			default:
				return "", detail, ""
			}
		}
	}
	// A recorded size says nothing once the file was compressed otherwise.
	if !c.HasSize || j.same || f.Encoding.Compressed() && f.StreamErr == nil && c.Digest.IsZero() {
		return "", "", ""
	}
	detail := fmt.Sprintf("%d bytes, but %d were recorded", f.Stored.Size, c.Size)
	switch {
	case f.Stored.Size < c.Size:
		return detail, "", ""
	case f.Stored.Size > c.Size:
		return "", detail, ""
	}
	return "", "", ""
}

func decompressed(f *Facts) string {
	if f.Encoding.Compressed() {
		return " decompressed"
	}
	return ""
}

// lineCount compares the number of bare LFs with W= minus S=.
func (j *judgement) lineCount() string {
	m, ok := j.whole()
	w, hasW := j.c.claimedW()
	if !ok || !hasW || j.same {
		return ""
	}
	bare := m.Lines.Bare()
	s, who, hasS := j.c.claimedS()
	if !hasS {
		if m.Size+bare == w {
			return ""
		}
		return fmt.Sprintf("%d bytes and %d bare line ends, but W=%d", m.Size, bare, w)
	}
	if w < s || m.Size == w || m.Size+bare == w {
		return "" // no server writes W < S; converted line ends are a matter of the name
	}
	if bare == w-s {
		return ""
	}
	return fmt.Sprintf("%d bare line ends, but %s says W - S = %d", bare, who, w-s)
}

// nulTail returns the length of a damaged tail, 0 where there is none. A sound
// compressed file may well end in a NUL or two (the size at the end of gzip),
// so that there only a broken stream or a long run counts.
func (j *judgement) nulTail(broken bool) int64 {
	s := &j.f.Stored
	if j.f.Encoding == Plain || broken {
		if s.TailDamaged() {
			return s.NULTail
		}
		return 0
	}
	if j.f.Encoding.Compressed() && j.f.StreamErr == nil {
		if m := &j.f.Message; m.TailDamaged() {
			return m.NULTail // damaged before it was compressed
		}
		return 0
	}
	if s.NULTail >= MinNULRun {
		return s.NULTail
	}
	return 0
}

// nulRun returns the length of a run of NULs that is not the tail.
func (j *judgement) nulRun(broken bool) int64 {
	s := &j.f.Stored
	if j.f.Encoding.Compressed() && !broken {
		s = &j.f.Message
	}
	if s.AllNUL() || s.NULRun <= s.NULTail {
		return 0
	}
	return s.NULRun
}

// trouble says what is wrong with a broken header.
func (h Header) trouble() string {
	if !h.Field {
		return "it does not begin with a header field"
	}
	return "it ends in the middle of its header"
}
