package access

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/identity"
)

// An API key is mp_<id>_<secret>: 16 hex digits and 43 characters of base64url.
const (
	apiKeyPrefix = "mp_"
	apiKeyID     = 16
	maxKeyName   = 100
)

// newAPIKey makes a key; only its hash is kept.
func newAPIKey() (id, key, hash string, err error) {
	raw, err := random(apiKeyID / 2)
	if err != nil {
		return "", "", "", err
	}
	secret, err := word(32)
	if err != nil {
		return "", "", "", err
	}
	id = hex.EncodeToString(raw)
	key = apiKeyPrefix + id + "_" + secret
	sum := sha256.Sum256([]byte(key))
	return id, key, hex.EncodeToString(sum[:]), nil
}

// Keys lists the API keys, the newest first, without their hashes.
func (d *Desk) Keys() []Key {
	all := []Key{}
	for _, k := range listed(d.mirror, d.mirror.keys) {
		s := *k
		s.Hash, s.Used = "", d.usedAt(k.ID)
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Key) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID))
	})
	return all
}

// KeyRequest is a key that is to be made.
type KeyRequest struct {
	Name   string
	Role   identity.Role
	Scopes []string      // SERVICE or SERVICE:ROLE; none: every service
	TTL    time.Duration // 0 is for ever
}

// CreateKey makes an API key and returns it: it is never shown again. Nobody makes a
// key of a higher role than they have. Errors: *FieldError, bucket.ErrUnavailable.
func (d *Desk) CreateKey(ctx context.Context, a Act, r KeyRequest) (made Key, key string, err error) {
	r.Name = strings.TrimSpace(r.Name)
	err = d.do(ctx, a, "apikey.create", r.Name, "role "+r.Role.String(), func() error {
		made, key, err = d.createKey(ctx, a.By, r)
		return err
	})
	return made, key, err
}

func (d *Desk) createKey(ctx context.Context, by identity.Principal, r KeyRequest) (Key, string, error) {
	switch {
	case r.Name == "" || len(r.Name) > maxKeyName:
		return Key{}, "", field("name", "must have 1 to %d bytes", maxKeyName)
	case r.Role == identity.None:
		return Key{}, "", field("role", "must be one of %s", strings.Join(identity.Roles(), ", "))
	case r.Role > by.Role:
		return Key{}, "", field("role", "must not be above your own, %s", by.Role)
	case r.TTL < 0 || r.TTL > 10*366*24*time.Hour:
		return Key{}, "", field("expires_in_seconds", "must be within 0 and ten years")
	}
	scopes := []identity.Scope{}
	for i, text := range r.Scopes {
		s, err := identity.ParseScope(text, d.o.Services)
		if err != nil {
			return Key{}, "", field(fmt.Sprintf("scopes/%d", i), "%v", err)
		}
		s.Role = min(s.Role, r.Role) // what it comes to
		scopes = append(scopes, s)
	}
	id, key, hash, err := newAPIKey()
	if err != nil {
		return Key{}, "", err
	}
	now := d.o.Now().UTC()
	k := &Key{ID: id, Name: r.Name, Hash: hash, Role: r.Role, Scopes: scopes, Owner: by.String(), Created: now}
	if r.TTL > 0 {
		k.Expires = now.Add(r.TTL)
	}
	if err := d.write(ctx, keyPrefix+id, k, 0); err != nil {
		return Key{}, "", err
	}
	shown := *k
	shown.Hash = ""
	return shown, key, nil
}

// RevokeKey ends a key, by its id. Errors: ErrUnknown, bucket.ErrUnavailable.
func (d *Desk) RevokeKey(ctx context.Context, a Act, id string) error {
	return d.do(ctx, a, "apikey.revoke", id, "", func() error {
		if d.mirror.key(id) == nil {
			return fmt.Errorf("API key %s: %w", id, ErrUnknown)
		}
		if err := d.remove(ctx, keyPrefix+id); err != nil {
			return err
		}
		return d.remove(ctx, usedPrefix+id)
	})
}

// verifyKey finds whose an API key is.
func (d *Desk) verifyKey(key string) (identity.Principal, error) {
	rest, ok := strings.CutPrefix(key, apiKeyPrefix)
	id, _, found := strings.Cut(rest, "_")
	if !ok || !found || len(key) > 128 {
		return identity.Principal{}, ErrCredential
	}
	sum := sha256.Sum256([]byte(key))
	var want []byte
	k := d.mirror.key(id)
	if k != nil {
		var err error
		if want, err = hex.DecodeString(k.Hash); err != nil {
			return identity.Principal{}, fmt.Errorf("API key %s: %w", id, err)
		}
	}
	now := d.o.Now()
	if !hmac.Equal(sum[:], want) || k == nil || !k.Expires.IsZero() && !now.Before(k.Expires) {
		return identity.Principal{}, ErrCredential
	}
	d.use(id, now)
	return identity.Principal{Subject: k.ID, Kind: identity.APIKey, Role: k.Role, Scopes: k.Scopes, Expiry: k.Expires}, nil
}

// usedFor is how exact the last use of a key is.
const usedFor = time.Minute

// use notes that a key was used; the actor writes it down.
func (d *Desk) use(id string, now time.Time) {
	now = now.UTC().Truncate(usedFor)
	d.useMu.Lock()
	defer d.useMu.Unlock()
	if !d.uses[id].Equal(now) {
		d.uses[id] = now
		d.unwritten[id] = now
	}
}

func (d *Desk) usedAt(id string) time.Time {
	d.useMu.Lock()
	here := d.uses[id]
	d.useMu.Unlock()
	d.mirror.mu.RLock()
	defer d.mirror.mu.RUnlock()
	if there := d.mirror.used[id].At; there.After(here) {
		return there
	}
	return here
}

// writeUses writes down when keys were used since the last time.
func (d *Desk) writeUses(ctx context.Context) error {
	d.useMu.Lock()
	fresh := d.unwritten
	d.unwritten = map[string]time.Time{}
	d.useMu.Unlock()
	for id, at := range fresh {
		if d.mirror.key(id) == nil {
			continue
		}
		_, err := change(ctx, d, usedPrefix+id, func(u *used) (*used, error) {
			if u != nil && !at.After(u.At) {
				return u, nil
			}
			return &used{at}, nil
		})
		if err != nil {
			return fmt.Errorf("writing when keys were used: %w", err)
		}
	}
	return nil
}
