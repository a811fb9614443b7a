package consul

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/supervise"
)

// Lease is the right to do one job for the whole cluster. Its session hangs on the
// heartbeat of one of the node's announcements: a node that is silent for a TTL loses
// it, and a second later another may have it.
//
// Consul decides who; it does not decide what takes effect. Whoever gets the lease
// takes a fencing number at the broker and puts it on everything it does.
type Lease struct {
	node  *Node
	job   string
	bound string // service whose heartbeat the session hangs on
	log   *zap.Logger

	mu     sync.Mutex
	holder string
}

// lockDelay is for how long Consul lets nobody have the lease of a session that ended
// by itself: time for its holder to notice.
const lockDelay = time.Second

// NewLease makes the lease of a job, such as "scheduler". bound is a service that this
// node announces.
func (n *Node) NewLease(job, bound string, log *zap.Logger) *Lease {
	if log == nil {
		log = zap.NewNop()
	}
	l := &Lease{node: n, job: job, bound: bound, log: log.With(zap.String("lease", job))}
	n.metrics.holds(job, false)
	return l
}

func (l *Lease) key() string { return l.node.leaseKey(l.job) }

func (n *Node) leaseKey(job string) string {
	return strings.Join([]string{n.cfg.Name, "lease", job}, "/")
}

// Holder is another node that has the lease, as far as this one knows; empty when none
// is known to.
func (l *Lease) Holder() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == l.node.name {
		return ""
	}
	return l.holder
}

func (l *Lease) seen(holder string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holder = holder
}

// Acquire waits until this node has the lease, or ctx ends. lost is closed when it has
// it no longer; release gives it back, and may be called again. A Consul that does not
// answer is waited for.
func (l *Lease) Acquire(ctx context.Context) (lost <-chan struct{}, release func(), err error) {
	pause := newPause(l.node.beat(), 5*time.Second)
	for {
		session, err := l.take(ctx)
		if err == nil {
			lost, release := l.hold(ctx, session)
			return lost, release, nil
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if errors.Is(err, errTaken) {
			pause.reset()
			continue
		}
		l.log.Debug("Consul does not give the lease", zap.Error(err))
		if !wait(ctx, pause.next()) {
			return nil, nil, ctx.Err()
		}
	}
}

// errTaken: another was faster.
var errTaken = errors.New("another node has the lease")

// take waits until the key is free, and takes it with a session of its own. Who only
// waits asks one question that Consul keeps, and writes nothing.
func (l *Lease) take(ctx context.Context) (session string, err error) {
	if err := l.await(ctx); err != nil {
		return "", err
	}
	if session, err = l.open(ctx); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			l.end(ctx, session)
		}
	}()
	for {
		got, err := l.claim(ctx, session)
		if err != nil || got {
			return session, err
		}
		// Others were faster; or Consul gives it to nobody yet, the end of which is not a
		// change of the key.
		if !wait(ctx, spread(lockDelay/4)) {
			return "", ctx.Err()
		}
		pair, _, err := l.look(ctx, 0, 0)
		if err != nil {
			return "", err
		}
		if pair != nil && pair.Session != "" {
			return "", errTaken
		}
	}
}

// await waits until nobody has the key. That of a process that is known to be dead is
// given back for it.
func (l *Lease) await(ctx context.Context) error {
	index := uint64(0)
	for {
		_, later := l.node.vitals.now()
		asking, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(later, cancel)
		pair, next, err := l.look(asking, index, blockFor)
		stop()
		cancel()
		switch {
		case err != nil && later.Err() != nil && ctx.Err() == nil:
			index = 0 // who is dead has changed
			continue
		case err != nil:
			return err
		case pair == nil || pair.Session == "":
			return nil
		}
		index = next
		holder := string(pair.Value)
		l.seen(holder)
		if l.node.vitals.died(holder) {
			// Consul would keep it for the lock delay after the heartbeat has run out.
			l.log.Info("giving back the lease of a node that has died", zap.String("holder", holder))
			l.free(ctx, pair.Session, holder)
			l.end(ctx, pair.Session)
		} else if holder == l.node.name {
			// Of a process of this node that was killed: our heartbeats keep it alive.
			l.log.Info("ending the session that a process before has left")
			l.end(ctx, pair.Session)
		}
	}
}

// open makes a session on the heartbeat of the announcement.
func (l *Lease) open(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, l.node.callTimeout())
	defer cancel()
	id, _, err := l.node.client.Session().Create(&api.SessionEntry{
		Name: l.job + " of " + l.node.name, LockDelay: lockDelay, Behavior: api.SessionBehaviorRelease,
		NodeChecks: []string{"serfHealth"}, ServiceChecks: []api.ServiceCheck{{ID: "service:" + l.node.id(l.bound)}},
	}, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("opening a session with Consul: %w", err)
	}
	return id, nil
}

// end closes a session, which frees what it held.
func (l *Lease) end(ctx context.Context, session string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.node.callTimeout())
	defer cancel()
	if _, err := l.node.client.Session().Destroy(session, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
		l.log.Debug("a session with Consul runs out by itself", zap.Error(err))
	}
}

