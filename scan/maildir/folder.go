package maildir

// FolderNames translates between directories below a mailbox' root and folder
// names, for one layout and one way of writing non-ASCII names.
type FolderNames struct {
	Layout Layout
	UTF8   bool
}

// Folder returns the name of the folder in dir, a directory relative to the
// root as raw bytes ("" = INBOX). ok is false where dir is no folder. Names
// that cannot be decoded are kept recognisably: the level begins with U+FFFD
// and holds the raw bytes, %XX-escaped. Every directory has a name of its own,
// and Dir gives the directory back.
func (f FolderNames) Folder(dir string) (name string, ok bool) { return "", false }

// Dir returns the directory of a folder relative to the root, raw bytes.
func (f FolderNames) Dir(name string) (string, error) { return "", nil }

// EncodeMUTF7 encodes UTF-8 in the modified UTF-7 of RFC 3501 §5.1.3. Bytes
// that are not UTF-8 make it fail.
func EncodeMUTF7(s string) (string, bool) { return "", false }

// DecodeMUTF7 decodes modified UTF-7. ok is false where s is not what EncodeMUTF7
// makes of any string.
func DecodeMUTF7(s string) (string, bool) { return "", false }
