package scheduler

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
)

// Lease decides who leads.
type Lease interface {
	// Acquire waits until this process leads, or ctx ends. lost is closed when it does
	// so no longer; release gives the leadership up, and may be called again.
	Acquire(ctx context.Context) (lost <-chan struct{}, release func(), err error)
	// Holder is another node that leads, as far as this one knows; empty when none is
	// known to.
	Holder() string
}

// Alone is the lease of an installation with one scheduler.
type Alone struct{}

// Acquire implements [Lease].
func (Alone) Acquire(context.Context) (<-chan struct{}, func(), error) {
	return nil, func() {}, nil
}

// Holder implements [Lease].
func (Alone) Holder() string { return "" }

// leaseKey is where the claim of the leader stands, beside the tasks.
const leaseKey = allControls + "lease"

// SharedLease is the lease of schedulers that share a broker: whoever leads claims a
// key, and claims it anew every quarter of a term. The others wait until it has said
// nothing for a whole term, by their own clocks, or has given up. The leader itself
// believes so for three quarters of a term. That only decides who tries: what keeps a
// leader that was suspended from recording anything is the ledger.
//
// A process that starts takes the claim of the one before on the same node at once;
// one that has lost it to another waits like everybody else.
type SharedLease struct {
	documents ledger.Documents
	node      string
	process   string
	term      time.Duration

	mu     sync.Mutex
	held   bool // ever
	holder string
}

// NewSharedLease makes the lease of a process on a node; term is at least a second.
func NewSharedLease(d ledger.Documents, node string, term time.Duration) *SharedLease {
	return &SharedLease{documents: d, node: node, process: rand.Text()[:12], term: max(term, time.Second)}
}

// claim is what the key holds.
type claim struct {
	Node    string    `json:"node"`
	Process string    `json:"process"` // empty: nobody leads
	At      time.Time `json:"at"`
}

// Holder implements [Lease].
func (l *SharedLease) Holder() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder
}

func (l *SharedLease) seen(holder string, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holder, l.held = holder, l.held || held
}

// Acquire implements [Lease]. Error: [ledger.ErrUnavailable].
func (l *SharedLease) Acquire(ctx context.Context) (<-chan struct{}, func(), error) {
	last, since := uint64(0), time.Now()
	for {
		at := time.Now()
		theirs, revision, err := l.read(ctx)
		if err != nil {
			return nil, nil, err
		}
		if revision != last {
			last, since = revision, at
		}
		if l.free(theirs) || at.Sub(since) >= l.term {
			revision, err = l.claim(ctx, revision, l.process)
			if err == nil {
				l.seen("", true)
				lost, release := l.hold(ctx, revision, at)
				return lost, release, nil
			}
			if !errors.Is(err, ledger.ErrConflict) {
				return nil, nil, err
			}
			continue
		}
		l.seen(theirs.Node, false)
		if !pause(ctx, l.term/4) {
			return nil, nil, ctx.Err()
		}
	}
}

// free says whether a claim stands in nobody's way.
func (l *SharedLease) free(c claim) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.Process == "" || c.Process == l.process || c.Node == l.node && !l.held
}

func (l *SharedLease) read(ctx context.Context) (c claim, revision uint64, err error) {
	d, there, err := l.documents.Get(ctx, leaseKey)
	if err != nil || !there {
		return claim{}, 0, err
	}
	if err := json.Unmarshal(d.Value, &c); err != nil {
		return claim{}, 0, fmt.Errorf("reading who leads: %w", err)
	}
	return c, d.Revision, nil
}

func (l *SharedLease) claim(ctx context.Context, revision uint64, process string) (uint64, error) {
	text, err := json.Marshal(claim{l.node, process, time.Now().UTC()})
	if err != nil {
		return 0, fmt.Errorf("encoding who leads: %w", err)
	}
	return l.documents.Put(ctx, leaseKey, text, revision)
}

// releaseTimeout bounds how long giving the lease up may take; it runs out by itself.
const releaseTimeout = 2 * time.Second

// hold claims the key again and again, from a claim that was made at a time on.
func (l *SharedLease) hold(ctx context.Context, revision uint64, at time.Time) (<-chan struct{}, func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	lost, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if revision = l.renew(ctx, revision, at); revision == 0 {
			close(lost)
		}
	}()
	return lost, sync.OnceFunc(func() {
		cancel()
		<-ended
		if revision == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		// If it fails somebody else has it already, or waits for the end of the term.
		_, _ = l.claim(ctx, revision, "")
	})
}

// renew returns the revision of the last claim when ctx ends, 0 when the lease is lost.
// A claim has all the time until the leader would give up: one that takes long is not
// cut off, and one whose answer was lost counts if it stands.
func (l *SharedLease) renew(ctx context.Context, revision uint64, at time.Time) uint64 {
	for next := l.term / 4; pause(ctx, next-time.Since(at)); {
		until := at.Add(l.term * 3 / 4)
		began := time.Now()
		r, state := l.again(ctx, revision, until)
		switch {
		case state == claimLost:
			return 0
		case state == claimStands:
			revision, at, next = r, began, l.term/4
			continue
		case ctx.Err() != nil:
			return revision
		case !time.Now().Before(until):
			return 0
		}
		next = time.Since(at) + l.term/24
	}
	return revision
}

// claimState is what became of an attempt to claim the key anew.
type claimState uint8

const (
	claimUnknown claimState = iota // it may stand or not
	claimStands
	claimLost // another has it
)

// again claims the key anew, and looks what became of it if that failed.
func (l *SharedLease) again(ctx context.Context, revision uint64, until time.Time) (uint64, claimState) {
	one, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	next, err := l.claim(one, revision, l.process)
	if err == nil {
		return next, claimStands
	}
	c, is, err := l.read(one)
	switch {
	case err != nil:
		return revision, claimUnknown
	case c.Process != l.process:
		l.seen(c.Node, true)
		return 0, claimLost
	case is > revision: // the answer was what got lost
		return is, claimStands
	}
	return revision, claimUnknown
}
