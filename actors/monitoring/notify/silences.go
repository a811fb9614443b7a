package notify

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/monitoring/alert"
	"github.com/marketprism/marketprism/actors/supervise"
)

// What a change of a silence meets, beside those of bucket.Store.
var (
	// ErrNoSilence: there is none of that id.
	ErrNoSilence = errors.New("there is no such silence")
	// ErrSilenceOver: it has expired, and is not changed any more.
	ErrSilenceOver = errors.New("the silence has expired")
	// ErrTooManySilences: there are as many as are allowed.
	ErrTooManySilences = errors.New("there are as many silences as are allowed")
)

// silences are those of the cluster as this node knows them.
type silences struct {
	handle *Handle

	mu   sync.RWMutex
	byID map[string]*keptSilence
}

// keptSilence is immutable.
type keptSilence struct {
	Silence
	revision uint64
}

func newSilences(h *Handle) *silences {
	return &silences{handle: h, byID: map[string]*keptSilence{}}
}

// mute says whether a silence mutes an alert.
func (s *silences) mute(ls alert.Labels, now time.Time) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, each := range s.byID {
		if each.Mutes(ls, now) {
			return true
		}
	}
	return false
}

// by lists the silences that mute an alert.
func (s *silences) by(ls alert.Labels, now time.Time) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var ids []string
	for id, each := range s.byID {
		if each.Mutes(ls, now) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (s *silences) get(id string) *keptSilence {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byID[id]
}

// apply takes a state of a silence unless a newer one is known.
func (s *silences) apply(id string, k *keptSilence, revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch old := s.byID[id]; {
	case old != nil && old.revision >= revision:
	case k == nil:
		delete(s.byID, id)
	default:
		s.byID[id] = k
	}
}

// all are copies, those that end last first.
func (s *silences) all() []Silence {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]Silence, 0, len(s.byID))
	for _, each := range s.byID {
		list = append(list, each.Silence)
	}
	slices.SortFunc(list, func(a, b Silence) int { return cmp.Or(b.EndsAt.Compare(a.EndsAt), cmp.Compare(a.ID, b.ID)) })
	return list
}

// Silences are those that there are, expired ones for a while; those that end last
// come first.
func (h *Handle) Silences() []Silence { return h.silences.all() }

// Silence is one of them. Error: ErrNoSilence.
func (h *Handle) Silence(id string) (Silence, error) {
	if k := h.silences.get(id); k != nil {
		return k.Silence, nil
	}
	return Silence{}, ErrNoSilence
}

// SetSilence makes a silence, or changes the one whose ID it has, and returns it as it
// is kept. One that mutes something else than before gets a new ID, and the old one
// ends: what was muted is not rewritten. A start that is past, or absent, is now.
// Errors: ErrInvalidSilence, ErrNoSilence, ErrSilenceOver, ErrTooManySilences, and
// those of bucket.Store.
func (h *Handle) SetSilence(ctx context.Context, wanted Silence) (Silence, error) {
	now := h.options.Now().UTC()
	if wanted.StartsAt.IsZero() || wanted.StartsAt.Before(now) {
		wanted.StartsAt = now
	}
	wanted.UpdatedAt = now
	if err := wanted.check(now); err != nil {
		return Silence{}, err
	}
	if wanted.ID == "" {
		return h.silences.create(ctx, wanted)
	}
	old := h.silences.get(wanted.ID)
	switch {
	case old == nil:
		return Silence{}, ErrNoSilence
	case old.State(now) == SilenceExpired:
		return Silence{}, ErrSilenceOver
	case old.sameMatchers(&wanted):
		if old.State(now) == SilenceActive {
			wanted.StartsAt = old.StartsAt
		}
		return h.silences.put(ctx, wanted, old.revision)
	}
	made, err := h.silences.create(ctx, wanted)
	if err != nil {
		return Silence{}, err
	}
	if _, err := h.ExpireSilence(ctx, old.ID); err != nil && !errors.Is(err, ErrSilenceOver) {
		return made, fmt.Errorf("ending the silence that %s replaces: %w", made.ID, err)
	}
	return made, nil
}

func (s *silences) create(ctx context.Context, wanted Silence) (Silence, error) {
	if len(s.all()) >= s.handle.options.Config.MaxSilences {
		return Silence{}, ErrTooManySilences
	}
	wanted.ID = rand.Text()
	return s.put(ctx, wanted, 0)
}

