package collector_test

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// inBand is Binance with books that come with their snapshot on the channel.
type inBand struct{ connectors.Exchange }

func (x inBand) Venue(m market.Market, cfg connectors.MarketConfig) (*connectors.Venue, error) {
	v, err := x.Exchange.Venue(m, cfg)
	if err != nil {
		return nil, err
	}
	own := *v
	own.Channels = append([]connectors.Channel{}, v.Channels...)
	own.Channels[v.ChannelIndex("depth")].Snapshot = connectors.SnapshotInStream
	own.Sequence = linked{}
	own.NewDecoder = func(known *market.Instruments) connectors.Decoder {
		return &inBandDecoder{v.NewDecoder(known), known, v.ChannelIndex("depth")}
	}
	return &own, nil
}

// linked is a chain by previous numbers.
type linked struct{}

func (linked) Splice(last int64, d *market.BookDelta) market.Continuity {
	switch {
	case d.PrevSeq.V == last:
		return market.Next
	case d.Seq.V == last:
		return market.Old
	}
	return market.Hole
}

func (l linked) Follow(last int64, d *market.BookDelta) market.Continuity { return l.Splice(last, d) }

type inBandBook struct {
	Book, Prev, Seq int64
	Symbol          string
	Bids, Asks      [][2]string
}

func inBandFrame(p *pair, prev int64, bids, asks [][2]string) string {
	return text(inBandBook{time.Now().UnixMilli(), prev, p.update, p.native, bids, asks})
}

type inBandDecoder struct {
	connectors.Decoder
	known   *market.Instruments
	channel int
}

func (d *inBandDecoder) Decode(frame []byte, rc connectors.Receipt, out *market.Batch) (connectors.Note, error) {
	if !bytes.HasPrefix(frame, []byte(`{"Book"`)) {
		return d.Decoder.Decode(frame, rc, out)
	}
	var f inBandBook
	if err := json.Unmarshal(frame, &f); err != nil {
		return connectors.Note{}, &connectors.FrameError{Problem: "not a book", Cause: err}
	}
	i, _ := d.known.Native([]byte(f.Symbol))
	b := market.Add[market.BookDelta](out)
	b.Header = market.Header{Instrument: i, ExchangeTime: f.Book * 1e6, ReceiveTime: rc.Time, Conn: rc.Conn, Seq: market.Int(f.Seq)}
	if b.IsSnapshot = f.Prev < 0; !b.IsSnapshot {
		b.PrevSeq = market.Int(f.Prev)
	}
	for _, l := range f.Bids {
		b.Bids = append(b.Bids, market.Level{Price: market.MustDecimal(l[0]), Amount: market.MustDecimal(l[1])})
	}
	for _, l := range f.Asks {
		b.Asks = append(b.Asks, market.Level{Price: market.MustDecimal(l[0]), Amount: market.MustDecimal(l[1])})
	}
	return connectors.Note{Channel: d.channel}, nil
}

func newInBandWorld(t *testing.T) *world {
	w := newWorld(t)
	w.wrap = func(x connectors.Exchange) connectors.Exchange { return inBand{x} }
	w.exchange.inBand = true
	return w
}

func (x *exchange) ended() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ends
}

// TestInBandBooks follows books that begin with a snapshot on the channel through
// a lost change and a lost connection.
func TestInBandBooks(t *testing.T) {
	w := newInBandWorld(t)
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	w.sameBook("BTCUSDT")
	if n := w.exchange.ended(); n != 0 {
		t.Errorf("%d subscriptions were ended at the start", n)
	}
	made := w.exchange.connections()

	w.exchange.change("BTCUSDT", true)
	w.settled("BTCUSDT") // by a new subscription
	w.sameBook("BTCUSDT")
	w.sameBook("ETHUSDT")
	if n := w.exchange.ended(); n < 1 {
		t.Error("no subscription was ended for the new snapshot")
	}
	if n := w.exchange.connections(); n != made {
		t.Errorf("%d connections, want the same %d", n, made)
	}
	w.await(t, "the hole to be marked", func() bool {
		for _, g := range w.gaps(btc, market.CauseSequence) {
			if g.Outcome == market.OutcomeMarked {
				return true
			}
		}
		return false
	})
	if g := w.gaps(eth, market.CauseSequence); len(g) != 0 {
		t.Errorf("ETH-USDT has gaps: %+v", g)
	}

	ended := w.exchange.ended()
	w.exchange.kick()
	w.await(t, "another connection", func() bool { return w.exchange.connections() > made })
	w.ready("BTCUSDT", "ETHUSDT")
	w.sameBook("BTCUSDT")
	w.sameBook("ETHUSDT")
	if n := w.exchange.ended(); n != ended {
		t.Errorf("a new connection brings its snapshots; %d subscriptions were ended", n-ended)
	}
}

// TestInBandBookAfterPanic restarts a stream whose session has had its snapshot.
func TestInBandBookAfterPanic(t *testing.T) {
	w := newInBandWorld(t)
	w.start()
	w.ready("BTCUSDT", "ETHUSDT")
	made := w.exchange.connections()
	var crash sync.Once
	w.plane.on(func(subject, _ string) {
		if subject == "md.v1.trade.binance.spot.BTC-USDT" {
			crash.Do(func() { panic("injected") })
		}
	})
	w.exchange.trade("BTCUSDT", false)
	w.await(t, "the new incarnation", func() bool { return w.exchange.ended() > 0 })
	w.settled("BTCUSDT")
	w.sameBook("BTCUSDT")
	if n := w.exchange.connections(); n != made {
		t.Errorf("%d connections, want the same %d", n, made)
	}
}
