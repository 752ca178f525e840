//go:build ssh

package ssh

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// link is what lies between two hosts.
type link struct {
	delay time.Duration // each way
	rate  int64         // bytes a second, each way; 0 = no limit
	cut   int64         // breaks after so many bytes towards the caller; 0 = never
	kill  string        // file with the process to kill there, instead; "" = the link breaks
	count string        // file that receives the bytes of both ways at the end
	busy  string        // file to hold a lock of until then
}

func (l link) args(addr string) []string {
	return []string{addr, l.delay.String(), strconv.FormatInt(l.rate, 10), strconv.FormatInt(l.cut, 10), cmp.Or(l.kill, "-"), l.count, l.busy}
}

// relay joins standard input and output with a server, as a ProxyCommand does.
func relay(args []string) error {
	if len(args) != 7 {
		return fmt.Errorf("relay takes 7 arguments, not %d", len(args))
	}
	// ssh ends its ProxyCommand by a signal.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGHUP, syscall.SIGTERM)
	busy, err := os.OpenFile(args[6], os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer busy.Close()
	if err := syscall.Flock(int(busy.Fd()), syscall.LOCK_SH); err != nil {
		return err
	}
	delay, err1 := time.ParseDuration(args[1])
	rate, err2 := strconv.ParseInt(args[2], 10, 64)
	cut, err3 := strconv.ParseInt(args[3], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	conn, err := net.Dial("tcp", args[0])
	if err != nil {
		return err
	}
	var in, out atomic.Int64
	ended := make(chan struct{}, 2)
	go func() {
		carry(conn, os.Stdin, delay, rate, 0, &out, nil)
		_ = conn.(*net.TCPConn).CloseWrite()
		ended <- struct{}{}
	}()
	var instead func()
	if args[4] != "-" {
		instead = sync.OnceFunc(func() { kill(args[4]) })
	}
	go func() {
		carry(os.Stdout, conn, delay, rate, cut, &in, instead)
		_ = os.Stdout.Close()
		ended <- struct{}{}
	}()
	select {
	case <-ended:
	case <-stop:
	}
	part := args[5] + ".new"
	if err := os.WriteFile(part, fmt.Appendf(nil, "%d %d\n", in.Load(), out.Load()), 0o600); err != nil {
		return err
	}
	return os.Rename(part, args[5])
}

// kill kills the process that a file names. Its number is there before it says
// anything over the link, or is about to be.
func kill(file string) {
	for range 200 {
		p, err := os.ReadFile(file)
		if pid, perr := strconv.Atoi(strings.TrimSpace(string(p))); err == nil && perr == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// parcel is what has been read, and when it arrives.
type parcel struct {
	p  []byte
	at time.Time
}

// slack is how much of the link's time may be made up for.
const slack = 20 * time.Millisecond

// carry takes bytes from one end to the other, later and no faster than the
// link allows. Where it would break, instead is done, if it is anything.
func carry(to io.Writer, from io.Reader, delay time.Duration, rate, cut int64, count *atomic.Int64, instead func()) {
	way := make(chan parcel, 4096)
	go func() {
		defer close(way)
		free := time.Now() // when the link can take the next byte
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			if n > 0 {
				// A sleep that was too long is made up for.
				if late := time.Now().Add(-slack); free.Before(late) {
					free = late
				}
				if rate > 0 {
					free = free.Add(time.Duration(int64(n) * int64(time.Second) / rate))
				}
				way <- parcel{buf[:n], free.Add(delay)}
				if wait := time.Until(free); wait > 0 {
					time.Sleep(wait)
				}
			}
			if err != nil {
				return
			}
		}
	}()
	for x := range way {
		time.Sleep(time.Until(x.at))
		if cut > 0 && count.Load()+int64(len(x.p)) > cut {
			if instead == nil {
				return
			}
			instead()
		}
		if _, err := to.Write(x.p); err != nil {
			return
		}
		count.Add(int64(len(x.p)))
	}
}
