package link

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Server is an OpenSSH server with keys and a configuration of its own.
type Server struct {
	Addr string // host:port
	dir  string
	cmd  *exec.Cmd
	log  *os.File
}

// ServerOptions say what a Server is.
type ServerOptions struct {
	Dir     string   // for its keys and files, which exists
	Keys    []string // lines of authorized_keys before the key: options, or nothing; each has a key of its own
	On      []string // what to put before the command, as Wire.Far; nil = this host
	Address string   // to listen on; "" = the loopback address
	Probe   []string // what to put before a command that looks whether it is up, as Wire.Near
}

// Programs are those that a Server and its callers need.
var Programs = []string{"ssh", "sshd", "ssh-keygen"}

// Look finds a program, in sbin, too.
func Look(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p, nil
		}
	}
	return "", err
}

// Start starts a server and waits until it answers.
func Start(o ServerOptions) (*Server, error) {
	s := &Server{dir: o.Dir}
	sshd, err := Look("sshd")
	if err != nil {
		return nil, err
	}
	names := []string{"host"}
	for i := range o.Keys {
		names = append(names, s.user(i))
	}
	for _, k := range names {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.dir, k)).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, bytes.TrimSpace(out))
		}
	}
	var authorized []byte
	for i, options := range o.Keys {
		pub, err := os.ReadFile(filepath.Join(s.dir, s.user(i)+".pub"))
		if err != nil {
			return nil, err
		}
		authorized = fmt.Appendf(authorized, "%s %s", options, pub)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "authorized_keys"), authorized, 0o600); err != nil {
		return nil, err
	}
	if s.Addr, err = listenOn(o.Address); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf("ListenAddress %s\nPort %s\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\nLogLevel ERROR\nUseDNS no\n",
		host, port, filepath.Join(s.dir, "host"), filepath.Join(s.dir, "authorized_keys"))
	if err := os.WriteFile(filepath.Join(s.dir, "sshd_config"), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 { // sshd(8): its unprivileged part lives there
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return nil, err
		}
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "sshd.log")); err != nil {
		return nil, err
	}
	line := append(append([]string{}, o.On...), sshd, "-D", "-e", "-f", filepath.Join(s.dir, "sshd_config"))
	s.cmd = exec.Command(line[0], line[1:]...)
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		_ = s.log.Close()
		return nil, err
	}
	if err := s.await(o.Probe); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// listenOn returns an address that nobody listens on. A host of its own has all
// ports free.
func listenOn(address string) (string, error) {
	if address != "" {
		return net.JoinHostPort(address, "22"), nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await waits until the server answers.
func (s *Server) await(probe []string) error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	line := append(append([]string{}, probe...), "ssh-keyscan", "-T", "1", "-t", "ed25519", "-p", port, host)
	for range 200 {
		if out, err := exec.Command(line[0], line[1:]...).Output(); err == nil && len(out) > 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	said, _ := os.ReadFile(filepath.Join(s.dir, "sshd.log"))
	return fmt.Errorf("sshd does not come up: %s", bytes.TrimSpace(said))
}

// Close ends the server.
func (s *Server) Close() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	_ = s.log.Close()
}

func (s *Server) user(key int) string { return fmt.Sprintf("user%d", key) }

// Client writes the configuration of a client that reaches the server as host,
// with one of the keys, and returns the words that start ssh with it. proxy is
// its ProxyCommand, or nothing.
func (s *Server) Client(host string, key int, proxy []string, more ...string) ([]string, error) {
	addr, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return nil, err
	}
	pub, err := os.ReadFile(filepath.Join(s.dir, "host.pub"))
	if err != nil {
		return nil, err
	}
	known := filepath.Join(s.dir, "known_hosts."+host)
	if err := os.WriteFile(known, fmt.Appendf(nil, "%s %s", host, pub), 0o600); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf("Host %s\nHostName %s\nPort %s\nHostKeyAlias %s\nIdentityFile %s\nIdentitiesOnly yes\nUserKnownHostsFile %s\nBatchMode yes\nLogLevel ERROR\n",
		host, addr, port, host, filepath.Join(s.dir, s.user(key)), known)
	if len(proxy) > 0 {
		conf += "ProxyCommand " + strings.Join(proxy, " ") + "\n"
	}
	for _, m := range more {
		conf += m + "\n"
	}
	file := filepath.Join(s.dir, fmt.Sprintf("ssh_config.%s.%d", host, key))
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return []string{"ssh", "-F", file}, nil
}
