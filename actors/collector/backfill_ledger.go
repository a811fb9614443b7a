package collector

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	documents "github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/internal/market"
)

// backfillVersion is the form of a document.
const backfillVersion = 1

// idleLimit is how many processes in a row may end over an operation of which none has
// made a step: one that ends the process must not end every one after it.
const idleLimit = 3

// backfillDocument is an operation as it is kept, under "<market>.<id>" ("binance-spot" is
// a market): what was asked for, and how it is.
type backfillDocument struct {
	Version int      `json:"version"`
	Node    string   `json:"node,omitempty"` // that runs it, where there are several
	Symbol  string   `json:"symbol"`
	Native  string   `json:"native_symbol"`
	Kinds   []string `json:"kinds"`
	Gaps    bool     `json:"gaps"`
	// From and To are Unix ns; 0 is none.
	From int64 `json:"from_ns"`
	To   int64 `json:"to_ns"`

	State   BackfillState `json:"state"`
	Problem string        `json:"problem,omitempty"`
	Parts   []string      `json:"parts"`
	// Created, Started and Finished are Unix ns; 0 before they happened.
	Created      int64          `json:"created_ns"`
	Started      int64          `json:"started_ns,omitempty"`
	Finished     int64          `json:"finished_ns,omitempty"`
	Progress     float64        `json:"progress"`
	Counts       BackfillCounts `json:"counts"`
	Unobtainable []Unobtainable `json:"unobtainable,omitempty"`
	Resumed      int            `json:"resumed,omitempty"`
	// Idle counts the processes, the last ones, that have ended without a step of it.
	Idle int `json:"idle,omitempty"`
}

// document is the operation as it is to be kept; the lock is held.
func (b *backfill) document() backfillDocument {
	s := b.status
	if b.ending != "" && !s.State.Over() {
		s.State, s.Finished = b.ending, b.finished
		if s.State == BackfillSucceeded {
			s.Progress, s.Problem = 1, ""
		}
	}
	return backfillDocument{
		Version: backfillVersion, Node: b.venue.opts.Node, Symbol: s.Instrument.Symbol, Native: s.Instrument.Native, Kinds: b.request.Kinds, Gaps: s.Gaps,
		From: bound(s.From), To: bound(s.To), State: s.State, Problem: s.Problem, Parts: s.Parts,
		Created: bound(s.Created), Started: bound(s.Started), Finished: bound(s.Finished), Progress: s.Progress,
		Counts: s.BackfillCounts, Unobtainable: s.Unobtainable, Resumed: s.Resumed, Idle: b.idle,
	}
}

func documentOf(d documents.Document) (doc backfillDocument, err error) {
	if err := json.Unmarshal(d.Value, &doc); err != nil {
		return doc, err
	}
	if doc.Version != backfillVersion {
		return doc, fmt.Errorf("its version is %d, this program knows %d", doc.Version, backfillVersion)
	}
	return doc, nil
}

// written is what is written of the operation; the lock is held.
func (b *backfill) written() ([]byte, error) {
	value, err := json.Marshal(b.document())
	if err != nil {
		return nil, fmt.Errorf("writing backfill %s: %w", b.status.ID, err)
	}
	return value, nil
}

// recalled is an operation that a process before has left; nil when another
// node runs it.
func (v *venue) recalled(d documents.Document) (*backfill, error) {
	doc, err := documentOf(d)
	if err != nil {
		return nil, err
	}
	if doc.Node != "" && v.opts.Node != "" && doc.Node != v.opts.Node {
		return nil, nil //nolint:nilnil // it is another node's
	}
	return v.restored(d, doc), nil
}

// restored is an operation as its document says.
func (v *venue) restored(d documents.Document, doc backfillDocument) *backfill {
	at := func(ns int64) time.Time {
		if ns == 0 {
			return time.Time{}
		}
		return time.Unix(0, ns)
	}
	b := &backfill{venue: v, over: make(chan struct{}), revision: d.Revision, idle: doc.Idle}
	b.request = BackfillRequest{
		Exchange: v.exchange, Market: v.market.String(), Symbol: doc.Symbol, Kinds: doc.Kinds, Gaps: doc.Gaps, From: at(doc.From), To: at(doc.To),
	}
	b.status = BackfillStatus{
		ID: d.Key[len(v.backfillPrefix()):], Instrument: &market.Instrument{Exchange: v.exchange, Market: v.market, Symbol: doc.Symbol, Native: doc.Native},
		Parts: doc.Parts, Gaps: doc.Gaps, From: b.request.From, To: b.request.To, State: doc.State, Problem: doc.Problem,
		Created: at(doc.Created), Started: at(doc.Started), Finished: at(doc.Finished), Progress: doc.Progress,
		BackfillCounts: doc.Counts, Unobtainable: doc.Unobtainable, Resumed: doc.Resumed,
	}
	switch {
	case b.status.State.Over():
		close(b.over)
		return b
	case doc.State == BackfillRunning:
		b.status.State = BackfillQueued
		b.status.Resumed++
		b.idle++
		b.changed = true
	}
	b.again = true
	if b.idle >= idleLimit {
		b.status.Problem = fmt.Sprintf("%d processes in a row ended over it", b.idle)
		b.ends(BackfillFailed)
	}
	return b
}

