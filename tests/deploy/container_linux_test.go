package deploy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/marketprism/marketprism/tests/harness"
)

// machine runs containers: processes with a root, a network, numbers of processes and a
// user of their own, as a container runtime has them, from files of this machine in place
// of images. They reach one another by their names, and nothing else. It ends with the
// test.
type machine struct {
	t     *testing.T
	dir   string
	names map[string]string // of containers -> address
	link  *thread           // the network between them, and this process' place in it
	count int
}

// gatewayOf is the machine's own address in the network of its containers.
const gatewayOf = "10.89.0.1"

// newMachine makes a machine. Where that is not allowed, the test is skipped with the
// reason, or fails when MARKETPRISM_REQUIRE_NAMESPACES is 1.
func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), names: map[string]string{}}
	var err error
	for _, name := range []string{"ip", "unshare", "nsenter"} {
		if _, missing := exec.LookPath(name); missing != nil {
			err = errors.Join(err, missing)
		}
	}
	if err == nil {
		m.link, err = newThread(unix.CLONE_NEWNET)
	}
	harness.Unless(t, err == nil, "MARKETPRISM_REQUIRE_NAMESPACES", fmt.Sprintf("NOT TESTED: no containers here (root, iproute2 and util-linux are needed): %v", err))
	t.Cleanup(m.link.end)
	m.on(m.link, func() error {
		return errors.Join(ip("link", "add", "name", "br0", "type", "bridge"), ip("addr", "add", gatewayOf+"/24", "dev", "br0"), ip("link", "set", "br0", "up"))
	})
	return m
}

func (m *machine) on(h *thread, f func() error) {
	m.t.Helper()
	if err := h.do(f); err != nil {
		m.t.Fatal(err)
	}
}

// name gives a container that will be an address, so that the others know it.
func (m *machine) name(names ...string) {
	for _, name := range names {
		m.names[name] = fmt.Sprint("10.89.0.", len(m.names)+2)
	}
}

// dial connects from the machine to an address in the network of its containers.
func (m *machine) dial(address string) (c net.Conn, err error) {
	failed := m.link.do(func() error {
		c, err = net.DialTimeout("tcp", address, 5*time.Second)
		return err
	})
	return c, failed
}

// container is one of a machine.
type container struct {
	name       string
	root       rootfs
	uid        int
	env        []string
	directory  string
	entrypoint []string

	m      *machine
	thread *thread
	first  int // number of its first process, as the machine counts
	cmd    *exec.Cmd
	exited chan struct{}
	said   string // file of what its processes have written
}

// contain prepares a container with a name that the machine has given; lay puts into its
// root what it has.
func (m *machine) contain(c *container, lay func(rootfs) error) {
	m.t.Helper()
	c.m, c.root, c.said = m, rootfs(filepath.Join(m.dir, c.name, "root")), filepath.Join(m.dir, c.name, "said")
	if err := os.MkdirAll(string(c.root), 0o755); err != nil {
		m.t.Fatal(err)
	}
	var err error
	if c.thread, err = newThread(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		c.kill()
		c.thread.end()
		if m.t.Failed() {
			text, err := os.ReadFile(c.said)
			m.t.Logf("%s said at the end (%v):\n%s", c.name, err, text[max(0, len(text)-3000):])
		}
	})
	m.count++
	far := fmt.Sprint("c", m.count)
	m.on(c.thread, func() error {
		return errors.Join(
			ip("link", "add", "name", "eth0", "type", "veth", "peer", "name", far, "netns", m.link.path()),
			ip("addr", "add", m.names[c.name]+"/24", "dev", "eth0"), ip("link", "set", "eth0", "up"),
			c.root.lay(known(m.names)), lay(c.root))
	})
	m.on(m.link, func() error { return ip("link", "set", far, "master", "br0", "up") })
}

// start runs the container's program.
func (c *container) start() {
	t := c.m.t
	t.Helper()
	out, err := os.OpenFile(c.said, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	user := strconv.Itoa(c.uid)
	cmd := exec.Command("unshare", slices.Concat([]string{"--pid", "--fork", "--kill-child", "--mount-proc", "--root", string(c.root), "--wd", c.directory,
		"--setgid", user, "--setuid", user, "--"}, c.entrypoint)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = c.env, out, out
	c.m.on(c.thread, cmd.Start)
	if err := out.Close(); err != nil { // the process has its own
		t.Error(err)
	}
	c.cmd, c.exited, c.first = cmd, make(chan struct{}), 0
	go func(exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait() // what it ended with is in ProcessState
	}(c.exited)
	harness.Await(t, time.Minute, "the first process of "+c.name, func() bool {
		if c.ended() {
			return true
		}
		c.first, err = childOf(cmd.Process.Pid)
		return err == nil && c.first != 0
	})
}

func (c *container) ended() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// childOf is the number of a process' only child; 0 when it has none.
func childOf(parent int) (int, error) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// After the name, in parentheses: state, parent.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			return strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	return 0, err
}

// run runs a program in the container, as its user, and returns what it printed and the
// exit code.
func (c *container) run(args ...string) (string, int) {
	t := c.m.t
	t.Helper()
	user := strconv.Itoa(c.uid)
	cmd := exec.CommandContext(t.Context(), "nsenter", slices.Concat([]string{"--target", strconv.Itoa(c.first), "--mount", "--net", "--pid", "--root", "--wd",
		"--setgid", user, "--setuid", user, "--"}, args)...)
	said, err := os.OpenFile(c.said, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = said.Close() }() // what is in it is for a reader only
	cmd.Env, cmd.Stderr = c.env, said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// stop asks the container's program to end, and returns its exit code once it has.
func (c *container) stop(within time.Duration) int {
	c.m.t.Helper()
	c.signal(syscall.SIGTERM)
	harness.Await(c.m.t, within, "the end of "+c.name, c.ended)
	return c.cmd.ProcessState.ExitCode()
}

// kill ends all processes of the container.
func (c *container) kill() {
	if c.cmd == nil {
		return
	}
	if c.first == 0 {
		_ = c.cmd.Process.Kill() // it may have ended already
	}
	c.signal(syscall.SIGKILL) // with the first, all others of its numbering end
	<-c.exited
}

func (c *container) signal(which syscall.Signal) {
	if !c.ended() && c.first != 0 {
		_ = syscall.Kill(c.first, which) // it may have ended meanwhile
	}
}
