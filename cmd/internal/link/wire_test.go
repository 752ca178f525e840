package link

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// What passes takes the way's time, and arrives; what the way loses does not.
func TestWire(t *testing.T) {
	w, err := NewWire(Way{Delay: 15 * time.Millisecond})
	if errors.Is(err, ErrNoWire) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var near, far net.PacketConn
	err = errors.Join(
		within(w.near.path(), func() (err error) { near, err = net.ListenPacket("udp4", NearAddr+":0"); return err }),
		within(w.far.path(), func() (err error) { far, err = net.ListenPacket("udp4", FarAddr+":0"); return err }))
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	defer far.Close()
	send := func(word string) {
		if _, err := near.WriteTo([]byte(word), far.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 2000)
	hear := func(wait time.Duration) (string, error) {
		if err := far.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		n, _, err := far.ReadFrom(buf)
		return string(buf[:n]), err
	}
	began := time.Now()
	send("first")
	if word, err := hear(time.Minute); word != "first" || err != nil {
		t.Fatal(word, err)
	}
	if took := time.Since(began); took < 15*time.Millisecond {
		t.Errorf("there after %s", took)
	}
	w.Set(Way{Loss: 1})
	send("lost")
	if word, err := hear(50 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(word, err)
	}
	w.Set(Way{})
	send("last")
	if word, err := hear(time.Minute); word != "last" || err != nil {
		t.Error(word, err)
	}
	if in, out := w.Bytes(); in < 0 || out < int64(len("firstlast")) {
		t.Errorf("%d bytes came, %d went", in, out)
	}
}

// A line carries what its rate allows, and what waits for it is known.
func TestPace(t *testing.T) {
	var p pace
	now := time.Unix(1000, 0)
	if d := p.take(now, 1000, 1_000_000).Sub(now); d != 0 { // a line that was idle makes up for a late sleeper
		t.Errorf("1,000 bytes after %s", d)
	}
	if d := p.take(now, 9000, 1_000_000).Sub(now); d != 10*time.Millisecond-slack {
		t.Errorf("9,000 bytes more after %s", d)
	}
	if n := p.ahead(now, 1_000_000); n != 8000 {
		t.Errorf("%d bytes wait", n)
	}
	if n := p.ahead(now.Add(time.Second), 1_000_000); n != 0 {
		t.Errorf("%d bytes wait a second later", n)
	}
}