// LeaseState is who has a lease, by what Consul says.
type LeaseState struct {
	Job    string
	Holder string    // "" when nobody has it
	Since  time.Time // by the holder's clock; zero when it does not say
}

// Leases lists all leases that there ever were, by job. An error is Consul's.
func (n *Node) Leases(ctx context.Context) ([]LeaseState, error) {
	ctx, cancel := context.WithTimeout(ctx, n.callTimeout())
	defer cancel()
	pairs, _, err := n.client.KV().List(n.leaseKey(""), (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("reading the leases: %w", err)
	}
	var all []LeaseState
	for _, p := range pairs {
		s := LeaseState{Job: strings.TrimPrefix(p.Key, n.leaseKey(""))}
		if p.Session != "" {
			s.Holder = string(p.Value)
			if p.Flags > 0 {
				s.Since = time.Unix(int64(p.Flags), 0).UTC() //nolint:gosec // we have written it
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// free gives the key of a holder back at once: of a session that only ends, Consul keeps
// it for the lock delay.
func (l *Lease) free(ctx context.Context, session, holder string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.node.callTimeout())
	defer cancel()
	pair := &api.KVPair{Key: l.key(), Value: []byte(holder), Session: session}
	if _, _, err := l.node.client.KV().Release(pair, (&api.WriteOptions{}).WithContext(ctx)); err != nil {
		l.log.Debug("the lease runs out by itself", zap.Error(err))
	}
}

func (l *Lease) claim(ctx context.Context, session string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, l.node.callTimeout())
	defer cancel()
	got, _, err := l.node.client.KV().Acquire(&api.KVPair{
		Key: l.key(), Value: []byte(l.node.name), Session: session, Flags: uint64(time.Now().Unix()), //nolint:gosec // after 1970
	}, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return false, fmt.Errorf("taking the lease %s: %w", l.job, err)
	}
	return got, nil
}

// look reads the key once it is beyond index, or after a while.
func (l *Lease) look(ctx context.Context, index uint64, block time.Duration) (*api.KVPair, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, block+l.node.callTimeout())
	defer cancel()
	pair, meta, err := l.node.client.KV().Get(l.key(), (&api.QueryOptions{WaitIndex: index, WaitTime: block, RequireConsistent: true}).WithContext(ctx))
	if err != nil {
		return nil, 0, fmt.Errorf("reading the lease %s: %w", l.job, err)
	}
	if meta.LastIndex < index {
		return pair, 0, nil
	}
	return pair, max(meta.LastIndex, 1), nil
}

// hold watches the key until ctx of release ends or another has it.
func (l *Lease) hold(ctx context.Context, session string) (<-chan struct{}, func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	lost, ended := make(chan struct{}), make(chan struct{})
	l.seen(l.node.name)
	l.node.metrics.holds(l.job, true)
	go func() {
		defer close(ended)
		watch := supervise.NewCrew(ctx)
		watch.Go(func(ctx context.Context) { session = l.keep(ctx, session) })
		err := watch.Wait()
		if err != nil {
			// Nobody knows any more whether it is held: whoever has it gives it back.
			var p *supervise.PanicError
			errors.As(err, &p)
			l.log.Error("the lease is not watched any more, and given up", zap.Error(err), zap.String("stack", p.Stack))
		}
		if session == "" || err != nil {
			l.node.metrics.holds(l.job, false)
			close(lost)
		}
	}()
	return lost, sync.OnceFunc(func() {
		cancel()
		<-ended
		if session == "" {
			return
		}
		l.seen("")
		l.node.metrics.holds(l.job, false)
		l.free(ctx, session, l.node.name)
		l.end(ctx, session)
	})
}

// keep returns the session that has the lease when ctx ends, "" when it is lost. From a
// Consul that has lost its data the lease is taken again, if nobody was faster.
func (l *Lease) keep(ctx context.Context, session string) string {
	index, pause := uint64(0), newPause(l.node.beat(), 5*time.Second)
	for {
		pair, next, err := l.look(ctx, index, blockFor)
		switch {
		case ctx.Err() != nil:
			return session
		case err != nil:
			index = 0
			if !wait(ctx, pause.next()) {
				return session
			}
			continue
		}
		index = next
		pause.reset()
		if pair != nil && pair.Session == session {
			continue
		}
		if pair != nil && pair.Session != "" {
			l.log.Warn("another node has the lease now", zap.String("holder", string(pair.Value)))
			l.seen(string(pair.Value))
			return ""
		}
		if pair != nil {
			// Consul has freed it, because we were silent: others are to have their turn.
			l.log.Warn("the lease has run out")
			l.seen("")
			return ""
		}
		again, err := l.open(ctx)
		if err != nil {
			index = 0
			if !wait(ctx, pause.next()) {
				return session
			}
			continue
		}
		got, err := l.claim(ctx, again)
		if err != nil || !got {
			l.end(ctx, again)
			if !wait(ctx, pause.next()) {
				return session
			}
			index = 0
			continue
		}
		l.log.Info("took the lease again from a Consul that had lost it")
		session = again
	}
}
