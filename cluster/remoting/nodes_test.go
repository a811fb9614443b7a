package remoting_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/cluster/remoting"
	"github.com/marketprism/marketprism/cluster/wire"
	"github.com/marketprism/marketprism/internal/certs"
	"github.com/marketprism/marketprism/internal/certs/certstest"
)

const btc = "binance/spot/BTC-USDT"

// answers waits until a node answers another.
func answers(t *testing.T, from *node, to string) {
	t.Helper()
	actorstest.Eventually(t, to+" answers "+from.name, func() bool {
		a, err := from.remoting.Describe(t.Context(), to) // within what the configuration says
		return err == nil && a.GetNode() == to
	})
}

func on(port int) setting { return func(o *remoting.Options) { o.Config.Port = port } }

func named(streams remoting.Streams) setting {
	return func(o *remoting.Options) { o.Streams = streams }
}

// Nodes ask each other, and the owner of a stream wherever the plan has it.
func TestMultiNodeAsk(t *testing.T) {
	w := newWorld()
	a, b := start(t, w, "a"), start(t, w, "b")
	c := start(t, w, "c", named(nil)) // follows no plan
	w.list(a.member(), b.member(), c.member())
	for _, from := range []*node{a, b, c} {
		for _, to := range []string{"a", "b", "c"} {
			answers(t, from, to)
		}
	}
	ctx := within(t, time.Minute)
	if err := a.remoting.Operate(ctx, "b", &wire.Operation{Action: wire.Action_ACTION_PAUSE, Actor: "root/x"}); err != nil {
		t.Error(err)
	}
	if got := b.operate; len(got) != 1 || got[0] != "a ACTION_PAUSE root/x" {
		t.Errorf("got %q", got)
	}
	for _, owner := range []string{"a", "b", "a"} { // each by another plan
		w.own(btc, owner)
		for _, from := range []*node{a, b, c} {
			if book, of, err := from.remoting.Book(ctx, btc); err != nil || of != owner || book.GetState() != "live of "+owner+" "+btc {
				t.Errorf("%s asks for a stream of %s: %v of %s, %v", from.name, owner, book, of, err)
			}
		}
	}
	w.own("okx/spot/X", "c")
	if _, _, err := a.remoting.Book(ctx, "okx/spot/X"); err == nil {
		t.Error("a node without a collector spoke for a stream")
	}
	for _, n := range []*node{a, b, c} {
		for _, reason := range []string{"malformed", "forbidden", "panic", "handshake"} {
			if got := n.count(t, refusals, outcome, reason); got != 0 {
				t.Errorf("%s refused %v as %s", n.name, got, reason)
			}
		}
	}
}

// A node that is gone fails calls at once, those in flight too, and one that is back at
// its address under its name is asked again.
func TestMultiNodeGoneAndBack(t *testing.T) {
	w := newWorld()
	a, b := start(t, w, "a"), start(t, w, "b")
	w.list(a.member(), b.member())
	answers(t, a, "b")
	b.mu.Lock()
	b.hold = make(chan struct{})
	b.mu.Unlock()
	result := make(chan error, 1)
	go func() {
		_, err := a.remoting.Tree(context.WithoutCancel(t.Context()), "b")
		result <- err
	}()
	actorstest.Eventually(t, "the question is there or has ended", func() bool {
		return b.count(t, "mp_remoting_served_total", "message", "node") > 0
	})
	b.stop()
	if err := <-result; err == nil || !strings.Contains(err.Error(), "b: ") {
		t.Errorf("in flight: %v", err)
	}
	// Nobody listens: the port says so at once, however long the caller would wait.
	actorstest.Eventually(t, "calls fail for what is so", func() bool {
		_, err := a.remoting.Describe(within(t, time.Minute), "b")
		return errors.Is(err, remoting.ErrUnreachable)
	})
	back := start(t, w, "b", on(b.remoting.Port()))
	answers(t, a, "b")
	answers(t, back, "a")
}

// A node that was given up by mistake is a member again when it is listed again: nothing
// remembers it.
func TestMultiNodeGivenUpAndListedAgain(t *testing.T) {
	w := newWorld()
	a, b := start(t, w, "a"), start(t, w, "b")
	for range 3 {
		w.list(a.member(), b.member())
		answers(t, a, "b")
		answers(t, b, "a")
		w.list(a.member())
		actorstest.Eventually(t, "b is unknown", func() bool {
			_, err := a.remoting.Describe(within(t, time.Minute), "b")
			return errors.Is(err, remoting.ErrUnknownNode)
		})
	}
}

