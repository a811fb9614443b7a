package collector_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/bucket/buckettest"
	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/connectors/simulator"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// era is a simulated market that has been going for two hours, and a collector that
// subscribes to nothing of it.
type era struct {
	*testing.T
	server    *simulator.Server
	ledger    *ledger
	kept      *buckettest.Memory
	collector *collector.Collector
	id        market.StreamID
	begun     time.Time
	stop      func()
	options   collector.Options
}

// newEra starts one market of an exchange.
func newEra(t *testing.T, x connectors.Exchange, m market.Market, change func(*connectors.MarketConfig, *collector.Config)) *era {
	t.Helper()
	e := &era{T: t, ledger: newLedger(func() {}), kept: buckettest.New(), begun: time.Now().Add(-2 * time.Hour)}
	var err error
	e.server, err = simulator.Start(t.Context(), simulator.Options{
		Exchanges: []connectors.Exchange{x}, Markets: map[string][]market.Market{x.Name(): {m}}, Seed: 5, Rate: 10, Symbols: 1, Genesis: e.begun,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.server.Close)
	settings, own := x.DefaultConfig(), collector.DefaultConfig()
	for name, mc := range settings.Markets {
		if mc.Enabled = name == m.String(); !mc.Enabled {
			settings.Markets[name] = mc
			continue
		}
		for _, at := range e.server.Endpoints() {
			mc.WSURL, mc.RESTURL = at.WSURL, at.RESTURL
			e.id = market.StreamID{Exchange: x.Name(), Market: m, Symbol: at.Symbols[0]}
		}
		mc.Symbols, mc.Top = nil, 0
		if x.Name() == "deribit" { // its four markets share a host, and so its limit
			mc.RateLimits.RESTWeightPerMinute *= 5
		}
		if change != nil {
			change(&mc, &own)
		}
		settings.Markets[name] = mc
	}
	settings.Enabled, own.BackfillShare = true, 1
	e.options = collector.Options{
		Config: own, Exchanges: []collector.Exchange{{Exchange: x, Config: settings}}, Epoch: 3,
		Recorder: func(market.StreamID) persistence.Recorder { return e.ledger }, Reader: e.ledger, Store: &overlays{}, Backfills: e.kept,
	}
	e.start()
	t.Cleanup(func() { e.stop() })
	return e
}

// start begins a process.
func (e *era) start() {
	e.Helper()
	system, err := supervise.NewSystem(e.Context(), supervise.Options{})
	if err != nil {
		e.Fatal(err)
	}
	e.options.System = system
	if e.collector, err = collector.New(e.options); err != nil {
		e.Fatal(err)
	}
	if err := system.Start(e.Context(), e.collector.Spec()); err != nil {
		e.Fatal(err)
	}
	e.stop = func() {
		stop, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := system.Stop(stop); err != nil {
			e.Error(err)
		}
		e.stop = func() {}
	}
}

// begin begins an operation, as soon as the instruments are known.
func (e *era) begin(r collector.BackfillRequest) (collector.BackfillStatus, error) {
	r.Exchange, r.Market, r.Symbol = e.id.Exchange, e.id.Market.String(), e.id.Symbol
	ctx, cancel := context.WithTimeout(e.Context(), patience)
	defer cancel()
	for {
		s, err := e.collector.BeginBackfill(ctx, r)
		if !errors.Is(err, collector.ErrNotStarted) || ctx.Err() != nil {
			return s, err
		}
		tick := time.NewTimer(10 * time.Millisecond) // the table comes from a server
		<-tick.C
	}
}

// backfill runs an operation to its end, which must be success.
func (e *era) backfill(r collector.BackfillRequest) collector.BackfillStatus {
	e.Helper()
	s, err := e.begin(r)
	if err != nil {
		e.Fatal(err)
	}
	if s = e.await(s.ID); s.State != collector.BackfillSucceeded || s.Progress != 1 {
		e.Fatalf("%s at %g: %s", s.State, s.Progress, s.Problem)
	}
	return s
}

func (e *era) await(id string) collector.BackfillStatus {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.Context(), 2*patience)
	defer cancel()
	s, err := e.collector.AwaitBackfill(ctx, id)
	for errors.Is(err, collector.ErrNotStarted) && ctx.Err() == nil {
		tick := time.NewTimer(10 * time.Millisecond) // they come from a server
		<-tick.C
		s, err = e.collector.AwaitBackfill(ctx, id)
	}
	if err != nil || !s.State.Over() {
		e.Fatalf("%+v %v", s, err)
	}
	return s
}

