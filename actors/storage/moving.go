package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/marketprism/marketprism/persistence"
)

// flushBelow is the age below which an archive first has published what was applied:
// older rows are in files anyway.
const flushBelow = 10 * time.Minute

// flushPatience bounds the wait for that.
const flushPatience = 30 * time.Second

// mergedSpan is how much younger than the oldest row of a file its others may be.
const mergedSpan = time.Hour

// run does an operation's work.
func (h *Handle) run(ctx context.Context, o *operation) error {
	o.set(func(s *Operation) { s.State, s.Started = OperationRunning, time.Now().UTC() })
	switch o.work.job {
	case JobArchive:
		return h.archive(ctx, o)
	case JobCleanup:
		return h.cleanup(ctx, o)
	case JobUpkeep:
		return h.upkeep(ctx, o)
	default:
		return h.retain(ctx, o)
	}
}

func (h *Handle) archive(ctx context.Context, o *operation) error {
	var late error
	if o.work.age < flushBelow {
		late = h.flush(ctx)
	}
	before := time.Now().Add(-o.work.age)
	total, err := h.options.Tiers.Waiting(ctx, o.work.kinds, before)
	if err != nil {
		return errors.Join(err, late)
	}
	now := o.get()
	options := persistence.ArchiveOptions{Kinds: o.work.kinds, Before: before, Progress: o.progress, Operation: now.ID}
	if now.Resumed > 0 {
		options.Since = now.Created
	}
	o.set(func(s *Operation) { s.Cutoff, s.Total = before.UTC(), s.Rows+total })
	_, err = h.options.Tiers.Archive(ctx, options)
	return errors.Join(err, late)
}

// flush publishes what queries see now. A shard that is not read is left: what it
// has applied is published when it is.
func (h *Handle) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	for k, p := range h.shards {
		for target := h.options.Engine.Applied(k); h.options.Engine.Published(k) < target && p.faulted() == nil; {
			published := p.nextPublished()
			if h.options.Engine.Published(k) >= target {
				break
			}
			signal(p.flush)
			select {
			case <-published:
			case <-ctx.Done():
				return fmt.Errorf("shard %d is published up to %d of %d: %w", k, h.options.Engine.Published(k), target, ctx.Err())
			}
		}
	}
	return nil
}

func (h *Handle) cleanup(ctx context.Context, o *operation) error {
	before := time.Now().Add(-o.work.age)
	o.set(func(s *Operation) { s.Cutoff = before.UTC() })
	if err := h.recount(ctx, o); err != nil {
		return err
	}
	p := h.Policy()
	_, err := h.forget(ctx, before, p, func(r persistence.Removal, remove func() error) error { return h.remove(o, r, remove) })
	kept := int64(0)
	if err == nil && p.Lifecycle.Archive {
		kept, err = h.options.Tiers.Waiting(ctx, nil, before)
	}
	o.set(func(s *Operation) { s.Total, s.Kept = s.Rows, kept })
	return err
}

// remove notes what is about to be removed, removes it, and counts it: a process that
// is ended in between leaves enough for the next one to find out.
func (h *Handle) remove(o *operation, r persistence.Removal, remove func() error) error {
	o.setRemoving(&r)
	h.operations.save()
	if err := remove(); err != nil {
		return err // it may have been removed; whoever takes the operation up asks
	}
	o.set(func(s *Operation) { s.Rows += r.Rows })
	o.setRemoving(nil)
	return nil
}

// recount counts what a process before was removing when it ended, if it has.
func (h *Handle) recount(ctx context.Context, o *operation) error {
	_, r := o.both()
	if r == nil {
		return nil
	}
	done, err := h.options.Tiers.Removed(ctx, *r)
	if err != nil {
		return err
	}
	if done {
		o.set(func(s *Operation) { s.Rows += r.Rows })
	}
	o.setRemoving(nil)
	return nil
}

// forget removes what is archived or, where nothing is, everything of that age.
func (h *Handle) forget(ctx context.Context, before time.Time, p PolicyConfig, step func(persistence.Removal, func() error) error) (int64, error) {
	if !p.Lifecycle.Archive {
		before = before.Add(-mergedSpan)
	}
	rows, err := h.options.Tiers.Forget(ctx, persistence.ForgetOptions{Before: before, All: !p.Lifecycle.Archive, Step: step})
	h.metrics.forgotten.Add(float64(rows))
	return rows, err
}

