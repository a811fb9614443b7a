// Package connectorstest is the suite that every exchange passes: its tables, its
// subscriptions, golden files, recorded traffic, and memory.
//
// An exchange's test is
//
//	func TestSuite(t *testing.T) { connectorstest.Run(t, subject) }
//	func TestAllocDecode(t *testing.T) { connectorstest.Alloc(t, subject) }
//	func FuzzSpot(f *testing.F)  { connectorstest.FuzzDecoder(f, venue, seeds) }
package connectorstest

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Subject is an exchange under test.
type Subject struct {
	Exchange connectors.Exchange
	// Golden maps a market to its file of raw traffic in testdata, without
	// ".ndjson".
	Golden map[market.Market]string
	// Captures is recorded traffic that must decode.
	Captures []Capture
}

// Venue is a market of the subject with its default settings; every kind of
// candle is on.
func (s Subject) Venue(t testing.TB, m market.Market) *connectors.Venue {
	t.Helper()
	cfg, ok := s.Exchange.DefaultConfig().Markets[m.String()]
	if !ok {
		t.Fatalf("%s has no %s market", s.Exchange.Name(), m)
	}
	v, err := s.Exchange.Venue(m, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Run runs the whole suite.
func Run(t *testing.T, s Subject) {
	t.Run("config", func(t *testing.T) { testConfig(t, s) })
	for name := range s.Exchange.DefaultConfig().Markets {
		m, _ := market.ParseMarket(name)
		v := s.Venue(t, m)
		t.Run(name+"/table", func(t *testing.T) { testTable(t, s, v) })
		t.Run(name+"/instruments", func(t *testing.T) { testInstruments(t, v) })
		t.Run(name+"/plan", func(t *testing.T) { testPlan(t, v) })
		t.Run(name+"/requests", func(t *testing.T) { testRequests(t, v) })
		if file := s.Golden[m]; file != "" {
			t.Run(name+"/golden", func(t *testing.T) { testGolden(t, v, file) })
			t.Run(name+"/cuts", func(t *testing.T) { testCuts(t, v, file) })
		}
	}
	for _, c := range s.Captures {
		t.Run("capture/"+c.Path, func(t *testing.T) { testCapture(t, s, c) })
	}
}

// Alloc holds every market with golden files to decoding without allocation. Its
// test is named TestAlloc…, and runs without the race detector too.
func Alloc(t *testing.T, s Subject) {
	for m, file := range s.Golden {
		t.Run(m.String(), func(t *testing.T) { testAlloc(t, s.Venue(t, m), file) })
	}
}

func testConfig(t *testing.T, s Subject) {
	cfg := s.Exchange.DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Errorf("the default settings: %v", err)
	}
	if len(cfg.Markets) == 0 {
		t.Error("no market")
	}
	for name, mc := range cfg.Markets {
		m, ok := market.ParseMarket(name)
		if !ok {
			t.Errorf("market %q", name)
			continue
		}
		v, err := s.Exchange.Venue(m, mc)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		kinds, err := mc.Kinds()
		if err != nil {
			t.Error(err)
		}
		for _, k := range kinds {
			if len(v.ChannelsFor([]market.Kind{k})) == 0 {
				t.Errorf("%s: no channel gives the default data type %s", name, k)
			}
		}
		watch := mc
		watch.Watchdog.Silence = map[string]time.Duration{"nosuch": time.Second}
		if _, err := s.Exchange.Venue(m, watch); err == nil {
			t.Errorf("%s: a watchdog for a channel that does not exist is accepted", name)
		}
		mc.RateLimits.WSMessagesPerSecond = 1 << 20
		if _, err := s.Exchange.Venue(m, mc); err == nil {
			t.Errorf("%s: a million messages a second is accepted", name)
		}
	}
}

func testTable(t *testing.T, s Subject, v *connectors.Venue) {
	if v.Exchange != s.Exchange.Name() || v.Wire == nil || v.NewDecoder == nil || v.Builtin == nil || len(v.Hosts) == 0 {
		t.Errorf("incomplete venue %+v", v)
	}
	names := map[string]bool{}
	for i, c := range v.Channels {
		if c.Name == "" || names[c.Name] {
			t.Errorf("channel %d: name %q is empty or not unique", i, c.Name)
		}
		names[c.Name] = true
		if v.ChannelIndex(c.Name) != i {
			t.Errorf("ChannelIndex(%q) is not %d", c.Name, i)
		}
		if len(c.Kinds) == 0 || slices.ContainsFunc(c.Kinds, func(k market.Kind) bool { return !k.Valid() }) {
			t.Errorf("channel %s: kinds %v", c.Name, c.Kinds)
		}
		book := slices.Contains(c.Kinds, market.KindBookDelta)
		if book != (c.Snapshot != connectors.NoSnapshot) {
			t.Errorf("channel %s: a book, and only a book, starts from a snapshot", c.Name)
		}
		if book && c.Proof == connectors.BySequence && v.Sequence == nil {
			t.Errorf("channel %s: proven by a sequence, without a rule", c.Name)
		}
	}
	rules := v.Wire.Rules()
	if rules.ReadLimit <= 0 || (rules.PingEvery == 0 && rules.ServerPingEvery == 0) {
		t.Errorf("wire rules %+v: no read limit, or nobody pings", rules)
	}
}

func testInstruments(t *testing.T, v *connectors.Venue) {
	table := v.Builtin()
	if len(table.All()) == 0 {
		t.Fatal("the built-in table is empty")
	}
	seen := map[string]bool{}
	for _, i := range table.All() {
		if i.Exchange != v.Exchange || i.Market != v.Market || i.Native == "" {
			t.Errorf("instrument %+v", i)
		}
		if i.Symbol != strings.ToUpper(i.Symbol) || !strings.HasPrefix(i.Symbol, i.Base+"-"+i.Quote) {
			t.Errorf("symbol %q of %s-%s", i.Symbol, i.Base, i.Quote)
		}
		if seen[i.Symbol] {
			t.Errorf("symbol %q twice", i.Symbol)
		}
		seen[i.Symbol] = true
		for _, spelling := range []string{i.Symbol, i.Native, strings.ToLower(i.Symbol)} {
			if got, err := table.Resolve(spelling); err != nil || got != i {
				t.Errorf("Resolve(%q) = %v, %v", spelling, got, err)
			}
		}
		if (i.Market == market.Future || i.Market == market.Option) != (i.ExpiryTime != 0) {
			t.Errorf("%s: expiry %d", i.Symbol, i.ExpiryTime)
		}
	}
}

// every subscribes to all channels of all instruments.
func every(v *connectors.Venue) (subs []connectors.Subscription) {
	for _, i := range v.Builtin().All() {
		for c := range v.Channels {
			subs = append(subs, connectors.Subscription{Channel: c, Instrument: i})
		}
	}
	return subs
}

func testPlan(t *testing.T, v *connectors.Venue) {
	want := map[connectors.Subscription]int{}
	subs := every(v)
	for _, s := range subs {
		if v.Channels[s.Channel].Poll == 0 {
			want[s]++
		}
	}
	id, topics := int64(1), map[string]int{}
	for n, c := range v.Wire.Plan(subs) {
		u, err := url.Parse(c.URL)
		if err != nil || (u.Scheme != "ws" && u.Scheme != "wss") {
			t.Errorf("connection %d: URL %q", n, c.URL)
		}
		if max := v.Limits.StreamsPerConnection; len(c.Subs) == 0 || max > 0 && len(c.Subs) > max {
			t.Errorf("connection %d: %d subscriptions of at most %d", n, len(c.Subs), max)
		}
		for _, s := range c.Subs {
			want[s]--
		}
		asked := oneOfEach(t, v, n, c.Subs, topics)
		id = testDemands(t, v.Wire.Subscribe(id, asked), id, asked)
		id = testDemands(t, v.Wire.Unsubscribe(id, asked), id, asked)
	}
	for s, n := range want {
		if n != 0 {
			t.Errorf("%s of %s: %d too few", v.Channels[s.Channel].Name, s.Instrument.Symbol, n)
		}
	}
}

// oneOfEach leaves one subscription of each topic, as a session does, and checks
// that a topic is on one connection only; at is where each was seen.
func oneOfEach(t *testing.T, v *connectors.Venue, conn int, subs []connectors.Subscription, at map[string]int) []connectors.Subscription {
	wire, sharing := v.Wire.(connectors.Sharing)
	if !sharing {
		return subs
	}
	var out []connectors.Subscription
	for _, s := range subs {
		topic := wire.Topic(s)
		where, seen := at[topic]
		switch {
		case topic == "":
			t.Errorf("%s of %s: no topic", v.Channels[s.Channel].Name, s.Instrument.Symbol)
		case !seen:
			at[topic] = conn
			out = append(out, s)
		case where != conn:
			t.Errorf("topic %q is on connections %d and %d", topic, where, conn)
		}
	}
	return out
}

func testDemands(t *testing.T, demands []connectors.Demand, id int64, subs []connectors.Subscription) int64 {
	var asked []connectors.Subscription
	for _, d := range demands {
		if d.ID != 0 && d.ID != id {
			t.Errorf("demand number %d, want %d", d.ID, id)
		}
		if d.ID == 0 && len(d.Topics) == 0 {
			t.Error("a demand whose answer cannot be recognised")
		}
		if len(d.Body) == 0 {
			t.Error("an empty demand")
		}
		asked = append(asked, d.Subs...)
		id++
	}
	if !slices.Equal(asked, subs) {
		t.Errorf("%d subscriptions asked for, want %d", len(asked), len(subs))
	}
	return id
}

func testRequests(t *testing.T, v *connectors.Venue) {
	table := v.Builtin()
	client := connectors.NewClient(connectors.ClientOptions{Venue: v})
	needs := client.Parts(connectors.Need{Kind: connectors.NeedInstruments})
	if _, ok := v.REST.(connectors.Ranked); ok {
		needs = append(needs, client.Parts(connectors.Need{Kind: connectors.NeedVolumes})...)
	}
	for _, i := range table.All()[:min(3, len(table.All()))] {
		needs = append(needs,
			connectors.Need{Kind: connectors.NeedSnapshot, Instrument: i},
			connectors.Need{Kind: connectors.NeedRecentTrades, Instrument: i},
			connectors.Need{Kind: connectors.NeedTradesFrom, Instrument: i, FromID: 17})
		for c := range v.Channels {
			if v.Channels[c].Poll > 0 {
				needs = append(needs, connectors.Need{Kind: connectors.NeedPoll, Instrument: i, Channel: c})
			}
		}
	}
	for _, n := range needs {
		req, err := v.REST.Request(n)
		always := n.Kind == connectors.NeedInstruments || n.Kind == connectors.NeedVolumes || n.Kind == connectors.NeedPoll
		if errors.Is(err, connectors.ErrUnsupported) && !always {
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", n.Kind, err)
			continue
		}
		u, err := url.Parse(req.URL)
		if err != nil {
			t.Errorf("%s: %v", n.Kind, err)
			continue
		}
		back, ok := v.REST.Recognise(u, table)
		if !ok || back.Need != req.Need {
			t.Errorf("Recognise(%s) = %+v, %v; want %+v", req.URL, back.Need, ok, req.Need)
		}
		if back.Weight != req.Weight || back.PageSize != req.PageSize {
			t.Errorf("Recognise(%s): weight %d, page %d; want %d, %d", req.URL, back.Weight, back.PageSize, req.Weight, req.PageSize)
		}
	}
}
