package performance

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A floor is a program that does the least that anything must do on this machine
// for what is measured, and runs in turn with it: the ratio says more than the
// figure, on a machine that others use too. It is a process of its own, which is
// this test program once more.
const floorEnv = "MARKETPRISM_FLOOR"

var floors = map[string]func() error{"relay": relay, "bytes": serveBytes}

// startFloor starts one and returns the line that it says when it is ready; it
// ends with the test, or by stop.
func startFloor(b *testing.B, name string, env ...string) (pid int, said string, stop func()) {
	b.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(append(os.Environ(), floorEnv+"="+name), env...)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := in.Close(); err != nil { // it ends when nobody holds the other end
			b.Errorf("floor %s: %v", name, err)
		}
		if err := c.Wait(); err != nil {
			b.Errorf("floor %s: %v", name, err)
		}
	}
	b.Cleanup(stop)
	said, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatalf("floor %s did not start: %v", name, err)
	}
	return c.Process.Pid, strings.TrimSpace(said), stop
}

// await says in the floor's process that it is ready, and returns when it is to
// end or has failed.
func await(ready string, failed <-chan error) error {
	if _, err := fmt.Println(ready); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { // ends with the process
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	select {
	case err := <-failed:
		return err
	case err := <-ended:
		return err
	}
}