// ExpireSilence ends a silence now. Errors: ErrNoSilence, ErrSilenceOver, and those of
// bucket.Store.
func (h *Handle) ExpireSilence(ctx context.Context, id string) (Silence, error) {
	now := h.options.Now().UTC()
	old := h.silences.get(id)
	switch {
	case old == nil:
		return Silence{}, ErrNoSilence
	case old.State(now) == SilenceExpired:
		return Silence{}, ErrSilenceOver
	}
	ended := old.Silence
	ended.EndsAt, ended.UpdatedAt = now, now
	if ended.StartsAt.After(now) {
		ended.StartsAt = now
	}
	return h.silences.put(ctx, ended, old.revision)
}

func (s *silences) put(ctx context.Context, wanted Silence, revision uint64) (Silence, error) {
	text, err := json.Marshal(wanted)
	if err != nil {
		return Silence{}, fmt.Errorf("writing the silence: %w", err)
	}
	if revision, err = s.handle.options.Store.Put(ctx, silencePrefix+wanted.ID, text, revision); err != nil {
		return Silence{}, fmt.Errorf("keeping the silence: %w", err)
	}
	s.apply(wanted.ID, &keptSilence{wanted, revision}, revision)
	return wanted, nil
}

// silenceKeeper follows the bucket and removes what has expired long ago.
type silenceKeeper struct {
	silences *silences
	remove   supervise.InFlight
}

type sweep struct{}

// sweepEvery is the time between two looks for silences that expired long ago.
const sweepEvery = 10 * time.Minute

// Receive implements supervise.Actor.
func (k *silenceKeeper) Receive(c *supervise.Context) {
	switch c.Message().(type) {
	case *actor.Started:
		log := c.Log()
		c.Go(func(ctx context.Context) { k.silences.follow(ctx, log) })
		c.Every(sweepEvery, sweep{})
	case sweep:
		log := c.Log()
		k.remove.Start(c, func(ctx context.Context) any {
			k.silences.sweep(ctx, log)
			return nil
		})
	}
}

// follow takes every change of the bucket, until ctx is done.
func (s *silences) follow(ctx context.Context, log *zap.Logger) {
	for ctx.Err() == nil {
		seen := map[string]bool{}
		complete := false
		err := s.handle.options.Store.Watch(ctx, silencePrefix, func(change bucket.Change) {
			if change.Complete {
				complete = true
				s.only(seen)
				return
			}
			if !complete {
				seen[silenceIDOf(change.Key)] = true
			}
			s.take(change, log)
		})
		if err == nil {
			return
		}
		log.Warn("silences cannot be followed", zap.Error(err))
		select {
		case <-time.After(storeAgain):
		case <-ctx.Done():
		}
	}
}

func (s *silences) take(change bucket.Change, log *zap.Logger) {
	id := silenceIDOf(change.Key)
	if change.Removed {
		s.apply(id, nil, change.Revision)
		return
	}
	k := &keptSilence{revision: change.Revision}
	if err := json.Unmarshal(change.Value, &k.Silence); err != nil {
		log.Error("document of a silence", zap.String("key", change.Key), zap.Error(err))
		return
	}
	s.apply(id, k, change.Revision)
}

// only forgets silences that the bucket has no more: they went while nobody followed.
func (s *silences) only(seen map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, k := range s.byID {
		if !seen[id] && s.handle.options.Now().Sub(k.UpdatedAt) > storeAgain { // one that was just made may not be told yet
			delete(s.byID, id)
		}
	}
}

// sweep removes what has expired long ago.
func (s *silences) sweep(ctx context.Context, log *zap.Logger) {
	over := s.handle.options.Now().Add(-s.handle.options.Config.SilenceRetention)
	for _, each := range s.all() {
		if each.EndsAt.After(over) {
			continue
		}
		k := s.get(each.ID)
		if k == nil {
			continue
		}
		if err := s.handle.options.Store.Remove(ctx, silencePrefix+k.ID, k.revision); err != nil && !isConflict(err) {
			log.Warn("silence cannot be removed", zap.String("id", k.ID), zap.Error(err))
			return
		}
	}
}
