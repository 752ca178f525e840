package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"mailsync/scan/message"
)

// maxLogLine is the longest line of a mail log that is looked at. No line that
// says something of a message is that long.
const maxLogLine = 64 << 10

// eachLogLine reads a mail log, compressed or not, line by line. Longer lines
// than maxLogLine are left out; the last one may lack its line end. It ends
// with the error of tell, of the file, or the cause of a cancelled context.
func eachLogLine(ctx context.Context, name string, tell func(line string) error) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("delivery log: %w", err)
	}
	defer f.Close()
	z, _, err := message.Decompress(f, message.Limits{})
	if err != nil {
		return fmt.Errorf("delivery log %s: %w", name, err)
	}
	defer z.Close()
	r := bufio.NewReaderSize(z, maxLogLine)
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.ReadSlice('\n')
			}
			line = nil
		}
		if len(line) > 0 {
			if err := tell(string(line)); err != nil {
				return err
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("delivery log %s: %w", name, err)
		}
	}
}
