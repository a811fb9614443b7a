// Package questdbtest runs a real QuestDB server for tests.
package questdbtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is a QuestDB server on loopback, with its data in a directory of its
// own.
type Server struct {
	// HTTP and PG are host:port of ILP over HTTP and of the PostgreSQL protocol.
	HTTP, PG string
	// Root holds the server's data.
	Root string

	jar, health string
	cmd         *exec.Cmd
	exited      chan struct{}
}

// startWithin bounds a start: after a kill under load a server replays what it
// had applied, which was seen to take 16 s, and many times that beside other work.
const startWithin = 5 * time.Minute

// Start starts a server that ends with the test. Where it cannot be had (no Java,
// no Maven, no network) the test is skipped with the reason, or fails when
// MARKETPRISM_REQUIRE_SERVERS is 1.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartIn(t, t.TempDir())
}

// StartIn is Start with the server's data in a directory.
func StartIn(t testing.TB, root string) *Server {
	t.Helper()
	s, err := New(t.Context(), root)
	if err != nil {
		if os.Getenv("MARKETPRISM_REQUIRE_SERVERS") == "1" {
			t.Fatalf("no QuestDB server: %v", err)
		}
		t.Skipf("NOT TESTED AGAINST QUESTDB: %v", err)
	}
	t.Cleanup(s.Kill)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// New prepares a server with its data in root; Run starts it, and Kill ends it. The
// error says that it cannot be had.
func New(ctx context.Context, root string) (*Server, error) {
	jar, err := fetch(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{Root: root, jar: jar}
	ports, err := free(3)
	if err != nil {
		return nil, err
	}
	s.HTTP, s.PG, s.health = ports[0], ports[1], ports[2]
	return s, s.configure()
}

// fetch is the path of the server's jar.
func fetch(ctx context.Context) (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("java is not installed: %w", err)
	}
	_, here, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(here), "..", "..", "..", ".ci", "questdb")
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

func (s *Server) configure() error {
	for _, dir := range []string{"conf", "db", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.Root, dir), 0o755); err != nil {
			return err
		}
	}
	conf := fmt.Sprintf(`http.bind.to=%s
pg.net.bind.to=%s
http.min.net.bind.to=%s
line.tcp.enabled=false
line.udp.enabled=false
line.auto.create.new.tables=false
line.auto.create.new.columns=false
metrics.enabled=true
telemetry.enabled=false
cairo.writer.data.append.page.size=1M
cairo.o3.column.memory.size=128K
shared.worker.count=2
dev.mode.enabled=true
`, s.HTTP, s.PG, s.health)
	return os.WriteFile(filepath.Join(s.Root, "conf", "server.conf"), []byte(conf), 0o644)
}

// Run starts the server on its data, and returns when it answers.
func (s *Server) Run(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(s.Root, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has its own handle
	// Not bound to ctx: the server ends by Kill.
	// The libraries that it unpacks stay when it is killed: they go with its directory.
	s.cmd = exec.Command("java", "-Xmx1g", "-XX:+UseParallelGC", "-Djava.io.tmpdir="+filepath.Join(s.Root, "tmp"),
		"-XX:-UsePerfData", "-p", s.jar, "-m", "io.questdb/io.questdb.ServerMain", "-d", s.Root)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Dir = s.Root // where Java writes what it has to say of its own end
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("starting QuestDB: %w", err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait() // a kill is how it ends
		close(exited)
	}(s.cmd, s.exited)
	return s.ready(ctx)
}

// ready polls the server, which is another process, until it answers.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers(ctx, "http://"+s.health+"/", http.StatusOK) && answers(ctx, "http://"+s.HTTP+"/ping", http.StatusNoContent) {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("QuestDB ended at once:\n%s", s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("QuestDB does not answer: %w\n%s", ctx.Err(), s.logTail())
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, url string, status int) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == status
}

func (s *Server) logTail() string {
	text, err := os.ReadFile(filepath.Join(s.Root, "server.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// Kill ends the server at once, as a crash would; it may be called again.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended already
	<-s.exited
	s.cmd = nil
}

// Freeze stops the server in the middle of whatever it does, as a machine that
// swaps, or a collection of garbage, would; its sockets stay open. Kill ends it all
// the same.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw has a frozen server go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(which syscall.Signal) {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(which) // it may have ended
	}
}

// Ended says whether the server has ended by itself.
func (s *Server) Ended() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// free finds loopback addresses for a program that binds them a moment later.
func free(n int) ([]string, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close() // only to be free again
		}
	}()
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		held = append(held, l)
		out = append(out, l.Addr().String())
	}
	return out, nil
}
