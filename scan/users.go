package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"mailsync/scan/maildir"
)

// userList is the operator's list of mailboxes, sorted by address.
type userList struct {
	rows []maildir.User
}

func (u *userList) path(address string) (string, bool) {
	i, ok := slices.BinarySearchFunc(u.rows, address, func(r maildir.User, a string) int { return strings.Compare(r.Address, a) })
	if !ok {
		return "", false
	}
	return u.rows[i].Path, true
}

// userList reads the users list once.
func (s *Scanner) userList(ctx context.Context) (*userList, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users != nil {
		return s.users, nil
	}
	u, err := s.readUsers(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: users list: %w", ErrConfig, err)
	}
	s.users = u
	return u, nil
}

func (s *Scanner) readUsers(ctx context.Context) (*userList, error) {
	var in io.Reader
	if s.cfg.Users != "" {
		f, err := os.Open(s.cfg.Users)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	} else {
		cmd := exec.CommandContext(ctx, s.cfg.UsersCommand[0], s.cfg.UsersCommand[1:]...)
		cmd.WaitDelay = time.Second // what it has started may hold its output open
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) && len(exit.Stderr) > 0 {
				line, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
				return nil, fmt.Errorf("%s: %w: %q", s.cfg.UsersCommand[0], err, line)
			}
			return nil, fmt.Errorf("%s: %w", s.cfg.UsersCommand[0], err)
		}
		in = bytes.NewReader(out)
	}
	u := new(userList)
	for row, err := range maildir.ParseUsers(in) {
		if err != nil {
			return nil, err
		}
		u.rows = append(u.rows, row)
	}
	slices.SortStableFunc(u.rows, func(a, b maildir.User) int { return strings.Compare(a.Address, b.Address) })
	for i := 1; i < len(u.rows); i++ {
		if u.rows[i].Address == u.rows[i-1].Address {
			return nil, fmt.Errorf("lines %d and %d both name %q", u.rows[i-1].Line, u.rows[i].Line, u.rows[i].Address)
		}
	}
	return u, nil
}

func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
