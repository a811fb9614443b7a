package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The services of the program.
const (
	Storage    = "data-storage-service"
	Scheduler  = "scheduler-service"
	Collector  = "market-data-collector"
	Gateway    = "api-gateway-service"
	Monitoring = "monitoring-service"
	Broker     = "message-broker-service"
)

// Services are all of them.
var Services = []string{Broker, Monitoring, Storage, Scheduler, Collector, Gateway}

// Settings are settings by their path, such as "node.data_dir", over those of a
// node under test: every port free, on loopback, no exchange, logs in JSON.
type Settings map[string]any

// Node is one process of the program that runs services on a data directory.
type Node struct {
	Data string // its data directory
	URLs map[string]string

	t      testing.TB
	cmd    *exec.Cmd
	config string
	runs   []string // services
	logs   string   // file of its standard error
	exited chan struct{}
}

// patience is how long a node may take to start, or to stop, on a machine that is
// busy with other tests.
const patience = 90 * time.Second

// Start starts the program on a data directory and waits until every service is
// ready.
func Start(t testing.TB, data string, s Settings, services ...string) *Node {
	t.Helper()
	n := Launch(t, data, s, nil, services...)
	n.AwaitReady()
	return n
}

// Launch starts the program and waits for nothing. Under is a command that runs it,
// such as strace, and must make it its direct child or become it.
func Launch(t testing.TB, data string, s Settings, under []string, services ...string) *Node {
	t.Helper()
	home := t.TempDir()
	if len(services) == 0 {
		services = Services
	}
	n := &Node{Data: data, t: t, runs: services, config: filepath.Join(home, "services.yaml"), logs: filepath.Join(home, "log"), exited: make(chan struct{})}
	WriteConfig(t, n.config, data, s)
	logs, err := os.Create(n.logs)
	if err != nil {
		t.Fatal(err)
	}
	command := append(slices.Clone(under), append([]string{Program(t), "start", "-c", n.config}, services...)...)
	n.cmd = exec.Command(command[0], command[1:]...)
	n.cmd.Stdout, n.cmd.Stderr = logs, logs
	n.cmd.Dir = home
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := logs.Close(); err != nil { // the process has its own
		t.Error(err)
	}
	go func() {
		defer close(n.exited)
		// What it ended with is in ProcessState.
		_ = n.cmd.Wait()
	}()
	t.Cleanup(func() {
		n.Kill()
		if t.Failed() {
			t.Logf("the log of process %d, without requests, ends:\n%s", n.PID(), tail(n.shortLog(), 25))
		}
		n.keepLog()
	})
	return n
}

// keepLog copies the whole log into the directory that MARKETPRISM_LOGS names, if it does,
// also of tests that pass.
func (n *Node) keepLog() {
	dir := os.Getenv("MARKETPRISM_LOGS")
	if dir == "" {
		return
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%d.log", strings.ReplaceAll(n.t.Name(), "/", "-"), n.PID()))
	text, err := os.ReadFile(n.logs)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		n.t.Logf("its log is not kept: %v", err)
		return
	}
	n.t.Logf("all of it: %s", path)
}

// WriteConfig writes the services.yaml of a node under test.
func WriteConfig(t testing.TB, path, data string, s Settings) {
	t.Helper()
	all := Settings{
		"node.data_dir": data, "node.listen": "127.0.0.1", "log.format": "json",
		Broker + ".nats.port": 0, Collector + ".exchanges": []string{}, "cluster.remoting.port": 0,
	}
	for _, name := range Services {
		all[name+".port"] = 0
	}
	maps.Copy(all, s)
	tree := map[string]any{}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		parts := strings.Split(path, ".")
		at := tree
		for _, p := range parts[:len(parts)-1] {
			next, ok := at[p].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[p] = next
			}
			at = next
		}
		at[parts[len(parts)-1]] = all[path]
	}
	text, err := json.MarshalIndent(tree, "", "  ") // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// PID is the number of the process.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Config is the services.yaml that it was started with.
