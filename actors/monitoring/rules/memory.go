package rules

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/monitoring/series"
)

// Remembered is the state of a group's alerts as it survives a restart.
type Remembered struct {
	File   string            `json:"file"`
	Group  string            `json:"group"`
	At     time.Time         `json:"at"` // when it was so
	Alerts []RememberedAlert `json:"alerts"`
}

// RememberedAlert is one of them.
type RememberedAlert struct {
	Rule            string            `json:"rule"`
	Labels          map[string]string `json:"labels"`
	Annotations     map[string]string `json:"annotations"`
	State           alert.State       `json:"state"`
	Value           string            `json:"value"` // as text: it may be infinite, or no number
	ActiveAt        time.Time         `json:"active_at"`
	FiredAt         time.Time         `json:"fired_at,omitzero"`
	ResolvedAt      time.Time         `json:"resolved_at,omitzero"`
	KeepFiringSince time.Time         `json:"keep_firing_since,omitzero"`
}

// Memory keeps the state of alerts where it survives a restart.
type Memory interface {
	// Load returns what was saved last of every group.
	Load(ctx context.Context) ([]Remembered, error)
	// Save keeps the state of one group instead of what was saved before.
	Save(ctx context.Context, r Remembered) error
}

// prefix of the keys in a bucket.
const prefix = "rules."

// Bucket is a Memory in a bucket, one document a group.
type Bucket struct {
	store bucket.Store

	mu        sync.Mutex
	revisions map[string]uint64
}

// NewBucket makes a Memory in a bucket, in which others may keep what they have under
// other keys.
func NewBucket(store bucket.Store) *Bucket {
	return &Bucket{store: store, revisions: map[string]uint64{}}
}

// Load implements Memory.
func (b *Bucket) Load(ctx context.Context) ([]Remembered, error) {
	documents, err := b.store.Load(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("reading the state of alerts: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Remembered
	for _, d := range documents {
		b.revisions[d.Key] = d.Revision
		var r Remembered
		if err := json.Unmarshal(d.Value, &r); err != nil {
			return nil, fmt.Errorf("reading the state of alerts in %s: %w", d.Key, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// Pauses between attempts to write what another has written meanwhile, and how many
// there are.
const (
	saveTries = 6
	firstSave = 5 * time.Millisecond
)

// Save implements Memory. The last writer wins: two nodes that evaluate the same rules
// find the same. One that is beaten again and again says so (bucket.ErrConflict).
func (b *Bucket) Save(ctx context.Context, r Remembered) error {
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("writing the state of alerts: %w", err)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.File + "\xff" + r.Group))
	key := prefix + strconv.FormatUint(h.Sum64(), 16)
	b.mu.Lock()
	defer b.mu.Unlock()
	for try, pause := 1, firstSave; ; try, pause = try+1, 2*pause {
		revision, err := b.store.Put(ctx, key, value, b.revisions[key])
		if err == nil {
			b.revisions[key] = revision
			return nil
		}
		if try == saveTries || !errors.Is(err, bucket.ErrConflict) {
			return fmt.Errorf("writing the state of alerts: %w", err)
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)): // two that write at the same moments drift apart
		case <-ctx.Done():
			return fmt.Errorf("writing the state of alerts: %w, after %w", ctx.Err(), err)
		}
		d, found, err := b.store.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("writing the state of alerts: %w", err)
		}
		if b.revisions[key] = d.Revision; !found {
			delete(b.revisions, key)
		}
	}
}

// Remember is the state of the group's alerts, to be kept.
func (g *Group) Remember(at time.Time) Remembered {
	g.mu.RLock()
	defer g.mu.RUnlock()
	out := Remembered{File: g.file, Group: g.def.Name, At: at, Alerts: []RememberedAlert{}}
	for _, r := range g.rules {
		for _, i := range r.active {
			out.Alerts = append(out.Alerts, RememberedAlert{
				Rule: r.def.Alert, Labels: i.labels.Map(), Annotations: i.annotations, State: i.state, Value: strconv.FormatFloat(i.value, 'g', -1, 64),
				ActiveAt: i.activeAt, FiredAt: i.firedAt, ResolvedAt: i.resolvedAt, KeepFiringSince: i.keepFiringSince,
			})
		}
	}
	return out
}

// Recall brings back alerts as they were remembered; an alert that is known already
// stays as it is. The time since they were saved does not count towards `for`. Until
// grace has passed, alerts need not be seen to stay.
func (g *Group) Recall(from Remembered, now time.Time, grace time.Duration) {
	away := max(now.Sub(from.At), 0)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, saved := range from.Alerts {
		for _, r := range g.rules {
			l := series.FromMap(saved.Labels)
			if r.def.Alert == "" || r.def.Alert != saved.Rule || r.active[l.String()] != nil {
				continue
			}
			i := &instance{
				labels: l, annotations: saved.Annotations, state: saved.State, activeAt: saved.ActiveAt, firedAt: saved.FiredAt,
				resolvedAt: saved.ResolvedAt, keepFiringSince: saved.KeepFiringSince, checked: from.At, heldUntil: now.Add(grace),
			}
			if v, err := strconv.ParseFloat(saved.Value, 64); err == nil {
				i.value = v
			}
			if i.state == alert.Pending {
				i.activeAt = i.activeAt.Add(away)
			}
			r.active[l.String()] = i
			break
		}
	}
}
