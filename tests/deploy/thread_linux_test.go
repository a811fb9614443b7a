package deploy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// thread is one of the operating system's, with a network of its own and, of a container,
// mounts that nobody else sees. Processes and sockets that are made on it are in there.
type thread struct {
	work  chan func()
	ended chan struct{}
	net   *os.File // its network namespace
}

// newThread starts a thread in namespaces of its own: unix.CLONE_NEWNET, with
// unix.CLONE_NEWNS or without.
func newThread(namespaces int) (*thread, error) {
	h := &thread{work: make(chan func()), ended: make(chan struct{})}
	ready := make(chan error)
	go func() {
		defer close(h.ended)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := h.enter(namespaces)
		ready <- err
		if err != nil {
			return
		}
		for f := range h.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		return nil, err
	}
	return h, nil
}

func (h *thread) enter(namespaces int) (err error) {
	if err := unix.Unshare(namespaces); err != nil {
		return fmt.Errorf("making namespaces: %w", err)
	}
	if namespaces&unix.CLONE_NEWNS != 0 {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("keeping mounts private: %w", err)
		}
	}
	h.net, err = os.Open("/proc/thread-self/ns/net")
	return errors.Join(err, ip("link", "set", "lo", "up"))
}

// do runs f on the thread, and nothing else at the same time.
func (h *thread) do(f func() error) error {
	done := make(chan error)
	h.work <- func() { done <- f() }
	return <-done
}

// end ends the thread; its namespaces last as long as processes are in them.
func (h *thread) end() {
	close(h.work)
	<-h.ended
	_ = h.net.Close() // only read
}

// path names the network namespace for other programs.
func (h *thread) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.net.Fd()) }

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
