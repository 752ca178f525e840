package message

import "mailsync/manifest"

// Claim is what the file's name, the server and the record say about a
// message. The zero value claims nothing.
type Claim struct {
	S, W       int64 // sizes in the file name
	HasS, HasW bool

	ListS, ListW       int64 // sizes in the server's uidlist, for names without
	HasListS, HasListW bool

	// What was recorded of this message when it was last known good. A zero
	// Digest means that nothing was; Size counts only with a Digest or with HasSize.
	Digest  manifest.Digest
	Plain   manifest.Digest // recorded digest of the decompressed content; zero where it is Digest
	Size    int64           // recorded size of the file
	HasSize bool
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
// content_changed are proofs; nul_tail and nul_run are where sizes, line count
// or the record confirm them, and suspicions otherwise; header_broken is a
// suspicion. Where the bytes equal the recorded digest, or the size equals W=
// (line ends were converted), the name is wrong and not the message:
// wrong_size_name.
//
// Without S=, W= and record, only the message itself speaks: empty, NULs,
// stream checks and the header. S= and W= of compressed files speak of the
// decompressed message. Of mail_crypt files only the stored bytes are compared.
func Damage(f *Facts, c *Claim) Verdict { return Verdict{} }
