package gateway

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/actors/supervise"
)

// Messages of the prober.
type (
	look        struct{}
	paceChanged struct{}
	probed      struct {
		instance *upstream.Instance
		err      error
	}
)

// Bounds of the prober.
const (
	maxProbes    = 32          // at once
	missedPause  = time.Second // between two probes of an instance that has missed one
	slowestLook  = 250 * time.Millisecond
	documentFor  = time.Minute // before it is asked for again
	maxDocument  = 16 << 20    // bytes
	probeAnswer  = 64 << 10    // bytes of a probe's answer that are read
	documentWait = 10 * time.Second
)

// prober is root/gateway/prober: it asks instances whether they take requests.
type prober struct {
	h       *Handle
	due     map[*upstream.Instance]time.Time
	asking  map[*upstream.Instance]bool
	reading map[*Upstream]bool
	stop    func()
	settled bool // said so
}

func newProber(h *Handle) *prober {
	return &prober{h: h, due: map[*upstream.Instance]time.Time{}, asking: map[*upstream.Instance]bool{}, reading: map[*Upstream]bool{}}
}

// Receive handles one message.
func (p *prober) Receive(c *supervise.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		p.h.prober.Store(&ref{c.System(), c.Self()})
		p.pace(c)
		p.look(c)
	case paceChanged:
		p.pace(c)
	case look:
		p.look(c)
	case probed:
		p.probed(c, m)
	case read:
		delete(p.reading, m.upstream)
		if m.err != nil {
			c.Log().Debug("description of a service is not read", zap.String("upstream", m.upstream.Service()), zap.Error(m.err))
		}
	}
}

func (p *prober) pace(c *supervise.Context) {
	if p.stop != nil {
		p.stop()
	}
	p.stop = c.Every(max(min(slowestLook, p.h.settings.Load().Upstreams.ProbeInterval/2), time.Millisecond), look{})
}

// look begins the probes that are due.
func (p *prober) look(c *supervise.Context) {
	now := time.Now()
	p.settle(p.h.options.Now())
	there := map[*upstream.Instance]bool{}
	for _, u := range p.h.Upstreams() {
		for _, i := range u.Instances() {
			there[i] = true
			if p.asking[i] || now.Before(p.due[i]) || len(p.asking) >= maxProbes {
				continue
			}
			p.asking[i] = true
			system, self, service := c.System(), c.Self(), u.Service()
			c.Go(func(ctx context.Context) {
				err := p.h.probe(ctx, service, i)
				_ = system.Tell(self, probed{i, err}) // its mailbox has room for all that are under way
			})
		}
		p.read(c, u, now)
	}
	for i := range p.due {
		if !there[i] {
			delete(p.due, i)
		}
	}
}

func (p *prober) probed(c *supervise.Context, m probed) {
	delete(p.asking, m.instance)
	now := p.h.options.Now()
	changed := m.instance.Probed(m.err, now)
	p.settle(now)
	every := p.h.settings.Load().Upstreams.ProbeInterval
	switch v := m.instance.View(now); {
	case v.State == upstream.Unknown:
		every = min(every, firstPause)
	case v.Fault != "":
		every = min(every, missedPause)
	}
	p.due[m.instance] = time.Now().Add(every*9/10 + rand.N(every/5+1))
	if !changed {
		return
	}
	fields := []zap.Field{zap.String("upstream", m.instance.Service()), zap.Stringer("address", m.instance.Address)}
	if m.err != nil {
		c.Log().Warn("instance is unhealthy", append(fields, zap.Error(m.err))...)
		return
	}
	c.Log().Info("instance is healthy", fields...)
}

// settle says so once every instance of the platform is known to be well or not.
func (p *prober) settle(now time.Time) {
	if p.settled || !p.h.listed.Load() {
		return
	}
	for _, u := range p.h.Upstreams() {
		for _, i := range u.Instances() {
			if u.Platform && i.View(now).State == upstream.Unknown {
				return
			}
		}
	}
	p.settled = true
	p.h.settle()
}

// probe asks an instance whether it takes requests.
func (h *Handle) probe(ctx context.Context, service string, i *upstream.Instance) error {
	ctx, cancel := context.WithTimeout(ctx, h.settings.Load().Upstreams.ProbeTimeout)
	defer cancel()
	resp, err := h.get(ctx, service, i, i.ProbePath, "")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()                                               // whatever it says
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, probeAnswer)); err != nil { // for the connection to be used again
		return fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("%s answered %d", i.ProbePath, resp.StatusCode)
	}
	return nil
}

// get asks an instance for something, in the gateway's own name.
func (h *Handle) get(ctx context.Context, service string, i *upstream.Instance, path, etag string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, i.URL()+path, nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", i.Address, err)
	}
	r.Header.Set("User-Agent", "marketprism-gateway")
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	if !i.Registered { // a stranger is shown no identity
		if err := h.options.Prepare(r, service); err != nil {
			return nil, err
		}
	}
	return h.forwarder.Direct(i, r)
}
