package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marketprism/marketprism/persistence/journal"
)

// JournalReader is a store that the journal keeps its messages for.
type JournalReader struct {
	journal.Registered
	Own       bool   `json:"own" doc:"it is this node's"`
	Behind    uint64 `json:"behind" doc:"messages that it has not stored"`
	HoldsBack bool   `json:"holds_back" doc:"the journal would be purged further without it"`
}

// Readers lists the journal's readers, by shard and position. Errors: those of asking the
// journal.
func (h *Handle) Readers(ctx context.Context) (all []JournalReader, err error) {
	j, err := h.options.Journal(ctx)
	if err != nil {
		return nil, err
	}
	registry, err := j.Registry(ctx)
	if err != nil {
		return nil, err
	}
	for k := range h.shards {
		st, err := j.State(ctx, k)
		if err != nil {
			return nil, err
		}
		readers, err := registry.Readers(ctx, k)
		if err != nil {
			return nil, err
		}
		for i, r := range readers {
			one := JournalReader{Registered: r, Own: r.Reader == h.options.ReaderID}
			if st.Last > r.Position {
				one.Behind = st.Last - r.Position
			}
			one.HoldsBack = i == 0 && one.Behind > 1 && len(readers) > 1 && readers[1].Position > r.Position
			if h.options.Owner != nil {
				if node, known := h.options.Owner(r.Reader); known {
					one.Node = node
				}
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// Why a reader is not retired.
var (
	// ErrNoReader: the journal has no reader of that name.
	ErrNoReader = errors.New("no such reader of the journal")
	// ErrReaderInUse: it is somebody's, or may be.
	ErrReaderInUse = errors.New("the reader is in use")
	// ErrLastCopy: nobody else keeps a full copy.
	ErrLastCopy = errors.New("nobody else keeps a full copy")
)

// Retire removes a reader that nobody uses any more: it is not this node's, no node that is
// known has its name, it is behind and has said nothing for Config.RetireAfter, and what it
// was to store is kept by another. Should it come back, it copies what it lacks. Errors:
// ErrNoReader, ErrReaderInUse, ErrLastCopy, those of asking the journal.
func (h *Handle) Retire(ctx context.Context, reader string) (retired []JournalReader, err error) {
	all, err := h.Readers(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.Reader != reader {
			continue
		}
		if err := h.retirable(r, all); err != nil {
			return nil, err
		}
		retired = append(retired, r)
	}
	if len(retired) == 0 {
		return nil, fmt.Errorf("%w: %q", ErrNoReader, reader)
	}
	j, err := h.options.Journal(ctx)
	if err != nil {
		return nil, err
	}
	registry, err := j.Registry(ctx)
	if err != nil {
		return nil, err
	}
	for i, r := range retired {
		err := registry.Retire(ctx, r.Registered)
		if errors.Is(err, journal.ErrReaderMoved) {
			err = fmt.Errorf("%w: %w", ErrReaderInUse, err)
		}
		if err != nil {
			return retired[:i], err
		}
	}
	return retired, nil
}

func (h *Handle) retirable(r JournalReader, all []JournalReader) error {
	ago := time.Since(r.Moved)
	switch {
	case r.Own:
		return fmt.Errorf("%w: %s is this node's", ErrReaderInUse, r.Reader)
	case r.Node != "":
		return fmt.Errorf("%w: %s is that of %s", ErrReaderInUse, r.Reader, r.Node)
	case r.Behind == 0:
		return fmt.Errorf("%w: %s has all of shard %d, and holds nothing back", ErrReaderInUse, r.Reader, r.Shard)
	case ago < h.options.Config.RetireAfter:
		return fmt.Errorf("%w: %s moved %v ago; it has to be silent for %v", ErrReaderInUse, r.Reader, ago.Round(time.Second), h.options.Config.RetireAfter)
	}
	keeps := func(o JournalReader) bool {
		return o.Shard == r.Shard && o.Reader != r.Reader && o.Position >= r.Position && (o.FullCopy || !r.FullCopy)
	}
	if !slices.ContainsFunc(all, keeps) {
		return fmt.Errorf("%w: %s, of shard %d", ErrLastCopy, r.Reader, r.Shard)
	}
	return nil
}
