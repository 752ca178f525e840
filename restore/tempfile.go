package restore

import (
	"fmt"
	"os"
)

// TempFile makes a temporary file that has no name any more, for what does not
// fit in memory: whatever ends the process, no mail is left behind.
func TempFile() (*os.File, error) {
	f, err := os.CreateTemp("", "mailsync-*")
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	return f, nil
}
