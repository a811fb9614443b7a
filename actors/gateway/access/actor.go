package access

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/identity"
)

const (
	upkeepEvery = 30 * time.Second
	watchPause  = time.Second // before a watch that ended is begun again
	upkeepBound = 20 * time.Second
)

// Spec is the actor "access". It is ready once users and keys are known, and the first
// user is there.
func (d *Desk) Spec() supervise.Spec {
	return supervise.Spec{
		Name: "access", Kind: "access", New: func() supervise.Actor { return &follower{desk: d} },
		AwaitReady: true, StartTimeout: time.Minute, Mailbox: supervise.Mailbox{Capacity: 8},
	}
}

// follower keeps the desk's copy of the bucket up to date, and the bucket in order.
type follower struct {
	desk    *Desk
	working bool // an upkeep is under way
	ready   bool
}

type (
	told      struct{} // everything that there was is known
	watchOver struct{ err error }
	tick      struct{}
	kept      struct{ err error }
)

// Receive handles one message.
func (f *follower) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		if err := f.desk.openProviders(c.Ctx()); err != nil {
			panic(err)
		}
		f.watch(c)
		c.Every(upkeepEvery, tick{})
	case told:
		f.upkeep(c)
	case watchOver:
		c.Log().Warn("users and keys cannot be followed; what is known stays, and they are followed again", errField(m.err))
		c.After(watchPause, again{})
	case again:
		f.watch(c)
	case tick:
		if f.desk.mirror.ready() {
			f.upkeep(c)
		}
	case kept:
		f.working = false
		if m.err != nil {
			c.Log().Warn("users and keys could not be put in order, which is tried again", errField(m.err))
			if !f.ready {
				c.After(watchPause, tick{})
			}
			return
		}
		if !f.ready {
			f.ready = true
			c.Ready()
		}
	}
}

type again struct{}

func (f *follower) watch(c *supervise.Context) {
	d := f.desk
	c.Go(func(ctx context.Context) {
		err := d.o.Store.Watch(ctx, "", func(ch bucket.Change) {
			if err := d.mirror.apply(ch); err != nil {
				d.log.Error("a document of users and keys cannot be read, and does not count", errField(err))
			}
			if ch.Complete {
				c.After(0, told{})
			}
		})
		if ctx.Err() == nil {
			c.After(0, watchOver{err})
		}
	})
}

// upkeep makes what has to be there and removes what is over, one at a time.
func (f *follower) upkeep(c *supervise.Context) {
	if f.working {
		return
	}
	f.working = true
	c.Go(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, upkeepBound)
		defer cancel()
		c.After(0, kept{f.desk.upkeep(ctx)})
	})
}

func (d *Desk) upkeep(ctx context.Context) error {
	now := d.o.Now()
	err := errors.Join(d.rotate(ctx, now), d.first(ctx), d.sweep(ctx, now), d.writeUses(ctx))
	enabled, disabled, keys := 0, 0, 0
	for _, u := range listed(d.mirror, d.mirror.users) {
		if u.Disabled {
			disabled++
		} else {
			enabled++
		}
	}
	for _, k := range listed(d.mirror, d.mirror.keys) {
		if k.Expires.IsZero() || now.Before(k.Expires) {
			keys++
		}
	}
	d.metrics.users.WithLabelValues("enabled").Set(float64(enabled))
	d.metrics.users.WithLabelValues("disabled").Set(float64(disabled))
	d.metrics.keys.Set(float64(keys))
	return err
}

// first makes the first user, with a password of chance, where there is none. Of two
// gateways one makes it.
func (d *Desk) first(ctx context.Context) error {
	if d.o.First == nil || len(listed(d.mirror, d.mirror.users)) > 0 {
		return nil
	}
	password, err := word(18)
	if err != nil {
		return err
	}
	if err := d.o.First(FirstUser, password); err != nil {
		return fmt.Errorf("handing out the first password: %w", err)
	}
	by := identity.Principal{Subject: gateway, Kind: identity.Service, Role: identity.Admin}
	_, err = d.AddUser(ctx, Act{By: by}, FirstUser, password, identity.Admin)
	if errors.Is(err, ErrExists) {
		return d.o.First(FirstUser, "")
	}
	return err
}

// openProviders begins to follow the keys of the identity providers, until ctx ends.
func (d *Desk) openProviders(ctx context.Context) error {
	all := map[string]*provider{}
	for _, c := range d.o.Config.OIDC {
		p, err := d.openProvider(ctx, c)
		if err != nil {
			return err
		}
		all[c.Issuer] = p
	}
	d.providersMu.Lock()
	defer d.providersMu.Unlock()
	d.providers = all
	return nil
}
