package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/cluster"
)

// Claim is the right of one process to the name of its node. Whoever starts under a name
// takes it before it announces anything; of two, the one that has had it for longer
// stays. It is an entry of Consul's store that is written by compare-and-set alone, and
// has no session: a process that was killed is told from one that lives by its port, and
// by what Consul says of its heartbeat.
//
// Without Consul a name is not claimed, and the process goes on: it is claimed as soon as
// Consul answers.
type Claim struct {
	node  *Node
	bound string // service whose heartbeat says that a holder lives
	log   *zap.Logger

	mu  sync.Mutex
	own ticket
}

// ticket is an entry.
type ticket struct {
	// Process is a holder's own name.
	Process string `json:"process"`
	// Generation counts those that took the name over from one that was dead.
	Generation uint64    `json:"generation"`
	Since      time.Time `json:"since"`
	// Host and Port answer for as long as the process lives; Port 0: none does.
	Host string `json:"host"`
	Port int    `json:"port"`
}

func (t ticket) address() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }

// above says whether t has the better right, of two that both live.
func (t ticket) above(other ticket) bool {
	switch {
	case t.Generation != other.Generation:
		return t.Generation > other.Generation
	case !t.Since.Equal(other.Since):
		return t.Since.Before(other.Since)
	}
	return t.Process < other.Process
}

// NewClaim makes the claim of this process, which began at since, and answers at host and
// port for as long as it lives (0: it does not). bound is the service whose heartbeat
// tells that a holder lives.
func (n *Node) NewClaim(bound, host string, port int, since time.Time, log *zap.Logger) *Claim {
	if log == nil {
		log = zap.NewNop()
	}
	return &Claim{node: n, bound: bound, log: log, own: ticket{Process: n.process, Since: since.UTC(), Host: host, Port: port}}
}

func (c *Claim) key() string {
	return strings.Join([]string{c.node.cfg.Name, "node", c.node.name}, "/")
}

func (c *Claim) ticket() ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own
}

// Take claims the name. It waits for as long as it is not certain whether another process
// that has it lives: some seconds. Errors: [cluster.ErrDouble], and that of ctx. A Consul
// that does not answer is none.
func (c *Claim) Take(ctx context.Context) error {
	err := c.settle(ctx)
	if err == nil || errors.Is(err, cluster.ErrDouble) || ctx.Err() != nil {
		return err
	}
	c.log.Warn("Consul does not say whether another process has the name of this node; going on without", zap.String("node", c.node.name), zap.Error(err))
	return nil
}

// Keep claims the name again and again until ctx ends. lost is told when another process
// has the better right: this one must end.
func (c *Claim) Keep(ctx context.Context, system *supervise.System, lost func(error)) error {
	_, err := system.StartChild(ctx, supervise.RootID+"/"+branchName, c.node.worker("claim", "claim", func(ctx context.Context, _ *zap.Logger) {
		for wait(ctx, c.node.cfg.TTL) {
			if err := c.settle(ctx); errors.Is(err, cluster.ErrDouble) {
				lost(err)
				return
			}
		}
	}))
	if err != nil {
		return fmt.Errorf("keeping the claim to the name of the node: %w", err)
	}
	return nil
}

// Release gives the name back, so that the next process need not ask who lives.
func (c *Claim) Release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.node.callTimeout())
	defer cancel()
	there, pair, err := c.read(ctx)
	if err != nil || pair == nil || there.Process != c.own.Process {
		return err
	}
	if _, _, err := c.node.client.KV().DeleteCAS(pair, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
		return fmt.Errorf("giving the name of the node back: %w", err)
	}
	return nil
}

// settle looks who has the name until it is this process, or certainly another.
func (c *Claim) settle(ctx context.Context) error {
	var began, ill time.Time // of waiting; and since when the holder is not well
	for {
		there, pair, err := c.read(ctx)
		if err != nil {
			return err
		}
		own := c.ticket()
		next := own
		switch {
		case pair == nil:
			next.Generation = max(own.Generation, 1)
		case there.Process == own.Process:
			c.hold(there)
			return nil
		case own.Generation > 0: // it was ours
			if !own.above(there) {
				return c.double(there)
			}
		default:
			now := time.Now()
			if began.IsZero() {
				began = now
			}
			dead, well, err := c.lives(ctx, there)
			if err != nil {
				return err
			}
			if well {
				ill = time.Time{}
			} else if ill.IsZero() {
				ill = now
			}
			patience := 2 * c.node.cfg.TTL
			switch {
			case dead, !ill.IsZero() && now.Sub(ill) >= patience:
				next.Generation = there.Generation + 1
			case ill.IsZero() && now.Sub(began) >= patience:
				return c.double(there)
			default:
				if !wait(ctx, c.node.beat()) {
					return ctx.Err()
				}
				continue
			}
		}
		if err := c.write(ctx, next, pair); err != nil {
			return err
		}
	}
}

// double is the error of a process that has to end.
func (c *Claim) double(there ticket) error {
	return fmt.Errorf("%w: another process has the name %q of this node, since %s, at %s; give each node its own node.id",
		cluster.ErrDouble, c.node.name, there.Since.Format(time.RFC3339), there.address())
}

func (c *Claim) hold(t ticket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own.Generation == 0 {
		c.log.Info("the name of this node is claimed", zap.String("node", c.node.name), zap.Uint64("generation", t.Generation))
	}
	c.own.Generation = t.Generation
}

// lives finds out about a holder: it is dead when its port is closed, or is ours; it is
// well when Consul has its heartbeat.
func (c *Claim) lives(ctx context.Context, t ticket) (dead, well bool, err error) {
	own := c.ticket()
	if t.Port > 0 {
		if t.address() == own.address() {
			return true, false, nil
		}
		err := c.node.probe(ctx, Member{ID: c.node.id(c.bound), Service: c.bound, Node: c.node.name, Host: t.Host, Port: t.Port})
		if errors.Is(err, syscall.ECONNREFUSED) {
			return true, false, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.node.callTimeout())
	defer cancel()
	entries, _, err := c.node.client.Health().Service(c.bound, c.node.cfg.Name, false, (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return false, false, fmt.Errorf("asking Consul for %s: %w", c.bound, err)
	}
	return false, slices.ContainsFunc(entries, func(e *api.ServiceEntry) bool {
		return e.Service.ID == c.node.id(c.bound) && e.Checks.AggregatedStatus() != api.HealthCritical
	}), nil
}

// read returns the entry; pair is nil where there is none. One that cannot be read is
// nobody's.
func (c *Claim) read(ctx context.Context) (t ticket, pair *api.KVPair, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.node.callTimeout())
	defer cancel()
	pair, _, err = c.node.client.KV().Get(c.key(), (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return t, nil, fmt.Errorf("asking Consul who has the name of the node: %w", err)
	}
	if pair != nil {
		if err := json.Unmarshal(pair.Value, &t); err != nil {
			c.log.Warn("the claim to the name of the node cannot be read, and counts for nothing", zap.Error(err))
		}
	}
	return t, pair, nil
}

// write puts a ticket in place of what was read; when somebody was faster, nothing.
func (c *Claim) write(ctx context.Context, t ticket, over *api.KVPair) error {
	value, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("writing the claim: %w", err)
	}
	pair := &api.KVPair{Key: c.key(), Value: value}
	if over != nil {
		pair.ModifyIndex = over.ModifyIndex
	}
	ctx, cancel := context.WithTimeout(ctx, c.node.callTimeout())
	defer cancel()
	if _, _, err := c.node.client.KV().CAS(pair, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
		return fmt.Errorf("claiming the name of the node: %w", err)
	}
	return nil
}
