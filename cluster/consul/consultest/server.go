// Package consultest runs a real Consul agent for tests.
package consultest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a Consul agent on loopback that is its own server and keeps everything in
// memory: started again, it is empty.
type Server struct {
	// HTTP is host:port of its API.
	HTTP string

	security    *Security
	client      *http.Client // of ready
	binary, dir string
	ports       []int // http, server, serf
	cmd         *exec.Cmd
	exited      chan struct{}
}

// Security makes an agent speak TLS with those only who show a certificate, and do
// nothing for anybody without a token.
type Security struct {
	// CAFile, CertFile and KeyFile are PEM files of the agent; its HTTP is HTTPS.
	CAFile, CertFile, KeyFile string
	// Client is how the agent is asked whether it is ready.
	Client *tls.Config
	// Management is the token, a UUID, that may do everything.
	Management string
}

// settings are those of the agent, in its language.
func (s *Security) settings() string {
	return fmt.Sprintf(`
tls { defaults { ca_file = %q, cert_file = %q, key_file = %q, verify_incoming = true, verify_outgoing = true } }
acl { enabled = true, default_policy = "deny", tokens { initial_management = %q, agent = %q } }`,
		s.CAFile, s.CertFile, s.KeyFile, s.Management, s.Management)
}

// startWithin bounds a start.
const startWithin = time.Minute

// Start starts an agent that ends with the test. Where it cannot be had (it is built
// once, from Go modules) the test is skipped with the reason, or fails when
// MARKETPRISM_REQUIRE_SERVERS is 1.
func Start(t testing.TB) *Server {
	t.Helper()
	s := Prepare(t)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// StartSecure is Start of an agent with security.
func StartSecure(t testing.TB, security Security) *Server {
	t.Helper()
	s := Prepare(t)
	s.security, s.client = &security, &http.Client{Transport: &http.Transport{TLSClientConfig: security.Client}}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Prepare is Start of an agent that does not run yet.
func Prepare(t testing.TB) *Server {
	t.Helper()
	binary, err := build(t.Context())
	if err != nil {
		if os.Getenv("MARKETPRISM_REQUIRE_SERVERS") == "1" {
			t.Fatalf("no Consul agent: %v", err)
		}
		t.Skipf("NOT TESTED AGAINST CONSUL: %v", err)
	}
	s := &Server{binary: binary, dir: t.TempDir(), client: http.DefaultClient}
	if s.ports, err = free(3); err != nil {
		t.Fatal(err)
	}
	s.HTTP = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports[0]))
	t.Cleanup(s.Kill)
	return s
}

// build is the path of the agent's binary.
func build(ctx context.Context) (string, error) {
	_, here, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(here), "..", "..", "..", ".ci", "consul")
	out, err := exec.CommandContext(ctx, script).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}

// free are ports that nothing listens on, all at once.
func free(n int) (ports []int, err error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Run starts the agent, and returns when it has elected itself.
func (s *Server) Run(ctx context.Context) error {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the agent has its own handle
	// Not bound to ctx: the agent ends by Kill.
	s.cmd = exec.Command(s.binary, "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-log-level=warn", "-disable-host-node-id",
		s.portFlag()+strconv.Itoa(s.ports[0]), "-server-port="+strconv.Itoa(s.ports[1]), "-serf-lan-port="+strconv.Itoa(s.ports[2]),
		"-serf-wan-port=-1", "-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1", "-hcl", "disable_update_check = true", "-hcl", "connect { enabled = false }")
	if s.security != nil {
		s.cmd.Args = append(s.cmd.Args, "-http-port=-1", "-hcl", s.security.settings())
	}
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("starting Consul: %w", err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // a kill is how it ends
		close(exited)
	}(s.cmd, s.exited)
	return s.ready(ctx)
}

// portFlag says which port is that of the API.
func (s *Server) portFlag() string {
	if s.security != nil {
		return "-https-port="
	}
	return "-http-port="
}

// ready polls the agent, which is another process, until it has a leader and its own
// node is listed.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.elected(ctx) {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the Consul agent ended at once:\n%s", s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("the Consul agent does not answer: %w\n%s", ctx.Err(), s.logTail())
		case <-tick.C:
		}
	}
}

// elected: sessions hang on the check of the node, which comes after the election.
func (s *Server) elected(ctx context.Context) bool {
	scheme := "http://"
	if s.security != nil {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+s.HTTP+"/v1/health/state/passing", nil)
	if err != nil {
		return false
	}
	if s.security != nil {
		req.Header.Set("X-Consul-Token", s.security.Management)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return false
	}
	return resp.StatusCode == http.StatusOK && strings.Contains(body.String(), "serfHealth")
}

func (s *Server) log() string { return filepath.Join(s.dir, "consul.log") }

func (s *Server) logTail() string {
	text, err := os.ReadFile(s.log())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// Kill ends the agent at once, as a crash would; it may be called again.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended already
	<-s.exited
	s.cmd = nil
}

// Freeze stops the agent in the middle of whatever it does; its sockets stay open.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw has a frozen agent go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(which syscall.Signal) {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(which) // it may have ended already
	}
}