// truth are the trades of a time, as the exchange tells of them: in milliseconds.
func (e *era) truth(from, to time.Time) []int64 {
	e.Helper()
	_, last, err := e.server.Last(e.id)
	if err != nil {
		e.Fatal(err)
	}
	var numbers []int64
	for begin := int64(1); begin <= last; begin += 10_000 {
		list, err := e.server.TradesBetween(e.id, begin, min(last, begin+9_999))
		if err != nil {
			e.Fatal(err)
		}
		for _, t := range list {
			if ms := t.ExchangeTime / 1e6; ms >= from.UnixMilli() && ms < to.UnixMilli() {
				numbers = append(numbers, t.Seq.V)
			}
		}
	}
	return numbers
}

// numbers are those of the stored trades, ascending, each as often as it was recorded.
func (e *era) numbers() (all []int64) {
	for _, r := range e.ledger.all(e.id, market.KindTrade) {
		n, _ := r.(*market.Trade).Number()
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// TestBackfillRange: of every exchange and market, a range of trades is exactly what
// happened, once, and is not asked for again.
func TestBackfillRange(t *testing.T) {
	for _, x := range all.Exchanges() {
		for name := range x.DefaultConfig().Markets {
			m, _ := market.ParseMarket(name)
			t.Run(x.Name()+"/"+name, func(t *testing.T) {
				e := newEra(t, x, m, nil)
				from, to := e.begun.Add(30*time.Minute).Truncate(time.Millisecond), e.begun.Add(34*time.Minute).Truncate(time.Millisecond)
				r := collector.BackfillRequest{Kinds: []string{"trade"}, From: from, To: to}
				s := e.backfill(r)
				want := e.truth(from, to)
				if got := e.numbers(); len(want) < 100 || !slices.Equal(got, want) {
					t.Errorf("%d trades, want the %d from %d on", len(got), len(want), want[0])
				}
				if s.Records != int64(len(want)) || s.Missing != 0 || s.Stored != 0 {
					t.Errorf("%+v", s)
				}
				for _, rec := range e.ledger.all(e.id, market.KindTrade) {
					if h := rec.Head(); !h.Flags.Has(market.FlagBackfilled) || h.Epoch != 3 || h.Origin != market.Collected || h.TS != h.ExchangeTime {
						t.Fatalf("%+v", h)
					}
				}
				again := e.backfill(r)
				if got := e.numbers(); !slices.Equal(got, want) || again.Records != 0 || again.Stored != int64(len(want)) || again.Calls > 3 {
					t.Errorf("again: %d trades recorded; %+v", len(got), again)
				}
			})
		}
	}
}

// TestBackfillKinds: everything else that exchanges remember comes too, once.
func TestBackfillKinds(t *testing.T) {
	for _, x := range all.Exchanges() {
		t.Run(x.Name(), func(t *testing.T) {
			e := newEra(t, x, market.Perpetual, nil)
			from, to := e.begun.Add(10*time.Minute), e.begun.Add(80*time.Minute)
			r := collector.BackfillRequest{Kinds: []string{"candle"}, From: from, To: to}
			s := e.backfill(r)
			candles := e.ledger.all(e.id, market.KindCandle)
			if len(candles) != 70 || s.Records != 70 || s.Missing != 0 {
				t.Errorf("%d candles of 70 minutes: %+v", len(candles), s)
			}
			// One that was still running when it was stored is replaced, the others are not.
			candles[3].(*market.Candle).Closed = false
			candles[3].Head().Flags = 0
			if s = e.backfill(r); s.Records != 1 || s.Stored != 69 || s.Calls != 1 {
				t.Errorf("again: %+v", s)
			}
			from = to.Add(-6 * time.Minute) // with all their trades, of which some give few at once
			all := e.backfill(collector.BackfillRequest{From: from, To: to})
			if len(all.Parts) < 3 || all.Records == 0 || all.Missing != 0 {
				t.Errorf("every kind: %+v", all)
			}
			if again := e.backfill(collector.BackfillRequest{From: from, To: to}); again.Records != 0 {
				t.Errorf("every kind, again: %+v", again)
			}
		})
	}
}

// TestBackfillGaps: what the ledger has marked is fetched, and the ledger says so;
// what the exchange does not have stays marked with its bounds.
func TestBackfillGaps(t *testing.T) {
	for _, x := range all.Exchanges() {
		t.Run(x.Name(), func(t *testing.T) {
			e := newEra(t, x, market.Perpetual, nil)
			from, to := e.begun.Add(30*time.Minute), e.begun.Add(40*time.Minute)
			e.backfill(collector.BackfillRequest{Kinds: []string{"trade"}, From: from, To: to})
			want := e.numbers()
			first := want[0]
			lost := func(n int64) bool { return n >= first+50 && n < first+150 && n != first+60 }
			times := map[int64]int64{}
			for _, r := range e.ledger.all(e.id, market.KindTrade) {
				n, _ := r.(*market.Trade).Number()
				times[n] = r.Head().TS
			}
			e.ledger.drop(e.id, func(r market.Record) bool {
				tr, ok := r.(*market.Trade)
				if !ok {
					return false
				}
				n, _ := tr.Number()
				return lost(n)
			})
			e.mark(first+50, first+149, times[first+49], times[first+150])
			s := e.backfill(collector.BackfillRequest{Gaps: true})
			if s.GapsFound != 1 || s.GapsHealed != 1 || s.Records != 99 || s.Missing != 0 {
				t.Errorf("%+v", s)
			}
			if got := e.numbers(); !slices.Equal(got, want) {
				t.Errorf("%d trades, want %d", len(got), len(want))
			}
			if got := e.entries(); !slices.Equal(got, []string{fmt.Sprintf("%d-%d healed 100", first+50, first+149)}) {
				t.Error(got)
			}
			if s = e.backfill(collector.BackfillRequest{Gaps: true}); s.GapsFound != 0 || s.Calls != 0 {
				t.Errorf("again: %+v", s)
			}
		})
	}
}

// mark writes an entry of the ledger as an outage leaves it.
func (e *era) mark(from, to, fromTime, toTime int64) {
	b := new(persistence.Entry)
	b.Done = func(*persistence.Entry, persistence.Outcome) {}
	g := market.Add[market.Gap](&b.Batch)
	g.Instrument = e.collector.Tables(e.id.Exchange)[e.id.Market].All()[0]
	for _, i := range e.collector.Tables(e.id.Exchange)[e.id.Market].All() {
		if i.Symbol == e.id.Symbol {
			g.Instrument = i
		}
	}
	g.Channel, g.Cause, g.Outcome = "trade", market.CauseDisconnect, market.OutcomeMarked
	g.FromSeq, g.ToSeq, g.FromTime, g.ToTime = market.Int(from), market.Int(to), fromTime, toTime
	market.Stamp(g)
	if err := e.ledger.Record(b); err != nil {
		e.Fatal(err)
	}
}

func (e *era) entries() (out []string) {
	for _, r := range e.ledger.all(e.id, market.KindGap) {
		g := r.(*market.Gap)
		out = append(out, fmt.Sprintf("%d-%d %s %d", g.FromSeq.V, g.ToSeq.V, g.Outcome, g.HealedRecords.V))
	}
	return out
}

// TestBackfillCancelled: what was brought stays, and the next one brings the rest.
func TestBackfillCancelled(t *testing.T) {
	x := all.Exchanges()[0]
	e := newEra(t, x, market.Spot, nil)
	from, to := e.begun.Add(time.Minute), e.begun.Add(110*time.Minute)
	r := collector.BackfillRequest{Kinds: []string{"trade"}, From: from, To: to}
	e.ledger.set(nil, true, nil) // the journal does not answer
	s, err := e.begin(r)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := e.begin(r)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := e.collector.CancelBackfill(t.Context(), waiting.ID); err != nil || s.State != collector.BackfillCancelled {
		t.Errorf("one that waits: %+v %v", s, err)
	}
	if _, err := e.collector.CancelBackfill(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if s = e.await(s.ID); s.State != collector.BackfillCancelled {
		t.Fatalf("%+v", s)
	}
	e.ledger.set(nil, false, nil)
	e.backfill(r)
	want, got := e.truth(from, to), slices.Compact(e.numbers())
	if !slices.Equal(got, want) {
		t.Errorf("%d trades, want %d", len(got), len(want))
	}
	if list := e.collector.Backfills(t.Context()); len(list) != 3 || list[2].ID != s.ID {
		t.Errorf("%+v", list)
	}
}

// TestBackfillRefusals: what cannot be asked for, and why.
func TestBackfillRefusals(t *testing.T) {
	e := newEra(t, all.Exchanges()[0], market.Perpetual, nil)
	now := time.Now()
	if _, err := e.begin(collector.BackfillRequest{Gaps: true}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		r    collector.BackfillRequest
		says string
	}{
		{"no time", collector.BackfillRequest{}, "from"},
		{"the future", collector.BackfillRequest{From: now.Add(-time.Hour), To: now.Add(time.Hour)}, "in the future"},
		{"backwards", collector.BackfillRequest{From: now.Add(-time.Hour), To: now.Add(-2 * time.Hour)}, "not before to"},
		{"no history", collector.BackfillRequest{Kinds: []string{"ticker"}, From: now.Add(-time.Hour)}, "one of trade, "},
		{"no kind", collector.BackfillRequest{Kinds: []string{"weather"}, From: now.Add(-time.Hour)}, `"weather" cannot be taken`},
		{"too long ago", collector.BackfillRequest{Kinds: []string{"open_interest"}, From: now.Add(-60 * 24 * time.Hour)}, "for 30 days only"},
		{"gaps of what is not remembered", collector.BackfillRequest{Gaps: true, Kinds: []string{"ticker"}}, "one of trade"},
	} {
		_, err := e.begin(tc.r)
		var invalid *collector.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	var unknown *collector.UnknownError
	if _, err := e.collector.BackfillStatus(t.Context(), "no-such"); !errors.As(err, &unknown) {
		t.Error(err)
	}
}

// TestImport: records that were recorded elsewhere are stored as collected, once,
// also those that only their connection tells apart.
func TestImport(t *testing.T) {
	e := newEra(t, all.Exchanges()[0], market.Spot, nil)
	var b market.Batch
	i := &market.Instrument{Exchange: e.id.Exchange, Market: e.id.Market, Symbol: e.id.Symbol, Native: "X"}
	tr := market.Add[market.Trade](&b)
	tr.Instrument, tr.ExchangeTime, tr.ReceiveTime, tr.ID, tr.Price, tr.Amount = i, 1e18, 1e18+1, market.NumID(7), market.MustDecimal("1"), market.MustDecimal("2")
	for n := range int64(3) {
		q := market.Add[market.BookTicker](&b) // without a time of its own
		q.Instrument, q.ReceiveTime, q.Conn, q.Seq = i, 1e18+2, 1, market.Int(n)
	}
	var form market.JSON
	var lines []byte
	for r := range b.All() {
		lines = append(form.Append(lines, r), '\n')
	}
	for round, want := range []collector.Imported{{Records: 4}, {Records: 1, Known: 3}} {
		got, err := e.collector.Import(t.Context(), lines)
		if err != nil || got != want {
			t.Errorf("round %d: %+v %v, want %+v", round, got, err, want)
		}
	}
	quotes := e.ledger.all(e.id, market.KindBookTicker)
	if len(quotes) != 3 || !quotes[0].Head().Flags.Has(market.FlagUnkeyed|market.FlagBackfilled) || quotes[0].Head().Epoch != 3 {
		t.Errorf("%d quotes", len(quotes))
	}
	for text, want := range map[string]any{
		`{"kind":"trade","exchange":"nowhere","market":"spot","symbol":"A-B","native_symbol":"AB"}`: new(*collector.UnknownError),
		`{"kind":"trade"`: nil,
	} {
		_, err := e.collector.Import(t.Context(), []byte(text))
		if want == nil && !errors.Is(err, market.ErrJSONRecord) || want != nil && !errors.As(err, want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	e.ledger.set(persistence.ErrNoCredit, false, nil)
	if _, err := e.collector.Import(t.Context(), lines); !errors.Is(err, persistence.ErrNoCredit) {
		t.Error(err)
	}
}