func (n *Node) Config() string { return n.config }

// Ended says whether the process has ended.
func (n *Node) Ended() bool {
	select {
	case <-n.exited:
		return true
	default:
		return false
	}
}

// AwaitReady waits until every service that the process runs is ready.
func (n *Node) AwaitReady() {
	n.t.Helper()
	var problem string
	Await(n.t, patience, "readiness", func() bool {
		if n.Ended() {
			n.t.Fatalf("the program ended with %d instead of starting", n.cmd.ProcessState.ExitCode())
		}
		n.URLs, problem = n.found()
		if problem != "" || len(n.URLs) < len(n.runs) {
			return false
		}
		for _, url := range n.URLs {
			if r, err := Get(n.t.Context(), url+"/readyz"); err != nil || r.Status != 200 {
				return false
			}
		}
		return true
	})
}

// Found looks for the services that the process runs by now, ready or not.
func (n *Node) Found() {
	if urls, problem := n.found(); problem == "" {
		n.URLs = urls
	}
}

// found reads the files in which running services say where they answer; those of
// processes before do not count.
func (n *Node) found() (map[string]string, string) {
	urls := map[string]string{}
	for _, service := range Services {
		text, err := os.ReadFile(filepath.Join(n.Data, "run", service+".pid"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		var p struct {
			PID int    `json:"pid"`
			URL string `json:"url"`
		}
		if err != nil || json.Unmarshal(text, &p) != nil {
			return nil, "half a pid file"
		}
		if p.PID == n.PID() {
			urls[service] = p.URL
		}
	}
	return urls, ""
}

// URL is where a service answers, with a path.
func (n *Node) URL(service, path string) string { return n.URLs[service] + path }

// Kill ends the process as a power cut would, and waits until it is gone.
func (n *Node) Kill() {
	if n.Ended() {
		return
	}
	// It may end by itself meanwhile.
	_ = n.cmd.Process.Signal(syscall.SIGKILL)
	<-n.exited
}

// Terminate asks the process to stop.
func (n *Node) Terminate() {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.t.Fatal(err)
	}
}

// Exit waits for the end of the process and returns its exit code.
func (n *Node) Exit() int {
	n.t.Helper()
	Await(n.t, patience, "the end of the program", n.Ended)
	return n.cmd.ProcessState.ExitCode()
}

// Stop stops the process in order, and fails the test when it does not end with 0.
func (n *Node) Stop() {
	n.t.Helper()
	n.Terminate()
	if code := n.Exit(); code != 0 {
		n.t.Fatalf("SIGTERM: exit code %d, want 0\n%s", code, tail(n.Log(), 30))
	}
}

// Log is everything that the process has written about itself.
func (n *Node) Log() string {
	text, err := os.ReadFile(n.logs)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// shortLog is the log without requests and stacks.
func (n *Node) shortLog() string {
	var short strings.Builder
	for line := range strings.Lines(n.Log()) {
		if strings.Contains(line, `"level":"info"`) && strings.Contains(line, `"msg":"http request"`) {
			continue
		}
		line = strings.TrimSuffix(line, "\n")
		short.WriteString(line[:min(len(line), 600)] + "\n")
	}
	return short.String()
}

// Crashed says why the process cannot be called healthy: a panic, a data race.
func (n *Node) Crashed() string {
	for line := range strings.Lines(n.Log()) {
		for _, sign := range []string{"panic:", "DATA RACE", "fatal error:"} {
			if strings.HasPrefix(line, sign) || strings.HasPrefix(line, "WARNING: "+sign) {
				return line
			}
		}
	}
	return ""
}

// CopyTree copies a directory, or replaces one, as an operator with cp -a would.
func CopyTree(t testing.TB, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// Context ends with the test.
func (n *Node) Context() context.Context { return n.t.Context() }
