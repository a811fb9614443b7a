package collector

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// swift acknowledges at once, counts, and says when it has as many as wanted.
type swift struct {
	records, wanted atomic.Int64
	reached         chan struct{}
}

func (s *swift) Record(e *persistence.Entry) error {
	n := s.records.Add(int64(e.Batch.Len()))
	e.Done(e, persistence.Outcome{})
	if n == s.wanted.Load() {
		s.reached <- struct{}{}
	}
	return nil
}
func (*swift) Accepting() bool { return true }

// drop is a live plane without listeners.
type drop struct{ bytes atomic.Int64 }

func (d *drop) Publish(_ string, data []byte) error {
	d.bytes.Add(int64(len(data)))
	return nil
}

// bench is one stream actor between a socket and a recorder.
type bench struct {
	socket   *socket
	route    *route
	recorder *swift
	stop     func()
}

func newBench(b *testing.B, publisher Publisher) *bench {
	b.Helper()
	system, err := supervise.NewSystem(b.Context(), supervise.Options{})
	if err != nil {
		b.Fatal(err)
	}
	x := binance.New()
	cfg := x.DefaultConfig()
	for name, m := range cfg.Markets {
		m.Enabled = name == "spot"
		cfg.Markets[name] = m
	}
	recorder := &swift{reached: make(chan struct{}, 1)}
	c, err := New(Options{
		System: system, Config: DefaultConfig(), Exchanges: []Exchange{{Exchange: x, Config: cfg}}, Publisher: publisher,
		Recorder: func(market.StreamID) persistence.Recorder { return recorder },
	})
	if err != nil {
		b.Fatal(err)
	}
	v := c.venues[0]
	v.adopt(v.table().Builtin().All(), true)
	i, err := v.instruments().Resolve("BTC-USDT")
	if err != nil {
		b.Fatal(err)
	}
	r := newRoute(v, i)
	r.want.Store(uint32(kindsOf(market.KindTrade, market.KindBookDelta)))
	v.join([]*route{r})
	timings := c.metrics.latencies(v)
	err = system.Start(b.Context(), supervise.Spec{
		Name: "stream", Kind: "stream", New: func() supervise.Actor { return newStreamActor(r, timings) },
		Mailbox: supervise.Mailbox{Capacity: v.opts.Config.StreamMailbox},
	})
	if err != nil {
		b.Fatal(err)
	}
	return &bench{
		socket: &socket{venue: v}, route: r, recorder: recorder,
		stop: func() {
			if err := system.Stop(context.Background()); err != nil {
				b.Error(err)
			}
		},
	}
}

// run sends deliveries made by fill in windows, each after the one before has
// been handled, so that none is refused.
func (x *bench) run(b *testing.B, fill func(d *connectors.Delivery, n int64)) {
	b.Helper()
	defer x.stop()
	const window = 1024
	// The last delivery of a window is released after it was recorded, so that the
	// next window needs others.
	var deliveries [2][window]connectors.Delivery
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		n := min(window, b.N-done)
		x.recorder.wanted.Store(int64(done + n))
		for i := range n {
			d := &deliveries[done/window%2][i]
			fill(d, int64(done+i))
			if !x.socket.Deliver(d) {
				b.Fatal("a delivery was refused")
			}
		}
		done += n
		<-x.recorder.reached
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func (x *bench) trade(d *connectors.Delivery, n int64) {
	d.Time = 1_795_000_000_000_000_000 + n*1000
	t := market.Add[market.Trade](&d.Batch)
	t.Instrument, t.ExchangeTime, t.ReceiveTime = x.route.instrument, d.Time-1000, d.Time
	t.ID, t.Seq, t.Side = market.NumID(n+1), market.Int(n+1), market.Buy
	t.Price, t.Amount = market.NewDecimal(9_500_012, 2), market.NewDecimal(12_345, 5)
}

// BenchmarkStream is the way of a trade from a session's delivery to the
// recorder's handle, through the stream actor's mailbox.
func BenchmarkStream(b *testing.B) {
	b.Run("journal", func(b *testing.B) {
		x := newBench(b, nil)
		x.run(b, x.trade)
	})
	b.Run("journal_and_live_plane", func(b *testing.B) {
		x := newBench(b, &drop{})
		x.run(b, x.trade)
	})
}
