package consul

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

// directory follows one service: who announces it, and who is gone.
type directory struct {
	node    *Node
	service string
	metrics *metrics

	mu      sync.Mutex
	view    View
	turn    chan struct{} // closed at the next change
	missing time.Time     // since when others are listed, and this node is not
	peers   []peer        // the others, dead ones among them
}

// peer is a member that is not given up.
type peer struct {
	Member
	well bool // by what Consul says
}

// View is who announces a service, as far as this node knows.
type View struct {
	// Members are in the order of their IDs.
	Members []Member
	// Generation counts the changes; 0 is before Consul's first answer.
	Generation uint64
	// Changed is closed when there is a later view.
	Changed <-chan struct{}
}

func newDirectory(n *Node, service string) *directory {
	d := &directory{node: n, service: service, metrics: n.metrics, turn: make(chan struct{})}
	d.view.Changed = d.turn
	return d
}

// now is the latest view.
func (d *directory) now() View {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.view
}

// publish makes a list the latest view, without those that are known to be dead.
func (d *directory) publish(members []Member) {
	members = d.node.vitals.alive(members)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.view.Generation > 0 && slices.EqualFunc(d.view.Members, members, sameMember) {
		return
	}
	close(d.turn)
	d.turn = make(chan struct{})
	d.view = View{Members: members, Generation: d.view.Generation + 1, Changed: d.turn}
	d.metrics.members(d.service, len(members))
}

func sameMember(a, b Member) bool {
	if a.ID != b.ID || a.Host != b.Host || a.Port != b.Port || len(a.Meta) != len(b.Meta) {
		return false
	}
	for k, v := range a.Meta {
		if b.Meta[k] != v {
			return false
		}
	}
	return true
}

// answer is what Consul said.
type answer struct {
	listed []sighting
	err    error
}

// run follows the service until ctx ends.
func (d *directory) run(ctx context.Context, log *zap.Logger) {
	answers := make(chan answer)
	asking := supervise.NewCrew(ctx)
	defer func() {
		if err := asking.Stop(); err != nil {
			panic(err) // the supervisor starts it anew
		}
	}()
	ctx = asking.Ctx()
	asking.Go(func(ctx context.Context) { d.follow(ctx, answers) })

	r := newRoster(d.node.id(d.service), d.node.cfg.Grace)
	look := time.NewTicker(d.node.beat())
	defer look.Stop()
	silent := false
	_, later := d.node.vitals.now()
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-answers:
			d.miss(time.Now(), a)
			if (a.err != nil) != silent {
				silent = a.err != nil
				d.say(log, a.err)
			}
			if a.err != nil {
				continue
			}
			r.see(time.Now(), a.listed)
			d.judge(ctx, r, log)
		case <-look.C:
			d.judge(ctx, r, log)
		case <-later.Done():
			_, later = d.node.vitals.now()
			d.publish(r.members())
		}
	}
}

// miss notes whether this node is the one that Consul does not list.
func (d *directory) miss(now time.Time, a answer) {
	self := d.node.id(d.service)
	missing := a.err == nil && slices.ContainsFunc(a.listed, func(s sighting) bool { return s.passing }) &&
		!slices.ContainsFunc(a.listed, func(s sighting) bool { return s.ID == self })
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !missing:
		d.missing = time.Time{}
	case d.missing.IsZero():
		d.missing = now
	}
}

// judge probes those that are not well, gives up those that are gone, and publishes
// who is left.
func (d *directory) judge(ctx context.Context, r *roster, log *zap.Logger) {
	if suspects := r.suspects(); len(suspects) > 0 {
		closed := d.probe(ctx, suspects)
		if ctx.Err() != nil {
			return
		}
		for _, m := range r.judge(time.Now(), d.node.trust(), closed) {
			log.Info("member is gone", zap.String("service", d.service), zap.String("member", m.ID), zap.Bool("port_closed", closed[m.ID]))
		}
	}
	d.mu.Lock()
	d.peers = r.others()
	d.mu.Unlock()
	d.publish(r.members())
}

// others are all members that are not given up, but this node's.
func (d *directory) others() []peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peers
}

func (d *directory) say(log *zap.Logger, err error) {
	if err != nil {
		log.Warn("Consul does not say who there is; the last list stays", zap.String("service", d.service), zap.Error(err))
		return
	}
	log.Info("Consul says again who there is", zap.String("service", d.service))
}

// follow asks again and again, each time until something has changed.
// https://developer.hashicorp.com/consul/api-docs/features/blocking: an index that
// goes back, or is 0, begins anew.
func (d *directory) follow(ctx context.Context, answers chan<- answer) {
	index, pause := uint64(0), newPause(d.node.beat(), 5*time.Second)
	for {
		o := (&api.QueryOptions{WaitIndex: index, WaitTime: blockFor, RequireConsistent: false}).WithContext(ctx)
		began := time.Now()
		entries, meta, err := d.node.client.Health().Service(d.service, d.node.cfg.Name, false, o)
		if ctx.Err() != nil {
			return
		}
		a := answer{err: err}
		for _, e := range entries {
			a.listed = append(a.listed, d.sighting(e))
		}
		select {
		case answers <- a:
		case <-ctx.Done():
			return
		}
		if err != nil {
			index = 0
			if !wait(ctx, pause.next()) {
				return
			}
			continue
		}
		pause.reset()
		if meta.LastIndex < index {
			index = 0
		} else {
			index = max(meta.LastIndex, 1)
		}
		// However often it changes.
		if !wait(ctx, leastBetween-time.Since(began)) {
			return
		}
	}
}

const (
	// blockFor is how long Consul may keep a question, plus up to a sixteenth.
	blockFor = 30 * time.Second
	// leastBetween is between two questions.
	leastBetween = 50 * time.Millisecond
)

func (d *directory) sighting(e *api.ServiceEntry) sighting {
	host := e.Service.Address
	if host == "" {
		host = e.Node.Address
	}
	s := sighting{Member: Member{
		ID: e.Service.ID, Service: e.Service.Service, Node: e.Service.Meta[nodeMeta], Host: host, Port: e.Service.Port, Meta: e.Service.Meta,
	}}
	status := e.Checks.AggregatedStatus()
	s.warned = status == api.HealthWarning
	s.passing = s.warned || status == api.HealthPassing
	return s
}

// probe reports whose port does not answer within a second.
func (d *directory) probe(ctx context.Context, members []Member) map[string]bool {
	closed := map[string]bool{}
	var mu sync.Mutex
	probes := supervise.NewCrew(ctx)
	for _, m := range members {
		probes.Go(func(ctx context.Context) {
			if err := d.node.probe(ctx, m); err != nil {
				mu.Lock()
				defer mu.Unlock()
				closed[m.ID] = true
			}
		})
	}
	if err := probes.Wait(); err != nil {
		panic(err) // what was cut off with it was not found closed
	}
	return closed
}

// probeTimeout bounds one probe of a port.
const probeTimeout = time.Second

// dial is the probe of a port.
func dial(ctx context.Context, m Member) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(m.Host, strconv.Itoa(m.Port)))
	if err != nil {
		return fmt.Errorf("probing %s: %w", m.ID, err)
	}
	return c.Close()
}
