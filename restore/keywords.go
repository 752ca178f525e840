package restore

import (
	"context"
	"fmt"

	"mailsync/scan/maildir"
)

// keywordLetters translates an action's keywords, adding to the folder's
// table what it lacks, under the server's lock. Names beyond the 26 letters
// are dropped and named in Detail.
func (r *Run) keywordLetters(ctx context.Context, f *folder, t *item) (string, error) {
	names := t.a.Keywords
	if len(names) == 0 {
		return "", nil
	}
	if f.control == nil {
		t.a.Detail = "keywords are not kept: the folder's control directory does not exist"
		return "", nil
	}
	if f.letters == nil {
		table, err := tableOf(f)
		if err != nil {
			return "", fmt.Errorf("the folder's keyword table: %w", err)
		}
		f.letters = table
	}
	letters, missing := f.letters.Letters(names)
	if len(missing) > 0 {
		published, err := r.publishTable(ctx, f)
		if published {
			if f.letters, err = tableOf(f); err == nil {
				letters, missing = f.letters.Letters(names)
			}
		}
		if err != nil {
			return "", fmt.Errorf("the folder's keyword table: %w", err)
		}
	}
	if len(missing) == 0 {
		return letters, nil
	}
	var full []string
	_, _, err := r.lockerOf(f).Rewrite(ctx, f.control, keywordsName, f.own, func(old []byte) ([]byte, error) {
		table, err := maildir.ParseKeywords(bytesReader(old))
		if err != nil {
			return nil, err
		}
		table, full = table.Add(f.names.taken(), missing...)
		f.letters = &table
		if len(full) == len(missing) {
			return nil, nil
		}
		return table.Format(), nil
	})
	if err != nil {
		return "", fmt.Errorf("the folder's keyword table: %w", err)
	}
	if len(full) > 0 {
		t.a.Detail = fmt.Sprintf("keywords that found no letter in the folder's table: %q", full)
	}
	letters, _ = f.letters.Letters(names)
	return letters, nil
}