// backfillPrefix begins the keys of a market's operations.
func (v *venue) backfillPrefix() string { return v.name + "." }

// keep writes an operation as it is now; what has not changed since it was written last
// is left. Error: [documents.ErrUnavailable].
func (b *backfill) keep(ctx context.Context) error {
	store := b.venue.opts.Backfills
	if store == nil {
		return nil
	}
	b.keeping.Lock()
	defer b.keeping.Unlock()
	b.mu.Lock()
	if !b.changed {
		b.mu.Unlock()
		return nil
	}
	b.changed = false
	id, revision := b.status.ID, b.revision
	value, err := b.written()
	b.mu.Unlock()
	if err != nil {
		return err
	}
	key := b.venue.backfillPrefix() + id
	next, err := store.Put(ctx, key, value, revision)
	if errors.Is(err, documents.ErrConflict) { // an answer of before was lost, or another node has taken it over
		var now documents.Document
		if now, _, err = store.Get(ctx, key); err == nil {
			if doc, unread := documentOf(now); unread == nil && doc.Node != b.venue.opts.Node && now.Revision != 0 && b.venue.opts.Node != "" && doc.Node != "" {
				b.lose()
				return nil
			}
			next, err = store.Put(ctx, key, value, now.Revision)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.changed = true
		return fmt.Errorf("keeping backfill %s: %w", id, err)
	}
	b.revision = next
	return nil
}

// drop removes the document of an operation that nobody asks about any more.
func (b *backfill) drop(ctx context.Context) error {
	store := b.venue.opts.Backfills
	if store == nil {
		return nil
	}
	b.keeping.Lock()
	defer b.keeping.Unlock()
	b.mu.Lock()
	key, revision := b.venue.backfillPrefix()+b.status.ID, b.revision
	b.mu.Unlock()
	if err := store.Remove(ctx, key, revision); err != nil && !errors.Is(err, documents.ErrConflict) {
		return fmt.Errorf("forgetting backfill %s: %w", key, err)
	}
	return nil
}

// keepAll writes what has changed of a market's operations, and removes what is
// forgotten.
func (l *backfills) keepAll(ctx context.Context) error {
	l.mu.Lock()
	gone := l.gone
	l.gone = nil
	l.mu.Unlock()
	var errs []error
	for _, b := range gone {
		if err := b.drop(ctx); err != nil {
			l.mu.Lock()
			l.gone = append(l.gone, b)
			l.mu.Unlock()
			errs = append(errs, err)
		}
	}
	for _, b := range l.all() {
		errs = append(errs, b.keep(ctx))
	}
	return errors.Join(errs...)
}

// load reads what processes before have left. Documents that cannot be read are named
// and left.
func (v *venue) loadBackfills(ctx context.Context) (list []*backfill, unreadable []error, err error) {
	found, err := v.opts.Backfills.Load(ctx, v.backfillPrefix())
	if err != nil {
		return nil, nil, fmt.Errorf("loading the backfills of %s: %w", v.name, err)
	}
	for _, d := range found {
		b, err := v.recalled(d)
		if err != nil {
			unreadable = append(unreadable, fmt.Errorf("backfill %s: %w", d.Key, err))
			continue
		}
		if b != nil {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, byAge)
	return list, unreadable, nil
}

func byAge(a, b *backfill) int {
	return cmp.Or(a.status.Created.Compare(b.status.Created), cmp.Compare(a.status.ID, b.status.ID))
}

// recall puts what was loaded before what has come since.
func (l *backfills) recall(list []*backfill) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recalled {
		return
	}
	l.recalled = true
	own := map[string]bool{}
	for _, b := range l.list {
		own[b.status.ID] = true
	}
	list = slices.DeleteFunc(list, func(b *backfill) bool { return own[b.status.ID] })
	l.list = append(list, l.list...)
	l.forget()
}

func (l *backfills) isRecalled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recalled
}
