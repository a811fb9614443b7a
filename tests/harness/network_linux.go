package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Network is hosts in network namespaces of their own, with a router between them
// that can lose every packet from one to another. Their addresses are loopback
// addresses: nothing of it is reached from outside this machine, or even from another
// process of it. It ends with the test.
type Network struct {
	t      testing.TB
	router *namespace
	subnet int64
	hosts  []*Host
}

// Host is one of a [Network].
type Host struct {
	// Address is its own, the same for all others.
	Address string
	ns      *namespace
	net     *Network
}

// subnets counts the networks of a test process: their addresses differ, so that [Do]
// knows which host is meant.
var subnets atomic.Int64

// dialers are the ways to the addresses of hosts.
var dialers sync.Map // address -> *Host

// NewNetwork makes a network. Where the machine does not allow it, the test is skipped
// with the reason, or fails when MARKETPRISM_REQUIRE_NAMESPACES is 1.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	router, err := newNamespace()
	if err == nil {
		_, err = exec.LookPath("ip")
	}
	Unless(t, err == nil, "MARKETPRISM_REQUIRE_NAMESPACES", fmt.Sprintf("NOT TESTED: no network namespaces here (root and iproute2 are needed): %v", err))
	n := &Network{t: t, router: router, subnet: subnets.Add(1)}
	t.Cleanup(router.close)
	n.prepare(router, "ip_forward")
	return n
}

// prepare makes a namespace route addresses that are loopback's elsewhere.
func (n *Network) prepare(ns *namespace, also ...string) {
	n.t.Helper()
	n.in(ns, func() error {
		for _, name := range append(also, "conf/all/route_localnet") {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte("1"), 0o644); err != nil {
				return err
			}
		}
		return errors.Join(ip("link", "set", "lo", "up"), ip("route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local"))
	})
}

// Host adds a host.
func (n *Network) Host() *Host {
	n.t.Helper()
	ns, err := newNamespace()
	if err != nil {
		n.t.Fatal(err)
	}
	number := len(n.hosts) + 1
	h := &Host{Address: fmt.Sprintf("127.77.%d.%d", n.subnet, number), ns: ns, net: n}
	n.t.Cleanup(func() { dialers.Delete(h.Address); ns.close() })
	n.prepare(ns)
	far, near := fmt.Sprintf("10.77.%d.1", number), fmt.Sprintf("10.77.%d.2", number)
	out := fmt.Sprint("r", number)
	n.in(ns, func() error {
		return errors.Join(
			ip("link", "add", "up0", "type", "veth", "peer", "name", out, "netns", n.router.path()),
			ip("link", "set", "up0", "up"),
			ip("addr", "add", h.Address+"/32", "dev", "up0"),
			ip("addr", "add", near+"/30", "dev", "up0"),
		)
	})
	n.in(n.router, func() error {
		return errors.Join(ip("link", "set", out, "up"), ip("addr", "add", far+"/30", "dev", out), ip("route", "add", h.Address+"/32", "via", near))
	})
	n.in(ns, func() error {
		return ip("route", "add", fmt.Sprintf("127.77.%d.0/24", n.subnet), "via", far, "src", h.Address)
	})
	n.hosts = append(n.hosts, h)
	dialers.Store(h.Address, h)
	return h
}

// Mute loses every packet of one host to another, without telling either. What goes the
// other way arrives.
func (n *Network) Mute(from, to *Host) {
	n.t.Helper()
	n.in(n.router, func() error { return ip("rule", "add", "from", from.Address, "to", to.Address, "blackhole") })
}

// Cut loses every packet between a host and others, both ways.
func (n *Network) Cut(one *Host, others ...*Host) {
	n.t.Helper()
	for _, other := range others {
		n.Mute(one, other)
		n.Mute(other, one)
	}
}

// Heal ends every Mute and Cut.
func (n *Network) Heal() {
	n.t.Helper()
	n.in(n.router, func() error {
		for {
			list, err := exec.Command("ip", "rule", "list").Output()
			if err != nil || !strings.Contains(string(list), "blackhole") {
				return err
			}
			if err := ip("rule", "del", "type", "blackhole"); err != nil {
				return err
			}
		}
	})
}

func (n *Network) in(ns *namespace, f func() error) {
	n.t.Helper()
	if err := ns.do(f); err != nil {
		n.t.Fatal(err)
	}
}

// Do runs f on the host: the processes that it starts, and the sockets that it opens
// itself, are there.
func (h *Host) Do(f func()) {
	h.net.t.Helper()
	h.net.in(h.ns, func() error { f(); return nil })
}

// dial connects from the host to itself.
func (h *Host) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	failed := h.ns.do(func() error {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, failed
}

// Relay makes a server outside of the network reachable at the host, and returns
// where. It lives as long as the test.
func (h *Host) Relay(target string) string {
	h.net.t.Helper()
	var l net.Listener
	h.net.in(h.ns, func() (err error) {
		l, err = net.Listen("tcp", h.Address+":0")
		return err
	})
	var open sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed below
			}
			open.Go(func() { relay(ctx, c, target) })
		}
	})
	h.net.t.Cleanup(func() { cancel(); _ = l.Close(); open.Wait() })
	return l.Addr().String()
}

// relay carries bytes until either end closes, or ctx ends.
func relay(ctx context.Context, near net.Conn, target string) {
	defer func() { _ = near.Close() }()
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return // as if nobody listened
	}
	defer func() { _ = far.Close() }()
	ended := make(chan struct{}, 2)
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // however it ends, it ends
		ended <- struct{}{}
	}
	go carry(far, near)
	go carry(near, far)
	select {
	case <-ended:
	case <-ctx.Done():
	}
	// The deferred closes end what is left of both.
}

// namespace is a network namespace; it lasts as long as the file is open, or a process
// or socket is in it.
type namespace struct{ file *os.File }

func newNamespace() (*namespace, error) {
	type result struct {
		file *os.File
		err  error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- result{nil, fmt.Errorf("making a network namespace: %w", err)}
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		made <- result{file, err}
	}()
	r := <-made
	if r.err != nil {
		return nil, r.err
	}
	return &namespace{r.file}, nil
}

func (n *namespace) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

func (n *namespace) close() { _ = n.file.Close() }

// do runs f on a thread that is in the namespace.
func (n *namespace) do(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }() // it was only read
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering a network namespace: %w", err)
	}
	defer func() {
		if err := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(fmt.Errorf("leaving a network namespace: %w", err)) // the thread is of no use to others
		}
	}()
	return f()
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// dial connects to an address of a host on that host, and to others from here.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	if name, _, err := net.SplitHostPort(address); err == nil {
		if h, ok := dialers.Load(name); ok {
			return h.(*Host).dial(ctx, network, address)
		}
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}
