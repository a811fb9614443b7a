package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	page = 500 // entries that are read at once
	// scanned bounds what one call looks at; what a filter does not find in it is
	// found by going on from the returned cursor.
	scanned  = 20_000
	readWait = 2 * time.Second
)

// Recent returns the entries that f wants, newest first, and the cursor to go on with
// (Filter.Before), 0 at the end. A call looks at a bounded number of entries: one
// that finds fewer than it may, with a cursor, has not seen everything.
func (l *Log) Recent(ctx context.Context, f Filter) (found []Entry, next uint64, err error) {
	js, err := l.open(ctx)
	if err != nil {
		return nil, 0, err
	}
	stream, err := js.Stream(ctx, StreamName)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the audit log: %w", err)
	}
	state := stream.CachedInfo().State
	found = []Entry{}
	last := state.LastSeq
	if f.Before > 0 {
		last = min(last, f.Before-1)
	}
	for looked := 0; last >= state.FirstSeq && last > 0 && looked < scanned; looked += page {
		first := max(state.FirstSeq, last-min(last-1, page-1))
		entries, err := readRange(ctx, stream, first, last)
		if err != nil {
			return nil, 0, err
		}
		for _, e := range slices.Backward(entries) {
			if !f.From.IsZero() && e.Time.Before(f.From.Add(-time.Minute)) {
				return found, 0, nil // entries are in order of time, but for what waited
			}
			if !f.matches(e) {
				continue
			}
			if found = append(found, e); len(found) == f.limit() {
				return found, after(e.Sequence, state.FirstSeq), nil
			}
		}
		last = first - 1
	}
	return found, after(last+1, state.FirstSeq), nil
}

// after is the cursor behind a sequence; 0 when nothing is.
func after(sequence, first uint64) uint64 {
	if sequence <= first {
		return 0
	}
	return sequence
}

// readRange reads the entries from first to last, both included, in order.
func readRange(ctx context.Context, stream jetstream.Stream, first, last uint64) ([]Entry, error) {
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: first, InactiveThreshold: 10 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	batch, err := consumer.Fetch(int(last-first+1), jetstream.FetchMaxWait(readWait))
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	var entries []Entry
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if meta.Sequence.Stream > last {
			break
		}
		var e Entry
		if err := json.Unmarshal(m.Data(), &e); err != nil {
			return nil, fmt.Errorf("entry %d of the audit log: %w", meta.Sequence.Stream, err)
		}
		e.Sequence = meta.Sequence.Stream
		entries = append(entries, e)
		if e.Sequence == last {
			break
		}
	}
	if err := batch.Error(); err != nil && !errors.Is(err, jetstream.ErrNoMessages) {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return entries, nil
}
