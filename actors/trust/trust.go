// Package trust lets the processes of the program know one another: it announces the
// key that this one signs with, and follows those of the others (internal/identity).
//
// # Authority
//
// The bucket "identity" of the broker holds the public keys, each written by the
// process that has the private one, which never leaves its memory. Only the program's
// own users of the broker reach it. The actor root/trust announces, follows, and makes
// the next key when half the life of the last is over; keys go by themselves when they
// have expired.
//
// # States
//
//	          announced, others known           half its life is over
//	starting ───────────────────────▶ signing ────────────────────────▶ announcing the next
//	                                     ▲                                  │ announced
//	                                     └──────────────────────────────────┘
//
// # Failure
//
// While the broker is away the keys that are known stay, and the last one signs on, as
// long as it lives. A key that is gone from the bucket (a broker that lost its store)
// is announced again within a minute.
package trust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/identity"
)

// Bucket is the name of the bucket; TTL is how long it keeps a key.
const (
	Bucket = "identity"
	TTL    = identity.KeyLife + time.Hour
)

const (
	prefix      = "key."
	upkeepEvery = time.Minute
	pause       = time.Second // before what failed is tried again
	bound       = 15 * time.Second
)

// Options of a Trust.
type Options struct {
	Store bucket.Store
	// Node is the name of this node, Services what this process runs.
	Node     string
	Services []string
	// Clients: this process runs the gateway, which signs for clients.
	Clients bool
	// Await keeps the start waiting until this process is known to the others.
	Await bool
	Now   func() time.Time // nil is time.Now
}

// Trust is this process's key, and those of the others. It is safe for concurrent use.
type Trust struct {
	o        Options
	signer   *identity.Signer
	keys     *identity.Keyring
	verifier *identity.Verifier
}

// New makes a Trust, whose actor is [Trust.Spec].
func New(o Options) (*Trust, error) {
	if o.Store == nil {
		return nil, errors.New("trust without a bucket")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	t := &Trust{o: o, keys: identity.NewKeyring()}
	var err error
	t.signer, err = identity.NewSigner(identity.SignerOptions{Node: o.Node, Services: o.Services, Clients: o.Clients, Now: o.Now})
	if err != nil {
		return nil, err
	}
	t.verifier = identity.NewVerifier(identity.VerifierOptions{Keys: t.keys, Refresh: t.look, Now: o.Now})
	return t, t.keys.Add(t.signer.Announcement())
}

// Signer signs for this process.
func (t *Trust) Signer() *identity.Signer { return t.signer }

// Verifier knows the keys of all processes.
func (t *Trust) Verifier() *identity.Verifier { return t.verifier }

// look looks for a key that is not known.
func (t *Trust) look(ctx context.Context, id string) error {
	if strings.Trim(id, "0123456789abcdef") != "" || len(id) != 32 {
		return identity.ErrToken
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	d, there, err := t.o.Store.Get(ctx, prefix+id)
	if err != nil || !there {
		return errors.Join(identity.ErrToken, err)
	}
	return t.add(d)
}

func (t *Trust) add(d bucket.Document) error {
	var a identity.Announcement
	err := json.Unmarshal(d.Value, &a)
	if err == nil && prefix+a.ID != d.Key {
		err = errors.New("it is of another key")
	}
	if err == nil {
		err = t.keys.Add(a)
	}
	if err != nil {
		return fmt.Errorf("the announcement %s: %w", d.Key, err)
	}
	return nil
}

// announce publishes a key, unless it is there.
func (t *Trust) announce(ctx context.Context, a identity.Announcement) error {
	if _, there, err := t.o.Store.Get(ctx, prefix+a.ID); err != nil || there {
		return err
	}
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encoding an announcement: %w", err)
	}
	if _, err := t.o.Store.Put(ctx, prefix+a.ID, text, 0); err != nil && !errors.Is(err, bucket.ErrConflict) {
		return fmt.Errorf("announcing a key: %w", err)
	}
	return nil
}

// upkeep announces the key in use, and makes the next one when it is due.
func (t *Trust) upkeep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	now := t.o.Now()
	t.keys.Sweep(now)
	if now.Before(t.signer.Due()) {
		return t.announce(ctx, t.signer.Announcement())
	}
	next := t.signer.Next()
	if err := t.announce(ctx, next.Announcement); err != nil {
		return err
	}
	if err := t.keys.Add(next.Announcement); err != nil {
		return err
	}
	return t.signer.Use(next)
}

// Spec is the actor "trust".
func (t *Trust) Spec() supervise.Spec {
	return supervise.Spec{
		Name: "trust", Kind: "trust", New: func() supervise.Actor { return &keeper{trust: t} },
		AwaitReady: t.o.Await, StartTimeout: time.Minute, Mailbox: supervise.Mailbox{Capacity: 8},
	}
}

// keeper announces and follows.
type keeper struct {
	trust                   *Trust
	working, known, written bool
}

type (
	follow struct{}
	lost   struct{ err error }
	all    struct{}
	tick   struct{}
	kept   struct{ err error }
)

// Receive handles one message.
func (k *keeper) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		k.follow(c)
		k.upkeep(c)
		c.Every(upkeepEvery, tick{})
	case follow:
		k.follow(c)
	case lost:
		c.Log().Warn("the keys of other processes cannot be followed; those that are known stay, and it is tried again", zap.Error(m.err))
		c.After(pause, follow{})
	case all:
		k.known = true
		k.ready(c)
	case tick:
		k.upkeep(c)
	case kept:
		k.working = false
		if m.err != nil {
			c.Log().Warn("the key of this process could not be announced, which is tried again", zap.Error(m.err))
			c.After(pause, tick{})
			return
		}
		k.written = true
		k.ready(c)
	}
}

func (k *keeper) ready(c *supervise.Context) {
	if k.known && k.written {
		c.Ready()
	}
}

func (k *keeper) follow(c *supervise.Context) {
	t, log := k.trust, c.Log()
	c.Go(func(ctx context.Context) {
		err := t.o.Store.Watch(ctx, prefix, func(ch bucket.Change) {
			switch {
			case ch.Complete:
				c.After(0, all{})
			case ch.Removed:
				t.keys.Remove(strings.TrimPrefix(ch.Key, prefix))
			default:
				if err := t.add(ch.Document); err != nil {
					log.Warn("a key does not count", zap.Error(err))
				}
			}
		})
		if ctx.Err() == nil {
			c.After(0, lost{err})
		}
	})
}

func (k *keeper) upkeep(c *supervise.Context) {
	if k.working {
		return
	}
	k.working = true
	c.Go(func(ctx context.Context) { c.After(0, kept{k.trust.upkeep(ctx)}) })
}
