package replay

// Maps configures the Resolver that reads the operator's own maps.
type Maps struct {
	Delimiter          string   // set of characters that start an address extension; "" = none
	KeepCase           bool     // do not fold local parts
	Domains            []string // domains that are local: their addresses are looked up by local part too
	Virtual            []string // files: Postfix virtual(5), text form
	Aliases            []string // files: aliases(5)
	VirtualMailbox     []string // files: virtual_mailbox_maps
	VirtualMailboxBase string   // directory the results are relative to
	PasswdFiles        []string // files: Dovecot passwd-file
	Command            []string // asked in bulk: addresses on stdin, "address<TAB>mailbox" lines on stdout
	Unpropagated       bool     // propagate_unmatched_extensions is empty: extensions are dropped

	// Mailboxes are the names of the target store's mailboxes; an address whose
	// name is among them leads there.
	Mailboxes Names
	// At names the mailbox whose Maildir is at an absolute path; "" = none.
	At func(path string) string
}

// Names is a set of mailbox names.
type Names interface {
	// Find returns the store's spelling of a mailbox name, compared without
	// regard to case where fold is set.
	Find(name string, fold bool) (string, bool)
}

// NewResolver reads the maps.
func NewResolver(m Maps) (Resolver, error) { return nil, ErrOptions }
