package collector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// Status is the body of GET /api/v1/status.
type Status struct {
	Service            string                    `json:"service"`
	Running            bool                      `json:"running" doc:"every enabled market has its instruments"`
	StartTime          time.Time                 `json:"start_time" doc:"of the collector"`
	UptimeSeconds      float64                   `json:"uptime_seconds" doc:"since start_time"`
	CollectorMetrics   Totals                    `json:"collector_metrics" doc:"of all exchanges, since the start"`
	Exchanges          map[string]ExchangeStatus `json:"exchanges" doc:"by name"`
	DataStats          map[string]DataStats      `json:"data_stats" doc:"by kind"`
	SupportedExchanges []string                  `json:"supported_exchanges"`
	SupportedDataTypes []string                  `json:"supported_data_types" doc:"kinds that some market has"`
	Live               live.Stats                `json:"live_streams" doc:"how clients follow streams"`
}

// Totals count since the start of the process.
type Totals struct {
	MessagesProcessed uint64     `json:"messages_processed" doc:"deliveries of exchanges that were handled, since the start"`
	MessagesPublished uint64     `json:"messages_published" doc:"records put on the live plane, since the start"`
	ErrorsCount       uint64     `json:"errors_count" doc:"deliveries and records that were refused or lost, failed requests and refused subscriptions, since the start"`
	LastMessageTime   *time.Time `json:"last_message_time" doc:"when the newest delivery was received; null before the first"`
}

// DataStats count one data type.
type DataStats struct {
	Records         int64      `json:"records" doc:"since the start"`
	Gaps            int64      `json:"gaps" doc:"opened, since the start"`
	OpenGaps        int64      `json:"open_gaps" doc:"neither healed nor given up yet"`
	LastMessageTime *time.Time `json:"last_message_time" doc:"when the newest record was received; null before the first"`
}

// ExchangeStatus is the state of one exchange.
type ExchangeStatus struct {
	Enabled             bool       `json:"enabled" doc:"at least one of its markets is"`
	Connected           bool       `json:"connected" doc:"at least one of its sessions is"`
	LastMessageTime     *time.Time `json:"last_message_time" doc:"when the newest delivery was received; null before the first"`
	MessagesCount       uint64     `json:"messages_count" doc:"deliveries that were handled, since the start"`
	ErrorsCount         uint64     `json:"errors_count" doc:"deliveries and records that were refused or lost, failed requests and refused subscriptions, since the start"`
	SupportedSymbols    int        `json:"supported_symbols" doc:"instruments that it lists, of all markets that are enabled"`
	ActiveSubscriptions int        `json:"active_subscriptions" doc:"of all its sessions"`
}

// ExchangeStats is the body of GET /api/v1/exchanges/{ex}/stats.
type ExchangeStats struct {
	Exchange     string                 `json:"exchange"`
	Status       ExchangeStatus         `json:"status"`
	AdapterStats map[string]MarketStats `json:"adapter_stats" doc:"by market"`
	Timestamp    time.Time              `json:"timestamp"`
}

// MarketStats tell of one market of an exchange.
type MarketStats struct {
	Enabled           bool            `json:"enabled" doc:"by the configuration"`
	Instruments       int             `json:"instruments" doc:"that the exchange lists"`
	Builtin           bool            `json:"instruments_builtin" doc:"the list came with the program, because the exchange could not be asked"`
	Streams           int             `json:"streams" doc:"instruments that are collected"`
	LiveStreams       int             `json:"live_streams" doc:"of these, those of which everything subscribed arrives"`
	Sessions          []SessionStatus `json:"sessions" doc:"connections to the exchange"`
	RefusedDeliveries uint64          `json:"refused_deliveries" doc:"that did not fit a mailbox, since the start"`
	Unrouted          uint64          `json:"unrouted_deliveries" doc:"that no stream takes, since the start"`
	UnrecordedRecords uint64          `json:"unrecorded_records" doc:"that the journal refused, since the start"`
	RESTRetries       uint64          `json:"rest_retries" doc:"requests to the exchange that were tried again, since the start"`
	RESTWeight        int             `json:"rest_weight_per_minute" doc:"the budget of requests that is in force; 0 for a market that was never enabled"`
	RESTFailures      uint64          `json:"rest_failures" doc:"requests to the exchange that were given up, since the start"`
	UnknownSymbols    []string        `json:"unknown_symbols" doc:"that the configuration names and the exchange does not list"`
	TopSymbols        []string        `json:"top_symbols" doc:"those collected for their volume, the most traded first"`
	Origins           map[string]int  `json:"streams_by_origin" doc:"by why they are there: configured, top, run_time"`
}

