package link

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

// Relay is a way for the bytes of one connection.
type Relay struct {
	Delay time.Duration // each way
	Rate  int64         // bytes a second, each way; 0 = no limit
	Cut   int64         // breaks after so many bytes towards the caller; 0 = never
	Kill  string        // file with the process to kill there, instead; "" = the way breaks
	Stall time.Duration // how long nothing passes there, instead; 0 = it breaks
	Count string        // file that receives the bytes of both ways at the end; "" = none
	Busy  string        // file to hold a lock of until then; "" = none
}

// Args are those of a process that calls RelayMain, to reach addr.
func (r Relay) Args(addr string) []string {
	return []string{
		addr, r.Delay.String(), strconv.FormatInt(r.Rate, 10), strconv.FormatInt(r.Cut, 10),
		cmp.Or(r.Kill, "-"), r.Stall.String(), cmp.Or(r.Count, "-"), cmp.Or(r.Busy, "-"),
	}
}

func parseRelay(args []string) (addr string, r Relay, err error) {
	if len(args) != 8 {
		return "", r, fmt.Errorf("a relay takes 8 arguments, not %d", len(args))
	}
	var errs [4]error
	r.Delay, errs[0] = time.ParseDuration(args[1])
	r.Rate, errs[1] = strconv.ParseInt(args[2], 10, 64)
	r.Cut, errs[2] = strconv.ParseInt(args[3], 10, 64)
	r.Stall, errs[3] = time.ParseDuration(args[5])
	none := func(s string) string {
		if s == "-" {
			return ""
		}
		return s
	}
	r.Kill, r.Count, r.Busy = none(args[4]), none(args[6]), none(args[7])
	return args[0], r, errors.Join(errs[:]...)
}

// RelayMain joins standard input and output with a server, as a ProxyCommand
// does.
func RelayMain(args []string) error {
	addr, r, err := parseRelay(args)
	if err != nil {
		return err
	}
	// ssh ends its ProxyCommand by a signal.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGHUP, syscall.SIGTERM)
	if r.Busy != "" {
		busy, err := os.OpenFile(r.Busy, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		defer busy.Close()
		if err := syscall.Flock(int(busy.Fd()), syscall.LOCK_SH); err != nil {
			return err
		}
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	var in, out atomic.Int64
	ended := make(chan struct{}, 2)
	go func() {
		r.carry(conn, os.Stdin, 0, &out)
		_ = conn.(*net.TCPConn).CloseWrite()
		ended <- struct{}{}
	}()
	go func() {
		r.carry(os.Stdout, conn, r.Cut, &in)
		_ = os.Stdout.Close()
		ended <- struct{}{}
	}()
	select {
	case <-ended:
	case <-stop:
	}
	if r.Count == "" {
		return nil
	}
	part := r.Count + ".new"
	if err := os.WriteFile(part, fmt.Appendf(nil, "%d %d\n", in.Load(), out.Load()), 0o600); err != nil {
		return err
	}
	return os.Rename(part, r.Count)
}

// kill kills the process that a file names. Its number is there before it says
// anything over the way, or is about to be.
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

// carry takes bytes from one end to the other, later and no faster than the way
// allows. After cut of them, what the relay is for happens.
func (r *Relay) carry(to io.Writer, from io.Reader, cut int64, count *atomic.Int64) {
	way := make(chan parcel, 4096)
	go func() {
		defer close(way)
		var line pace
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			if n > 0 {
				free := line.take(time.Now(), n, r.Rate)
				way <- parcel{buf[:n], free.Add(r.Delay)}
				if wait := time.Until(free); wait > 0 {
					time.Sleep(wait)
				}
			}
			if err != nil {
				return
			}
		}
	}()
	trouble := sync.OnceFunc(func() {
		if r.Kill != "" {
			kill(r.Kill)
			return
		}
		time.Sleep(r.Stall)
	})
	for x := range way {
		time.Sleep(time.Until(x.at))
		if cut > 0 && count.Load()+int64(len(x.p)) > cut {
			if r.Kill == "" && r.Stall == 0 {
				return
			}
			trouble()
		}
		if _, err := to.Write(x.p); err != nil {
			return
		}
		count.Add(int64(len(x.p)))
	}
}
