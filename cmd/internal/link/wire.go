package link

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Way is how bytes get from one host to the other, in each direction alike.
type Way struct {
	Delay time.Duration // each way
	Rate  int64         // bytes a second, headers and all; 0 = no limit
	Loss  float64       // share of the packets that never arrive
}

// The hosts of a Wire.
const (
	NearAddr = "192.0.2.1" // RFC 5737
	FarAddr  = "192.0.2.2"
)

const (
	mtu = 1500
	// queue is how many bytes wait for a busy line before packets are dropped:
	// as many as netem's 1,000 packets.
	queue = 1000 * mtu
)

// Wire joins two hosts, each a network namespace.
type Wire struct {
	near, far *host
	way       atomic.Pointer[Way]
	in, out   atomic.Int64 // bytes of packets towards the near host, and from it
	carried   sync.WaitGroup
}

// host is a network namespace. It lives as long as the process that keeps it,
// which ends with its standard input.
type host struct {
	keeper *exec.Cmd
	life   io.Closer
	dev    *os.File
}

// ErrNoWire: this machine or user can make none.
var ErrNoWire = errors.New("network namespaces need root and /dev/net/tun")

// NewWire joins two new hosts.
func NewWire(way Way) (*Wire, error) {
	if os.Geteuid() != 0 {
		return nil, ErrNoWire
	}
	w := new(Wire)
	w.way.Store(&way)
	var err error
	if w.near, err = newHost(NearAddr, FarAddr); err != nil {
		return nil, err
	}
	if w.far, err = newHost(FarAddr, NearAddr); err != nil {
		w.near.close()
		return nil, err
	}
	w.carried.Go(func() { w.carry(w.near.dev, w.far.dev, &w.in, 1) })
	w.carried.Go(func() { w.carry(w.far.dev, w.near.dev, &w.out, 2) })
	return w, nil
}

// Close takes both hosts away. What runs in them loses its network.
func (w *Wire) Close() {
	w.near.close()
	w.far.close()
	w.carried.Wait()
}

// Set changes the way for packets that are sent from now on.
func (w *Wire) Set(way Way) { w.way.Store(&way) }

// Bytes is what has passed: IP packets that arrived, towards the near host and
// from it.
func (w *Wire) Bytes() (in, out int64) { return w.in.Load(), w.out.Load() }

// Near and Far are what to put before a command that runs on that host.
func (w *Wire) Near() []string { return w.near.enter() }

// Far is the other one.
func (w *Wire) Far() []string { return w.far.enter() }

func (h *host) enter() []string { return []string{"nsenter", "--net=" + h.path(), "--"} }

func (h *host) path() string { return "/proc/" + strconv.Itoa(h.keeper.Process.Pid) + "/ns/net" }

func (h *host) close() {
	if h.dev != nil {
		_ = h.dev.Close()
	}
	_ = h.life.Close()
	_ = h.keeper.Wait()
}

func newHost(addr, peer string) (*host, error) {
	h := &host{keeper: exec.Command("cat")}
	h.keeper.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	var err error
	if h.life, err = h.keeper.StdinPipe(); err != nil {
		return nil, err
	}
	if err := h.keeper.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoWire, err)
	}
	err = within(h.path(), func() (err error) {
		h.dev, err = tun()
		return err
	})
	if err == nil {
		err = h.configure(addr, peer)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *host) configure(addr, peer string) error {
	for _, line := range [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "address", "add", addr, "peer", peer, "dev", device},
		{"ip", "link", "set", device, "mtu", strconv.Itoa(mtu), "up"},
	} {
		line = append(h.enter(), line...)
		if out, err := exec.Command(line[0], line[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%q: %w: %s", line, err, bytes.TrimSpace(out))
		}
	}
	return nil
}

// device is the name of a host's only network device.
const device = "wire"

// within does something in a network namespace. What is opened there belongs to
// the namespace, whoever holds it.
func within(namespace string, do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			ns, err := os.Open(namespace)
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return os.NewSyscallError("setns", err)
			}
			return do()
		}()
	}()
	return <-done
}

func tun() (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoWire, err)
	}
	req, err := unix.NewIfreq(device)
	if err == nil {
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("%w: %w", ErrNoWire, err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// carry takes packets from one host to the other: later, no faster than the way
// allows, and not all of them.
func (w *Wire) carry(to, from *os.File, count *atomic.Int64, seed uint64) {
	chance := rand.New(rand.NewPCG(20261127, seed))
	way := make(chan parcel, 4*queue/mtu)
	defer close(way)
	w.carried.Go(func() {
		for x := range way {
			time.Sleep(time.Until(x.at))
			if _, err := to.Write(x.p); err == nil {
				count.Add(int64(len(x.p)))
			}
		}
	})
	var line pace
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		now, is := time.Now(), w.way.Load()
		if is.Loss > 0 && chance.Float64() < is.Loss || line.ahead(now, is.Rate) > queue {
			continue
		}
		way <- parcel{append([]byte(nil), buf[:n]...), line.take(now, n, is.Rate).Add(is.Delay)}
	}
}