// SessionStatus tells of one socket.
type SessionStatus struct {
	Name          string     `json:"name"`
	URL           string     `json:"url"`
	State         string     `json:"state" doc:"idle, connecting, subscribing (answers are missing), live, backoff (waits before the next attempt) or stopped"`
	Connection    int64      `json:"connection" doc:"number of the connection; 0 before the first"`
	Since         *time.Time `json:"since" doc:"of the state; null before the first change"`
	Subscriptions int        `json:"subscriptions" doc:"that it is to have"`
	Connects      uint64     `json:"connects" doc:"since the start"`
	Disconnects   uint64     `json:"disconnects" doc:"since the start, planned replacements not counted"`
	Refused       uint64     `json:"refused_subscriptions" doc:"by the exchange, since the start"`
	Silent        []string   `json:"silent_subscriptions" doc:"such as trade BTC-USDT: those that give nothing while others do, although they were asked for again"`
	LastError     string     `json:"last_error,omitempty" doc:"what failed last; absent when nothing ever did"`
}

// Check is one entry of /health.
type Check struct {
	// Status is "pass", "warn" or "fail".
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// Health is what the collector adds to /health.
type Health struct {
	Collector Totals                    `json:"collector"`
	Exchanges map[string]ExchangeStatus `json:"exchanges"`
	DataStats map[string]DataStats      `json:"data_stats"`
	Checks    map[string]Check          `json:"checks"`
}

// Status reads the figures; it asks no actor, so that it answers while actors
// are busy.
func (c *Collector) Status(context.Context) Status {
	s := Status{
		Service: Service, Running: c.running(), StartTime: c.started.UTC(),
		UptimeSeconds: max(seconds(c.opts.Now().Sub(c.started)), 1e-9),
		Exchanges:     c.exchangeStatuses(), DataStats: c.dataStats(),
		SupportedExchanges: c.exchangeNames(), SupportedDataTypes: c.dataTypes(),
		Live: c.opts.hub.Stats(),
	}
	s.CollectorMetrics = totals(s.Exchanges, c.published())
	return s
}

// Health reads the figures and judges them.
func (c *Collector) Health(context.Context) Health {
	h := Health{Exchanges: c.exchangeStatuses(), DataStats: c.dataStats(), Checks: map[string]Check{}}
	h.Collector = totals(h.Exchanges, c.published())
	for _, v := range c.venues {
		if v.enabled() {
			h.Checks[v.name] = v.check()
		}
	}
	if len(h.Checks) == 0 {
		h.Checks["exchanges"] = Check{Status: "warn", Detail: "no exchange is enabled"}
	}
	return h
}

// Exchanges lists every exchange with its state.
func (c *Collector) Exchanges(context.Context) map[string]ExchangeStatus { return c.exchangeStatuses() }

// ExchangeStats tells of one exchange, a disabled one too. Error: [UnknownError].
func (c *Collector) ExchangeStats(_ context.Context, exchange string) (ExchangeStats, error) {
	venues, err := c.exchange(exchange)
	var unknown *UnknownError
	if errors.As(err, &unknown) && contains(unknown.Known, exchange) {
		venues, err = nil, nil // an exchange of which no market is configured
	}
	if err != nil {
		return ExchangeStats{}, err
	}
	s := ExchangeStats{
		Exchange: exchange, Status: exchangeStatus(venues), AdapterStats: map[string]MarketStats{}, Timestamp: c.opts.Now().UTC(),
	}
	for _, v := range venues {
		s.AdapterStats[v.market.String()] = v.stats()
	}
	return s, nil
}

// Symbol is one instrument of GET /api/v1/orderbook/symbols/{ex}.
type Symbol struct {
	Instrument *market.Instrument
	// Collected says that there is a stream of it; DataTypes are those wanted.
	Collected bool
	DataTypes []string
	// Origins are why it is collected: "configured", "top" (its volume), "run_time".
	Origins []string
}

// Symbols lists the instruments of an exchange, by market and symbol; all of
// them, or those collected. marketWord "" means every market. Errors:
// [UnknownError], [InvalidError].
func (c *Collector) Symbols(_ context.Context, exchange, marketWord string, collected bool) ([]Symbol, error) {
	venues, err := c.exchange(exchange)
	if err != nil {
		return nil, err
	}
	if _, ok := market.ParseMarket(marketWord); !ok && marketWord != "" {
		return nil, &InvalidError{Field: "market", Value: marketWord}
	}
	out := []Symbol{}
	for _, v := range venues {
		table := v.instruments()
		if table == nil || marketWord != "" && v.market.String() != marketWord {
			continue
		}
		for _, i := range table.All() {
			s := Symbol{Instrument: i, DataTypes: []string{}, Origins: []string{}}
			if r := v.route(i); r != nil {
				s.Collected, s.DataTypes = true, kindSet(r.want.Load()).words()
				s.Origins = origin(r.origin.Load()).words()
			}
			if s.Collected || !collected {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// running reports whether every enabled market has its instruments.
func (c *Collector) running() bool {
	for _, v := range c.venues {
		if v.enabled() && v.instruments() == nil {
			return false
		}
	}
	return true
}

func (c *Collector) dataTypes() []string {
	var all kindSet
	for _, v := range c.venues {
		all |= v.supported()
	}
	return all.words()
}

func (c *Collector) published() (n uint64) {
	for _, v := range c.venues {
		for _, r := range v.allRoutes() {
			n += r.counts.published.Load()
		}
	}
	return n
}

func totals(exchanges map[string]ExchangeStatus, published uint64) Totals {
	t := Totals{MessagesPublished: published}
	for _, x := range exchanges {
		t.MessagesProcessed += x.MessagesCount
		t.ErrorsCount += x.ErrorsCount
		t.LastMessageTime = later(t.LastMessageTime, x.LastMessageTime)
	}
	return t
}

func later(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.After(*a) {
		return b
	}
	return a
}

// timeOf is a time for JSON; nil for 0.
func timeOf(ns int64) *time.Time {
	if ns == 0 {
		return nil
	}
	t := time.Unix(0, ns).UTC()
	return &t
}

func (c *Collector) exchangeStatuses() map[string]ExchangeStatus {
	out := map[string]ExchangeStatus{}
	for _, name := range c.exchangeNames() {
		var venues []*venue
		for _, v := range c.venues {
			if v.exchange == name {
				venues = append(venues, v)
			}
		}
		out[name] = exchangeStatus(venues)
	}
	return out
}

func exchangeStatus(venues []*venue) ExchangeStatus {
	var s ExchangeStatus
	var last int64
	for _, v := range venues {
		s.Enabled = s.Enabled || v.enabled()
		if table := v.instruments(); table != nil {
			s.SupportedSymbols += len(table.All())
		}
		s.ErrorsCount += v.unrouted.Load() + v.failures.Load()
		for _, r := range v.allRoutes() {
			n := &r.counts
			s.MessagesCount += n.deliveries.Load()
			s.ErrorsCount += n.refused.Load() + n.overheld.Load() + n.unrecorded.Load() + n.publishErrors.Load()
			last = max(last, n.last.Load())
		}
		for _, k := range v.sockets() {
			st := k.status()
			s.Connected = s.Connected || st.State == connectors.Live.String() || st.State == connectors.Subscribing.String()
			s.ActiveSubscriptions += st.Subscriptions
			s.ErrorsCount += st.Refused
		}
	}
	s.LastMessageTime = timeOf(last)
	return s
}

func (c *Collector) dataStats() map[string]DataStats {
	out := map[string]DataStats{}
	for _, name := range c.dataTypes() {
		out[name] = DataStats{}
	}
	for _, v := range c.venues {
		for _, r := range v.allRoutes() {
			for _, ch := range r.figures.Load().channels {
				d := out[ch.Kind.String()]
				d.Records += ch.Records
				d.Gaps += ch.Gaps
				d.OpenGaps += ch.Open
				d.LastMessageTime = later(d.LastMessageTime, timeOf(ch.LastReceived))
				out[ch.Kind.String()] = d
			}
		}
	}
	return out
}

func (v *venue) stats() MarketStats {
	s := MarketStats{
		Enabled: v.enabled(), Sessions: []SessionStatus{}, Unrouted: v.unrouted.Load(),
		RESTRetries: v.retries.Load(), RESTFailures: v.failures.Load(), UnknownSymbols: []string{},
		TopSymbols: []string{}, Origins: map[string]int{},
	}
	if top := v.top.Load(); top != nil {
		for _, i := range *top {
			s.TopSymbols = append(s.TopSymbols, i.Symbol)
		}
	}
	if l := v.listing.Load(); l != nil {
		s.Instruments, s.Builtin = len(l.table.All()), l.builtin
	}
	if u := v.unknown.Load(); u != nil {
		s.UnknownSymbols = append(s.UnknownSymbols, *u...)
	}
	for _, r := range v.allRoutes() {
		s.Streams++
		for _, word := range origin(r.origin.Load()).words() {
			s.Origins[word]++
		}
		if r.figures.Load().live {
			s.LiveStreams++
		}
		s.RefusedDeliveries += r.counts.refused.Load()
		s.UnrecordedRecords += r.counts.unrecorded.Load()
	}
	for _, k := range v.sockets() {
		s.Sessions = append(s.Sessions, k.status())
	}
	if made := v.made.Load(); made != nil {
		if limit := made.client.Limit(); limit.Per > 0 {
			s.RESTWeight = int(int64(limit.N) * int64(time.Minute) / int64(limit.Per))
		}
	}
	return s
}

// check judges one market. Nothing here makes the service unhealthy: a process
// restart would not bring an exchange back.
func (v *venue) check() Check {
	l := v.listing.Load()
	if l == nil {
		return Check{Status: "warn", Detail: "waiting for the list of instruments"}
	}
	if part := v.stopped(); part != "" {
		return Check{Status: "warn", Detail: part + " does not run: somebody has stopped it, or it is being started again"}
	}
	if l.builtin {
		return Check{Status: "warn", Detail: "the exchange's REST interface does not answer; working from the built-in instrument table"}
	}
	if u := v.unknown.Load(); u != nil && len(*u) > 0 {
		return Check{Status: "warn", Detail: "the configuration names symbols that the exchange does not list"}
	}
	for _, r := range v.allRoutes() {
		f := r.figures.Load()
		switch {
		case f.refusing:
			return Check{Status: "warn", Detail: "the journal refuses records: " + f.cause}
		case f.unknowing:
			return Check{Status: "warn", Detail: "storage did not answer at the start: what was stored before is not known yet, and asked for again"}
		case f.hasBook && !f.resuming && f.book.State == stream.Stale:
			return Check{Status: "warn", Detail: "a book is stale: " + r.instrument.Symbol}
		}
	}
	for _, k := range v.sockets() {
		st := k.status()
		if st.State == connectors.Backoff.String() {
			return Check{Status: "warn", Detail: "not connected"}
		}
		if n := len(st.Silent); n > 0 {
			return Check{Status: "warn", Detail: fmt.Sprintf("silent, though asked for again: %s (%d on %s)", st.Silent[0], n, st.Name)}
		}
	}
	return Check{Status: "pass"}
}

// stopped names an actor of the market that should run and does not; "" when all do.
func (v *venue) stopped() string {
	branch := strings.Join([]string{supervise.RootID, Name, v.name}, "/")
	if _, runs := v.opts.System.Lookup(branch); !runs {
		return branch
	}
	names := []string{restName, subscriptionsName}
	for _, r := range v.allRoutes() {
		if r.born.Load() > 0 && !r.final.Load() { // it was started once
			names = append(names, streamName(r.instrument))
		}
	}
	for _, name := range names {
		if v.child(name) == nil {
			return branch + "/" + name
		}
	}
	return ""
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}
