package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mailsync/cmd/mailsync/sign"
)

// passwordVariable is the one of mailsync itself.
const passwordVariable = "MAILSYNC_SIGNING_PASSWORD"

// signed signs the checksums, and says so; without a key it says that loudly. By
// its sums the one signature is one of everything in the directory.
func signed(dir, version, key string) error {
	file := filepath.Join(dir, sumsName)
	if key == "" {
		fmt.Fprintf(os.Stderr, "\n*** NOT SIGNED: %s has no signature. Whoever gets these files cannot tell\n*** who made them. To sign: make dist KEY=FILE (a key of minisign -G)\n\n", file)
		return nil
	}
	signer, err := sign.NewSigner(key, os.Getenv(passwordVariable))
	if err != nil {
		return err
	}
	if strings.HasSuffix(version, "-dirty") {
		return fmt.Errorf("not signed: the tree has changes that no commit holds (%s)", version)
	}
	if err := signer.Sign(file, "mailsync "+version+", the sums of all files of this release"); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "signed: %s\n", file+sign.Suffix)
	return nil
}