// What is asked above the bound is refused, here and there; all else is answered.
func TestMultiNodeMany(t *testing.T) {
	w := newWorld()
	a, b := start(t, w, "a"), start(t, w, "b")
	w.list(a.member(), b.member())
	answers(t, a, "b")
	hold := make(chan struct{})
	b.mu.Lock()
	b.hold = hold
	b.mu.Unlock()
	var work sync.WaitGroup
	var ok, busy atomic.Int32
	const all = 400
	for range all {
		work.Go(func() {
			_, err := a.remoting.Tree(within(t, time.Minute), "b")
			var no *remoting.Refused
			switch {
			case err == nil:
				ok.Add(1)
			case errors.Is(err, remoting.ErrBusy), errors.As(err, &no) && no.Reason == wire.Reason_REASON_BUSY:
				busy.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	actorstest.Eventually(t, "all that is too much is refused", func() bool { return busy.Load() == all-16 })
	close(hold)
	work.Wait()
	if ok.Load() != 16 || busy.Load() != all-16 {
		t.Errorf("%d answered, %d refused", ok.Load(), busy.Load())
	}
}

// Certificates are renewed, and their authority replaced, while nodes ask each other.
func TestMultiNodeCertificatesAreReplaced(t *testing.T) {
	w := newWorld()
	first, second := certstest.New(t, "first"), certstest.New(t, "second")
	pairs, files, nodes := map[string]*certs.Pair{}, map[string]certs.Config{}, map[string]*node{}
	for _, name := range []string{"a", "b"} {
		files[name] = certstest.Files(t, t.TempDir(), first.Node(name), first.PEM())
		p, err := certs.Open(certs.Options{Config: files[name]})
		if err != nil {
			t.Fatal(err)
		}
		pairs[name], nodes[name] = p, start(t, w, name, with(p))
	}
	w.list(nodes["a"].member(), nodes["b"].member())
	answers(t, nodes["a"], "b")
	stop, failed, asked := make(chan struct{}), make(chan error, 2), atomic.Int64{}
	for _, way := range [][2]string{{"a", "b"}, {"b", "a"}} {
		go func() {
			for {
				select {
				case <-stop:
					failed <- nil
					return
				default:
				}
				if _, err := nodes[way[0]].remoting.Describe(within(t, time.Minute), way[1]); err != nil {
					failed <- fmt.Errorf("%s asks %s: %w", way[0], way[1], err)
					return
				}
				asked.Add(1)
			}
		}()
	}
	step := func(what string, issue func(name string) certs.Issued, authorities ...[]byte) {
		t.Helper()
		for name, p := range pairs {
			i := issue(name)
			certstest.Replace(t, files[name].CAFile, concat(authorities))
			certstest.Replace(t, files[name].KeyFile, i.Key)
			certstest.Replace(t, files[name].CertFile, i.Certificate)
			if err := p.Reload(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			at := asked.Load()
			actorstest.Eventually(t, what, func() bool { return asked.Load() > at+10 || len(failed) > 0 })
		}
	}
	kept := map[string]certs.Issued{}
	keep := func(a *certstest.Authority) func(string) certs.Issued {
		return func(name string) certs.Issued {
			kept[name] = a.Node(name)
			return kept[name]
		}
	}
	step("a second authority is trusted too", keep(first), first.PEM(), second.PEM())
	step("certificates are the second's", keep(second), first.PEM(), second.PEM())
	close(stop)
	for range 2 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	// Without the first authority the connection that was made with its certificate ends;
	// the next question makes another.
	for name, p := range pairs {
		certstest.Replace(t, files[name].CAFile, second.PEM())
		if err := p.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	answers(t, nodes["a"], "b")
	answers(t, nodes["b"], "a")
}

func concat(all [][]byte) (one []byte) {
	for _, a := range all {
		one = append(one, a...)
	}
	return one
}

// A node with a certificate that others refuse hears so at once, and they count it. One
// of another authority shows none, since it is told which ones count.
func TestMultiNodeRefusedPeer(t *testing.T) {
	ours, theirs := certstest.New(t, "ours"), certstest.New(t, "theirs")
	w := newWorld()
	a := start(t, w, "a", with(pair(t, ours.Node("a"), nil, ours.PEM())))
	long := time.Now().Add(-30 * time.Minute)
	old := ours.Issue(certs.Request{URI: certs.NodeURI("old"), Hosts: []string{"127.0.0.1"}, From: long.Add(-10 * time.Minute), Until: long.Add(10 * time.Minute), Uses: certs.NodeRequest("", nil, 0, long).Uses})
	for _, c := range []struct {
		reason string
		peer   *node
	}{
		{"expired", start(t, w, "old", with(pair(t, old, func() time.Time { return long }, ours.PEM())))},
		{"handshake", start(t, w, "other", with(pair(t, theirs.Node("other"), nil, theirs.PEM(), ours.PEM())))},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w.list(a.member(), c.peer.member())
			actorstest.Eventually(t, "it knows a", func() bool { return len(c.peer.remoting.Peers()) == 2 })
			_, err := c.peer.remoting.Describe(within(t, time.Minute), "a")
			if !errors.Is(err, remoting.ErrUnreachable) {
				t.Errorf("it asks: %v", err)
			}
			actorstest.Eventually(t, "it is counted", func() bool { return a.count(t, refusals, outcome, c.reason) > 0 })
			if _, err := a.remoting.Describe(within(t, time.Minute), c.peer.name); !errors.Is(err, remoting.ErrUnreachable) {
				t.Errorf("it is asked: %v", err)
			}
		})
	}
	answers(t, a, "a")
}
