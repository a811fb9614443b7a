package forest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	branch "github.com/marketprism/marketprism/actors/collector"
	watching "github.com/marketprism/marketprism/actors/monitoring"
	"github.com/marketprism/marketprism/actors/monitoring/scrape"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/collector"
	"github.com/marketprism/marketprism/internal/catalogue"
	"github.com/marketprism/marketprism/internal/market"
)

// River is a collector of very many streams, behind its façade, and the dashboard that shows
// them: each look finds every stream a little further.
type River struct {
	URL string
	// Streams are all of them.
	Streams int
}

// streams is a branch whose figures move with the clock. What it does not answer is not
// asked by a list of streams.
type streams struct {
	collector.Branch
	began time.Time
	all   []*market.Instrument
	lags  *prometheus.HistogramVec
}

var exchanges = []string{"binance", "bitfinex", "bitmex", "bybit", "coinbase", "deribit", "gate", "htx", "kraken", "kucoin", "mexc", "okx", "upbit"}

// Flow starts a collector of so many markets with so many symbols each; it ends with the
// test.
func Flow(t testing.TB, markets, symbols int) *River {
	t.Helper()
	s := &streams{began: time.Now().Add(-time.Hour), lags: catalogue.NewHistogramVec(catalogue.StreamExchangeToReceive)}
	for m := range markets {
		for n := range symbols {
			s.all = append(s.all, &market.Instrument{
				Exchange: exchanges[m/2%len(exchanges)], Market: []market.Market{market.Spot, market.Perpetual}[m%2], Symbol: fmt.Sprintf("COIN%03d-USDT", n),
			})
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(s, s.lags)
	c, err := chassis.New(chassis.Options{Service: collector.Service, Listen: "127.0.0.1:0", Config: chassis.DefaultConfig(), Registerer: registry, Gatherer: registry})
	if err != nil {
		t.Fatal(err)
	}
	if err := collector.Register(c, collector.Options{Branch: s}); err != nil {
		t.Fatal(err)
	}
	listen(t, c)
	p, err := watching.NewPrometheus(watching.PrometheusOptions{
		Config: watching.DefaultPrometheusConfig(),
		Targets: scrape.TargetsFunc(func(context.Context) ([]scrape.Target, error) {
			return []scrape.Target{{Job: collector.Service, Instance: "collector", URL: c.URL() + "/metrics"}}, nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	server, _ := watched(t, map[string]string{collector.Service: c.URL()}, p)
	t.Cleanup(p.Close)
	return &River{URL: server.URL(), Streams: len(s.all)}
}

// passed is how many records the n-th stream has had.
func (s *streams) passed(n int, now time.Time) int64 {
	return int64(now.Sub(s.began).Seconds() * float64(5+n%97))
}

// AllQuality implements [collector.Branch]. One stream in 800 begins anew, and in 500 has a
// gap that is open.
func (s *streams) AllQuality(context.Context) []branch.Quality {
	now := time.Now()
	out := make([]branch.Quality, len(s.all))
	for n, i := range s.all {
		state := "live"
		if n%800 == 13 {
			state = "syncing"
		}
		trades := s.passed(n, now)
		channel := func(kind market.Kind, records, gaps int64) branch.ChannelQuality {
			return branch.ChannelQuality{
				Kind: kind, Proof: "sequence", Records: records, Verified: records, Gaps: gaps, FirstSeq: market.Int(1), LastSeq: market.Int(records),
				LastTime: now.UnixNano(), LastUpdate: now.Add(-time.Duration(n%250) * time.Millisecond).UnixNano(),
			}
		}
		out[n] = branch.Quality{
			Instrument: i, Coverage: 99.99, Verified: 100, From: s.began.UnixNano(), Live: state == "live", BookState: state,
			Channels: []branch.ChannelQuality{channel(market.KindTrade, trades, 0), channel(market.KindBookDelta, 3*trades, 1), channel(market.KindBookTicker, 2*trades, 0)},
		}
		if n%500 == 7 {
			out[n].Channels[1].Open = 1
		}
	}
	return out
}

// AllCoverage implements [collector.Branch]: one stream in ten had a hole, which was healed.
func (s *streams) AllCoverage(_ context.Context, from, to time.Time) ([]branch.Coverage, error) {
	out := make([]branch.Coverage, len(s.all))
	for n, i := range s.all {
		out[n] = branch.Coverage{Instrument: i, From: from.UnixNano(), To: to.UnixNano(), Since: s.began.UnixNano(), Percent: 99.99, Verified: -1}
		if n%10 == 0 {
			at := s.began.Add(time.Duration(n%3000) * time.Second).UnixNano()
			out[n].Gaps = []market.Gap{{Channel: "book_delta", FromTime: at, ToTime: at + 2e9, Cause: market.CauseSequence, Outcome: market.OutcomeHealed}}
		}
	}
	return out, nil
}

// Health implements [collector.Branch].
func (s *streams) Health(context.Context) branch.Health { return branch.Health{} }

// Exchanges implements [collector.Branch].
func (s *streams) Exchanges(context.Context) map[string]branch.ExchangeStatus { return nil }

var published = catalogue.NewReading(catalogue.StreamPublished)

// Describe implements prometheus.Collector.
func (s *streams) Describe(ch chan<- *prometheus.Desc) { catalogue.Describe(ch, published) }

// Collect implements prometheus.Collector.
func (s *streams) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	for n, i := range s.all {
		published.Send(ch, float64(s.passed(n, now)), i.Exchange, i.Market.String(), i.Symbol)
		if n%100 == 0 {
			s.lags.WithLabelValues(i.Exchange, i.Market.String(), "trade").Observe(float64(20+n%80) / 1000)
		}
	}
}
