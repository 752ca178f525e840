package lmtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/time/rate"

	"mailsync/manifest"
	"mailsync/restore/replay"
)

// session is one connection to the server; it is made when it is needed.
type session struct {
	target Target
	host   string // our name
	limit  *rate.Limiter
	c      *smtp.Client
}

// letter is one message for one recipient.
type letter struct {
	from, to string // as path writes them; "" is the null sender
	size     int64
	digest   manifest.Digest
	open     func() (io.ReadCloser, error)
}

// answer is what became of it.
type answer struct {
	state replay.SentState
	text  string // of the server, or why there is none
	down  bool   // no connection could be made
}

func (s *session) close() {
	if s.c != nil {
		_ = s.c.Quit()  // a courtesy
		_ = s.c.Close() // whatever became of it
		s.c = nil
	}
}

// drop ends a connection in the middle: what was not finished is void.
func (s *session) drop() {
	if s.c != nil {
		_ = s.c.Close() // nothing more is expected of it
		s.c = nil
	}
}

func (s *session) connect(ctx context.Context) error {
	if s.c != nil {
		return nil
	}
	conn, err := s.target.dial(ctx)
	if err != nil {
		return err
	}
	c := smtp.NewClientLMTP(conn)
	c.CommandTimeout, c.SubmissionTimeout = time.Minute, 5*time.Minute
	if err := c.Hello(s.host); err != nil {
		_ = c.Close() // its greeting failed already
		return err
	}
	s.c = c
	return nil
}

// send makes one transaction. A connection that was idle may be gone: then one
// more is tried.
func (s *session) send(ctx context.Context, l *letter) answer {
	old := s.c != nil
	if err := s.connect(ctx); err != nil {
		s.drop()
		return answer{state: replay.SentTemporary, text: err.Error(), down: true}
	}
	a, begun := s.transact(ctx, l)
	if a.state == replay.SentTemporary && s.c == nil && old && !begun {
		return s.send(ctx, l)
	}
	return a
}

// transact sends one message over a connection. begun tells that the server
// had anything of it.
func (s *session) transact(ctx context.Context, l *letter) (a answer, begun bool) {
	if err := s.c.Mail(l.from, &smtp.MailOptions{Size: l.size}); err != nil {
		return s.refused(err), false
	}
	if err := s.c.Rcpt(l.to, nil); err != nil {
		return s.refused(err), true
	}
	data, err := s.c.Data()
	if err != nil {
		return s.refused(err), true
	}
	sum := l.digest.Alg.New()
	if err := s.copy(ctx, l, sum, data); err != nil {
		s.drop() // before the final dot: the server has nothing
		var bad *sourceError
		if errors.As(err, &bad) {
			return answer{state: replay.SentWithdrawn, text: err.Error()}, true
		}
		if ctx.Err() != nil {
			return answer{state: replay.SentWithdrawn, text: "interrupted"}, true
		}
		return answer{state: replay.SentTemporary, text: err.Error()}, true
	}
	resp, err := data.CloseWithLMTPResponse()
	var each smtp.LMTPDataError
	switch {
	case err == nil:
		text := ""
		if r := resp[l.to]; r != nil {
			text = r.StatusText
		}
		return answer{state: replay.SentAccepted, text: text}, true
	case errors.As(err, &each) && each[l.to] != nil:
		return s.refused(each[l.to]), true
	}
	s.drop()
	return answer{state: replay.SentUnknown, text: err.Error()}, true
}

// sourceError says that the message itself could not be had as planned.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// copy sends the bytes, and checks them before the message is ended.
func (s *session) copy(ctx context.Context, l *letter, sum hash.Hash, w io.Writer) error {
	r, err := l.open()
	if err != nil {
		return &sourceError{err}
	}
	defer r.Close()
	out := &lines{w: w}
	buf := make([]byte, 32<<10)
	var n int64
	for {
		k, err := r.Read(buf)
		if k > 0 {
			n += int64(k)
			sum.Write(buf[:k])
			if s.limit != nil {
				if err := s.limit.WaitN(ctx, k); err != nil {
					return err
				}
			}
			if _, err := out.Write(buf[:k]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return &sourceError{err}
		}
	}
	if n != l.size || !bytes.Equal(sum.Sum(nil), l.digest.Sum[:]) {
		return &sourceError{errors.New("the archived message is not the one that was planned: nothing was delivered")}
	}
	return nil
}

// refused reads the server's answer to a command, and makes the connection
// ready for the next message.
func (s *session) refused(err error) answer {
	var no *smtp.SMTPError
	if !errors.As(err, &no) {
		s.drop()
		return answer{state: replay.SentTemporary, text: "the connection ended: " + err.Error()}
	}
	if s.c.Reset() != nil {
		s.drop()
	}
	text := fmt.Sprintf("%d %s", no.Code, strings.ReplaceAll(no.Message, "\n", " "))
	if no.Code >= 500 {
		return answer{state: replay.SentRefused, text: text}
	}
	return answer{state: replay.SentTemporary, text: text}
}
