package storage

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// state is where a reader is; see doc.go.
type state uint8

const (
	stopped state = iota
	opening
	reading
	draining
	faulted
)

func (s state) String() string {
	return [...]string{"stopped", "opening", "reading", "draining", "faulted"}[s]
}

// progress is what is known of one shard's reader. It outlives the reader's
// incarnations; any goroutine may ask it.
type progress struct {
	shard int

	mu          sync.Mutex
	state       state
	fault       error
	faultedIn   uint64 // the incarnation that met the fault
	retry       error  // why the journal was out of reach last
	retryAt     time.Time
	publish     error // why the last Publish failed; nil after one that did not
	publishedAt time.Time
	failures    int // of Publish in a row
	waiting     bool
	registered  uint64
	last        Read
	cut         uint64   // bytes that the broker cut off the journal when it started
	adopting    bool     // an adoption uses the engine in the reader's place
	copying     *copying // what is copied from a peer; nil: nothing has to be

	turn  string // the node whose turn it is, of a store that several share; "" while it is this one's
	share share  // nil unless it is

	fresh  freshness
	reader atomic.Pointer[ref]
	tables [market.NumKinds]*table // nil for kinds that are never stored

	flush     chan struct{} // what is applied is to be published now
	published chan struct{} // closed at the next publication
	written   chan struct{} // a writer has written what was sealed
	rewind    chan error    // the store has lost what it had taken
}

func newProgress(shard int) *progress {
	p := &progress{
		shard: shard, flush: make(chan struct{}, 1), published: make(chan struct{}), written: make(chan struct{}, 1), rewind: make(chan error, 1),
	}
	for _, kind := range market.Kinds() {
		if kind.Table() != "" {
			p.tables[kind] = &table{kind: kind}
		}
	}
	return p
}

// nextPublished is closed when the next publication has succeeded.
func (p *progress) nextPublished() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.published
}

// Read is the last message that a reader has applied.
type Read struct {
	Seq     uint64    `json:"seq" doc:"its position in the journal; 0 before the first"`
	Stored  time.Time `json:"stored" doc:"when the broker had stored it, by its clock"`
	Pending uint64    `json:"pending" doc:"messages that were behind it when it was sent"`
}

func (p *progress) set(change func(p *progress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *progress) enter(s state) { p.set(func(p *progress) { p.state = s }) }

// faulted is why the shard cannot be read on; nil while it can.
func (p *progress) faulted() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

// begin says whether an incarnation is to read: not the one that follows a fault,
// which has restarted it; a later one was asked for by hand.
func (p *progress) begin(incarnation uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retry, p.waiting = nil, false
	if p.adopting || p.fault != nil && incarnation <= p.faultedIn+1 {
		p.state = faulted
		return false
	}
	p.fault, p.state = nil, opening
	return true
}

func (p *progress) fail(err error, incarnation uint64) {
	p.set(func(p *progress) { p.fault, p.faultedIn, p.state = err, incarnation, faulted })
}

// retryFresh is how long a lost connection is worth a warning; an attempt takes less.
const retryFresh = 10 * time.Second

// health is what a health check must say: failures, and warnings.
func (p *progress) health() (failures, warnings []error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wrap := func(what string, err error) error { return fmt.Errorf("shard %d: %s: %w", p.shard, what, err) }
	if p.fault != nil {
		failures = append(failures, wrap("reading has stopped", p.fault))
	}
	if c := p.copying; c != nil {
		failures = append(failures, wrap("incomplete", c.trouble()))
	}
	if p.cut > 0 {
		failures = append(failures, fmt.Errorf("shard %d: the end of the journal was unreadable when the broker started, and %d bytes of it were cut off: "+
			"what was acknowledged there is lost, unless it was being written when the machine stopped", p.shard, p.cut))
	}
	if p.retry != nil && time.Since(p.retryAt) < retryFresh {
		warnings = append(warnings, wrap("the journal is out of reach", p.retry))
	}
	late := []error{p.publish}
	for _, t := range p.tables {
		if t != nil {
			late = append(late, t.trouble())
		}
	}
	if err := errors.Join(late...); err != nil {
		err = wrap("publishing fails", err)
		if p.waiting {
			failures = append(failures, err)
		} else {
			warnings = append(warnings, err)
		}
	}
	return failures, warnings
}

// upkeep is what is known of the lifecycle.
type upkeep struct {
	mu          sync.Mutex
	err         error // of the last run
	at          time.Time
	quarantined []persistence.Quarantined
	bytes       int64 // of the hot store, when they were counted last
	cold        error // why the cold store does not answer
}

// setCold notes how the cold store answered, and tells when that has changed.
func (u *upkeep) setCold(err error, changed func(away bool)) {
	u.mu.Lock()
	was := u.cold
	u.cold = err
	u.mu.Unlock()
	if (was == nil) != (err == nil) {
		changed(err != nil)
	}
}

func (u *upkeep) set(at time.Time, m maintained) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at, u.err = at, m.err
	if m.quarantined != nil { // it was counted
		u.quarantined, u.bytes = m.quarantined, m.bytes
	}
}

// size is what the hot store took on disk when that was counted last.
func (u *upkeep) size() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.bytes
}

func (u *upkeep) health() (failures, warnings []error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, q := range u.quarantined {
		failures = append(failures, fmt.Errorf("%s is damaged and was moved to %s: %s", q.Part.Path, q.Path, q.Reason))
	}
	if u.err != nil {
		warnings = append(warnings, fmt.Errorf("maintenance: %w", u.err))
	}
	return failures, warnings
}

// Health is what ails the store, for the health report: without failures and
// warnings it is well. It asks nobody and is quick.
func (h *Handle) Health() (failures, warnings []error) {
	for _, p := range h.shards {
		f, w := p.health()
		failures, warnings = append(failures, f...), append(warnings, w...)
	}
	warnings = append(warnings, h.options.Engine.Ailments()...)
	f, w := h.lifecycle.health()
	failures, warnings = append(failures, f...), append(warnings, w...)
	if err := h.operations.health(); err != nil {
		warnings = append(warnings, err)
	}
	f, w = h.tiersHealth()
	return append(failures, f...), append(warnings, w...)
}
