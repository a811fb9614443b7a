package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// devPorts are those of dev without an offset.
var devPorts = []int{8080, 8081, 8082, 8083, 8084, 8085, 4222}

// DevOffset finds an offset at which every port of dev is free.
func DevOffset(t testing.TB) int {
	t.Helper()
	for range 50 {
		offset := 10_000 + rand.IntN(40_000)
		if !slices.ContainsFunc(devPorts, func(p int) bool { return !isFree(p + offset) }) {
			return offset
		}
	}
	t.Fatal("no free ports")
	return 0
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	return err == nil && l.Close() == nil
}

// Dev starts everything on simulated exchanges, on a data directory, and waits until
// every service is ready.
func Dev(t testing.TB, data string, offset int, args ...string) *Node {
	t.Helper()
	home := t.TempDir()
	n := &Node{Data: data, t: t, runs: Services, logs: filepath.Join(home, "log"), exited: make(chan struct{})}
	logs, err := os.Create(n.logs)
	if err != nil {
		t.Fatal(err)
	}
	n.cmd = exec.Command(Program(t), append([]string{"dev", "--data", data, "--port-offset", fmt.Sprint(offset)}, args...)...)
	n.cmd.Stdout, n.cmd.Stderr, n.cmd.Dir = logs, logs, home
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
			t.Logf("the log of dev, without requests, ends:\n%s", tail(n.shortLog(), 25))
		}
	})
	n.AwaitReady()
	return n
}