// retain applies the limits.
func (h *Handle) retain(ctx context.Context, o *operation) error {
	p, tiers := h.Policy(), h.options.Tiers
	removed, sizeErr := h.shrink(ctx, p)
	rows, ageErr := h.forget(ctx, time.Now().Add(-p.ttl()), p, nil)
	removed += rows
	var coldErr error
	if p.ColdTTLDays > 0 {
		rows, coldErr = tiers.Retain(ctx, time.Duration(p.ColdTTLDays)*24*time.Hour)
		h.metrics.deleted.Add(float64(rows))
		removed += rows
	}
	o.set(func(s *Operation) { s.Rows, s.Total = removed, removed })
	return errors.Join(sizeErr, ageErr, coldErr)
}

// shrink brings the hot store below its size, oldest rows first; what is not
// archived is archived before.
func (h *Handle) shrink(ctx context.Context, p PolicyConfig) (rows int64, err error) {
	limit := p.sizeLimit()
	if limit == 0 {
		return 0, nil
	}
	sizes, err := h.options.Tiers.Sizes(ctx)
	if err != nil {
		return 0, err
	}
	over := -limit
	for _, s := range sizes {
		over += s.Bytes
	}
	if over <= 0 {
		return 0, nil
	}
	over += limit / 10 // so that it is not done again at once
	slices.SortFunc(sizes, func(a, b persistence.Size) int { return a.Arrived.Compare(b.Arrived) })
	var before time.Time
	for _, s := range sizes {
		if over <= 0 {
			break
		}
		over -= s.Bytes
		before = s.Arrived.Add(time.Nanosecond)
	}
	if p.Lifecycle.Archive {
		if _, err := h.options.Tiers.Archive(ctx, persistence.ArchiveOptions{Before: before}); err != nil {
			return 0, fmt.Errorf("archiving early, for the hot store is larger than %d bytes: %w", limit, err)
		}
	}
	rows, err = h.options.Tiers.Forget(ctx, persistence.ForgetOptions{Before: before, All: !p.Lifecycle.Archive})
	h.metrics.forgotten.Add(float64(rows))
	return rows, err
}

// hotBytes is the size of the hot store on disk: of its files, or, where it has none of
// its own, what was counted last.
func (h *Handle) hotBytes() (bytes int64) {
	parts := h.options.Engine.Parts()
	if len(parts) == 0 {
		return h.lifecycle.size()
	}
	for i := range parts {
		bytes += parts[i].Bytes
	}
	return bytes
}

// Lag is how long ago the oldest row arrived that should be archived and is not; 0
// without any, and where nothing is archived by itself.
func (h *Handle) Lag() time.Duration {
	if h.options.Tiers == nil || !h.Policy().Lifecycle.Archive {
		return 0
	}
	if _, oldest := h.options.Tiers.Behind(); !oldest.IsZero() {
		return max(0, time.Since(oldest))
	}
	return 0
}

// tiersHealth is what ails the cold store and the way there.
func (h *Handle) tiersHealth() (failures, warnings []error) {
	if h.options.Tiers == nil {
		return nil, nil
	}
	st := h.options.Tiers.ColdStats()
	for _, d := range st.Damaged {
		failures = append(failures, fmt.Errorf("%s of the cold store is damaged: %s", d.Path, d.Reason))
	}
	switch {
	case st.Problem != "" && st.Corrupt:
		failures = append(failures, fmt.Errorf("cold store %s: %s", st.Place, st.Problem))
	case st.Problem != "":
		warnings = append(warnings, fmt.Errorf("cold store %s: %s; queries that need it are refused", st.Place, st.Problem))
	}
	if why := h.archiveFault.Load(); why != nil && *why != nil {
		warnings = append(warnings, fmt.Errorf("the last archive failed: %w", *why))
	}
	if lag, ttl := h.Lag(), h.Policy().ttl(); lag > ttl/2 {
		warnings = append(warnings, fmt.Errorf("archiving is late: the oldest row that is not archived arrived %v ago, more than half of the %v that the hot store keeps rows",
			lag.Round(time.Second), ttl))
	}
	return failures, warnings
}

// Policy is when rows move and go.
func (h *Handle) Policy() PolicyConfig { return *h.policy.Load() }

// SetPolicy changes it while everything runs.
func (h *Handle) SetPolicy(p PolicyConfig) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("storage policy: %w", err)
	}
	h.policy.Store(&p)
	return nil
}
