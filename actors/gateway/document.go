package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/gateway/upstream"
	"github.com/marketprism/marketprism/actors/supervise"
)

// read says that a description was asked for.
type read struct {
	upstream *Upstream
	err      error
}

// read asks a service of the platform for the description of its routes, now and then.
func (p *prober) read(c *supervise.Context, u *Upstream, now time.Time) {
	if !u.Platform || u.Service() == p.h.options.Self || p.reading[u] {
		return
	}
	d := u.document.Load()
	if d != nil && now.Sub(d.fetched) < documentFor {
		return
	}
	for _, i := range u.Instances() {
		if i.View(p.h.options.Now()).State != upstream.Healthy {
			continue
		}
		p.reading[u] = true
		system, self := c.System(), c.Self()
		c.Go(func(ctx context.Context) {
			err := p.h.fetch(ctx, u, i, d)
			_ = system.Tell(self, read{u, err}) // its mailbox has room for one of each service
		})
		return
	}
}

// fetch reads the description of a service from one instance.
func (h *Handle) fetch(ctx context.Context, u *Upstream, i *upstream.Instance, old *Document) error {
	ctx, cancel := context.WithTimeout(ctx, documentWait)
	defer cancel()
	tag := ""
	if old != nil {
		tag = old.ETag
	}
	resp, err := h.get(ctx, u.Service(), i, "/openapi.json", tag)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it is read to its end
	next := Document{Service: u.Service(), fetched: time.Now()}
	switch {
	case old != nil && resp.StatusCode == http.StatusNotModified:
		next.Text, next.ETag = old.Text, old.ETag
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answered %d", u.Service(), resp.StatusCode)
	default:
		next.ETag = resp.Header.Get("ETag")
		if next.Text, err = io.ReadAll(io.LimitReader(resp.Body, maxDocument)); err != nil {
			return fmt.Errorf("reading the description of %s: %w", u.Service(), err)
		}
		if !json.Valid(next.Text) {
			return errors.New("the description is not JSON")
		}
	}
	u.document.Store(&next)
	if old == nil || !bytes.Equal(old.Text, next.Text) {
		h.documents.Add(1)
	}
	return nil
}
