package replay

import (
	"bufio"
	"bytes"
	"testing"
)

// FuzzSpool: records of spools and ledgers are read back whole, or refused.
func FuzzSpool(f *testing.F) {
	d := delivered{mailbox: "anna@example.org", at: 1_700_000_000, run: "20261124-100000.000-abcdef01", state: SentDelivered, recipient: "anna@example.org", answer: "250 2.0.0 Saved"}
	f.Add(d.encode())
	f.Add([]byte("\x05hello\x00"))
	f.Add([]byte("\xff\xff\xff\xff\x7f"))
	f.Add([]byte("\xff\xff\xff\x1f" + "a claim of 64 MiB"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if d, err := decodeDelivered(data); err == nil {
			again, err := decodeDelivered(d.encode())
			if err != nil || again != d {
				t.Fatalf("%+v\n%+v\n%v", d, again, err)
			}
		}
		_, _ = decodeFinding(data)
		r := bufio.NewReader(bytes.NewReader(data))
		total := 0
		for buf := []byte(nil); ; {
			var err error
			if buf, err = readRecord(r, buf); err != nil {
				break
			}
			if total += len(buf); total > len(data) {
				t.Fatalf("%d bytes of records in %d", total, len(data))
			}
		}
	})
}
