package persistencetest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
)

// Base is the time around which random records lie, Unix ns.
const Base = int64(1_723_161_254_000_000_000)

// Instruments are those of random records.
func Instruments() []*market.Instrument {
	return []*market.Instrument{
		{Exchange: "binance", Market: market.Spot, Symbol: "BTC-USDT", Native: "BTCUSDT"},
		{Exchange: "binance", Market: market.Perpetual, Symbol: "BTC-USDT", Native: "BTCUSDT"},
		{Exchange: "okx", Market: market.Option, Symbol: "BTC-USD-20261225-60000-C", Native: "BTC-USD-261225-60000-C"},
		{Exchange: "a/b", Market: market.Future, Symbol: "Ä€/1", Native: ""},
	}
}

// StoredKinds lists the kinds that have a table.
func StoredKinds() []market.Kind {
	var kinds []market.Kind
	for _, k := range market.Kinds() {
		if k.Table() != "" {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Generator makes random records, the same for the same seed. Few times, sequence
// numbers and names are used, so that keys collide.
type Generator struct {
	*rand.Rand
	Instruments []*market.Instrument
	// Times is the number of different ts.
	Times int
	// Epoch is the highest epoch of records to come.
	Epoch int64
	batch *market.Batch
	kind  market.Kind
}

// NewGenerator returns a generator.
func NewGenerator(seed uint64) *Generator {
	return &Generator{Rand: rand.New(rand.NewPCG(seed, 7)), Instruments: Instruments(), Times: 40, Epoch: 1}
}

// Add appends a random record of a kind.
func (g *Generator) Add(b *market.Batch, kind market.Kind) market.Record {
	r := b.AddKind(kind)
	g.batch, g.kind = b, kind
	market.Visit(r, g)
	h := r.Head()
	h.TS = Base + int64(g.IntN(g.Times))*1_000_000
	h.Epoch = max(0, g.Epoch-int64(g.IntN(8)/7))
	h.Conn = int64(g.IntN(2))
	h.Flags = market.Flags(g.IntN(4)) << 1
	if g.IntN(6) == 0 {
		h.Flags |= market.FlagUnkeyed
		h.ReceiveTime = Base + int64(g.IntN(3))
	}
	h.Origin = market.Collected
	if g.IntN(4) == 0 {
		h.Origin = market.External
	}
	return r
}

// Instrument implements [market.Visitor].
func (g *Generator) Instrument(i **market.Instrument) { *i = g.Instruments[g.IntN(len(g.Instruments))] }

// Time implements [market.Visitor].
func (g *Generator) Time(_ *market.Field, t *int64) {
	if g.IntN(4) > 0 {
		*t = Base + g.Int64N(1_000_000_000)
	}
}

// Count implements [market.Visitor].
func (g *Generator) Count(_ *market.Field, c *int64) { *c = int64(g.IntN(3)) }

// Int implements [market.Visitor].
func (g *Generator) Int(_ *market.Field, n *market.OptInt) {
	switch g.IntN(8) {
	case 0:
	case 1:
		*n = market.Int(-g.Int64N(1 << 60))
	default:
		*n = market.Int(int64(g.IntN(4)))
	}
}

// Decimal implements [market.Visitor].
func (g *Generator) Decimal(f *market.Field, d *market.Decimal) {
	if g.kind == market.KindLiquidation && (f.Column == "price" || f.Column == "amount") {
		*d = market.MustDecimal([]string{"1.5", "1.50", "2", "-3.25"}[g.IntN(4)])
		return
	}
	*d = g.decimal()
}

func (g *Generator) decimal() market.Decimal {
	switch g.IntN(10) {
	case 0:
		return market.Decimal{}
	case 1: // longer than a float64, or than an int64
		var b strings.Builder
		b.WriteString([]string{"", "-"}[g.IntN(2)])
		fmt.Fprintf(&b, "%d%d.%d", 1+g.IntN(9), g.Int64N(1<<50), g.Int64N(1<<60))
		return market.MustDecimal(b.String())
	case 2:
		return market.NewDecimal(g.Int64N(1e18), uint8(g.IntN(30)))
	case 3:
		return market.NewDecimal(0, uint8(g.IntN(9)))
	}
	return market.NewDecimal(g.Int64N(1e12)-1e9, uint8(g.IntN(10)))
}

// ID implements [market.Visitor].
func (g *Generator) ID(_ *market.Field, id *market.ID) {
	switch g.IntN(8) {
	case 0:
		*id = market.TextID(fmt.Sprintf("uuid-%d", g.IntN(3)))
	case 1:
		*id = market.TextID([]string{"007", "-5", "99999999999999999999", "9999999999999999999", "+1"}[g.IntN(5)])
	case 2:
		*id = market.NumID(9_000_000_000_000_000_000 + int64(g.IntN(3)))
	default:
		*id = market.NumID(int64(g.IntN(6)))
	}
}

// Word implements [market.Visitor].
func (g *Generator) Word(_ *market.Field, w *string) {
	*w = []string{"", "1m", "5m", "live"}[g.IntN(4)]
}

// Enum implements [market.Visitor].
func (g *Generator) Enum(_ *market.Field, e market.Enum) { e.SetCode(uint8(g.IntN(3))) }

// Bool implements [market.Visitor].
func (g *Generator) Bool(_ *market.Field, t *bool) { *t = g.IntN(2) == 0 }

// Levels implements [market.Visitor].
func (g *Generator) Levels(_ *market.Field, levels *[]market.Level) {
	mark := g.batch.LevelMark()
	for range g.IntN(4) {
		g.batch.Level(market.Level{Price: g.decimal(), Amount: g.decimal()})
	}
	*levels = g.batch.LevelsFrom(mark)
}

// Flags implements [market.Visitor].
func (g *Generator) Flags(*market.Flags) {}
