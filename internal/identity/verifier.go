package identity

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"sync"
	"time"
)

// Keyring is the announcements that are known. It is safe for concurrent use.
type Keyring struct {
	mu   sync.RWMutex
	keys map[string]Announcement
	// generation grows when a key is withdrawn, so that what was verified with it is
	// not believed any longer.
	generation uint64
}

// NewKeyring makes an empty one.
func NewKeyring() *Keyring { return &Keyring{keys: map[string]Announcement{}} }

// Add takes an announcement; one that is none is refused.
func (k *Keyring) Add(a Announcement) error {
	if err := a.Valid(); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[a.ID] = a
	return nil
}

// Remove forgets a key: what it signed is no longer valid.
func (k *Keyring) Remove(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.keys, id)
	k.generation++
}

// Sweep forgets keys that have expired.
func (k *Keyring) Sweep(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, a := range k.keys {
		if now.After(a.Expires.Add(Skew)) {
			delete(k.keys, id)
		}
	}
}

func (k *Keyring) find(id string) (Announcement, uint64, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	a, ok := k.keys[id]
	return a, k.generation, ok
}

// VerifierOptions are what a Verifier is made of.
type VerifierOptions struct {
	Keys *Keyring
	// Refresh looks for a key that is not known, and adds it; nil does not look.
	Refresh func(ctx context.Context, id string) error
	Now     func() time.Time // nil is time.Now
}

// Verifier says who sends what. It is safe for concurrent use.
type Verifier struct {
	o         VerifierOptions
	mu        sync.Mutex
	seen      map[string]verified // by token
	refreshed time.Time
}

type verified struct {
	claims     claims
	generation uint64
}

// Bounds of a Verifier.
const (
	maxSeen      = 8192        // tokens that are remembered as right
	refreshEvery = time.Second // between two looks for a key that is not known
)

// NewVerifier makes a verifier.
func NewVerifier(o VerifierOptions) *Verifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Verifier{o: o, seen: map[string]verified{}}
}

// Verify returns who a token names, if it is for the service named audience and good
// now. The only error is ErrToken.
func (v *Verifier) Verify(ctx context.Context, token, audience string) (Principal, error) {
	kid, signed, body, signature, ok := parts(token)
	if !ok {
		return Principal{}, ErrToken
	}
	key, generation, ok := v.find(ctx, kid)
	if !ok {
		return Principal{}, ErrToken
	}
	c, ok := v.remembered(token, generation)
	if !ok {
		sum, err := base64.RawURLEncoding.Strict().DecodeString(signature)
		if err != nil || !ed25519.Verify(key.Public, []byte(signed), sum) {
			return Principal{}, ErrToken
		}
		if c, ok = decode(body); !ok || !key.allows(c) {
			return Principal{}, ErrToken
		}
		v.remember(token, c, generation)
	}
	now := v.o.Now()
	switch {
	case c.Audience != audience,
		now.After(key.Expires.Add(Skew)),
		now.After(time.Unix(c.Expires, 0).Add(Skew)),
		now.Before(time.Unix(c.Issued, 0).Add(-Skew)),
		c.Expires-c.Issued > int64(Lifetime/time.Second)+1:
		return Principal{}, ErrToken
	}
	return c.principal(), nil
}

func (v *Verifier) find(ctx context.Context, kid string) (Announcement, uint64, bool) {
	key, generation, ok := v.o.Keys.find(kid)
	if ok || v.o.Refresh == nil || !v.mayRefresh() {
		return key, generation, ok
	}
	if v.o.Refresh(ctx, kid) != nil {
		return key, generation, false
	}
	return v.o.Keys.find(kid)
}

func (v *Verifier) mayRefresh() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.o.Now()
	if now.Sub(v.refreshed) < refreshEvery {
		return false
	}
	v.refreshed = now
	return true
}

func (v *Verifier) remembered(token string, generation uint64) (claims, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen, ok := v.seen[token]
	return seen.claims, ok && seen.generation == generation
}

func (v *Verifier) remember(token string, c claims, generation uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.seen) >= maxSeen {
		clear(v.seen)
	}
	v.seen[token] = verified{c, generation}
}
