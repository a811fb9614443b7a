package app

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStartOf: a process that was killed has no start any more, also before its parent
// asks for its end.
func TestStartOf(t *testing.T) {
	if startOf(os.Getpid()) == "" {
		t.Error("this process has no start")
	}
	c := exec.Command("sleep", "600")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	if startOf(pid) == "" {
		t.Error("a process that runs has no start")
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil { // and leaves it unasked
		t.Fatal(err)
	}
	if got := startOf(pid); got != "" {
		t.Errorf("a process that has ended has the start %s", got)
	}
	if err := c.Wait(); err == nil {
		t.Error("it ended well")
	}
}
