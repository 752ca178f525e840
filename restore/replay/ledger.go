package replay

// Ledger remembers, over runs and kills, what was delivered into which mailbox.
type Ledger struct{}

// OpenLedger opens or creates the ledger of one target store below dir. With
// readOnly nothing is created or written.
func OpenLedger(dir, target string, readOnly bool) (*Ledger, error) { return &Ledger{}, nil }

// Close closes the ledger.
func (l *Ledger) Close() error { return nil }
