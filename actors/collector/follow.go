package collector

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// relayName is the child that hands what streams publish to their followers.
const relayName = "live"

func (c *Collector) makeHub() (err error) {
	if c.opts.Live == nil {
		return nil
	}
	c.opts.hub, err = live.New(live.Options{
		Config: *c.opts.Live, Directory: directory{c}, Registerer: c.opts.Registerer, Now: c.opts.Now,
	})
	return err
}

// Live is where clients follow streams; nil when nobody is let.
func (c *Collector) Live() *live.Hub { return c.opts.hub }

// relay runs the hub; its panic is the actor's failure, and the next incarnation
// ends every client.
type relay struct{ hub *live.Hub }

func relaySpec(h *live.Hub) supervise.Spec {
	return supervise.Spec{Name: relayName, Kind: "live", New: func() supervise.Actor { return relay{h} }}
}

// Receive handles one message.
func (r relay) Receive(c *supervise.Context) {
	if _, ok := c.Message().(*actor.Started); ok {
		c.Go(r.hub.Run)
	}
}

// directory is what can be followed.
type directory struct{ collector *Collector }

// ExchangeNames implements [live.Directory].
func (d directory) ExchangeNames() []string { return d.collector.exchangeNames() }

// Lists implements [live.Directory].
func (d directory) Lists(symbol string, allows func(exchange string, m market.Market) bool) bool {
	for _, v := range d.collector.venues {
		if !v.enabled() || !allows(v.exchange, v.market) {
			continue
		}
		table := v.instruments()
		if table == nil {
			return true // nobody knows yet
		}
		i, err := table.Resolve(symbol)
		if err == nil && i != nil || ambiguous(err) {
			return true
		}
	}
	return false
}

// BookState implements [live.Books].
func (s *streamActor) BookState() (state string, seq int64, ok bool) {
	if !s.hasBook() {
		return "", 0, false
	}
	if s.phase == resuming {
		return stream.Syncing.String(), 0, true
	}
	is, seq := s.stream.BookState()
	return is.String(), seq, true
}

// WholeBook implements [live.Books].
func (s *streamActor) WholeBook() *market.BookDelta {
	if !s.hasBook() || s.phase == resuming {
		return nil
	}
	b, st := s.stream.Book()
	if st.State == stream.Syncing {
		return nil
	}
	d := &market.BookDelta{
		Header: market.Header{
			Instrument: s.route.instrument, ExchangeTime: st.Time, ReceiveTime: st.Received, Seq: market.Int(st.Seq),
			Epoch: s.route.epoch, Flags: market.FlagSnapshot,
		},
		IsSnapshot: true, Bids: b.AppendBids(nil, -1), Asks: b.AppendAsks(nil, -1),
	}
	market.Stamp(d)
	return d
}
