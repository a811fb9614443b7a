package simulator

import (
	"math"

	"github.com/marketprism/marketprism/internal/market"
)

// The clockwork. A market is an endless row of steps, at a steady rate. Chunks of
// steps begin in a state that follows from the seed and the chunk's number alone,
// so that any moment of the past can be made again, from its chunk's beginning,
// with nothing kept. Every window of steps has the same number of trades: so the
// ids of trades follow from the number of the step.
const (
	chunkSteps   = 1024
	windowSteps  = 16
	windowTrades = 4
	chunkTrades  = chunkSteps / windowSteps * windowTrades
)

// The book. A cell is a price that may have a level; the ladder is a window of
// cells about the middle of its chunk.
const (
	ladderCells = 640
	// bookDepth is the number of cells a side that a chunk's book begins with.
	bookDepth = 200
	// edge is how close to the end of the ladder the best prices may come.
	edge = 40
	// fewLevels is the number of levels a side that nothing takes away.
	fewLevels = 8
	// cellsOfPrice is how many cells there are below the price, so that the usual
	// spread is some 0.002 % of it, at least a tick.
	cellsOfPrice = 50000
)

// spec is an instrument's market: what the seed says of it. It is immutable.
type spec struct {
	instrument *market.Instrument
	key        uint64
	// genesis is when step 0 begins, Unix ns; period is the length of a step, ns.
	genesis, period int64
	stride          int64
	derivative      bool

	center      float64 // ticks
	ticks       int64   // of a cell
	tick, step  int64   // coefficients of the price tick and of the amount step
	priceScale  uint8
	amountScale uint8
	usual       float64 // steps of a usual order
}

func newSpec(i *market.Instrument, s Shape, seed uint64, genesis int64, rate float64, stride int64) *spec {
	p := &spec{instrument: i, stride: max(stride, 1), derivative: i.Market != market.Spot}
	p.key = hashText(seed, i.ID().String())
	p.period = max(1, int64(1e9/rate))
	p.genesis = genesis + int64(hash(p.key, 1)%uint64(p.period))
	p.tick, p.priceScale = coefficient(s.PriceTick)
	p.step, p.amountScale = coefficient(s.AmountStep)
	p.center = max(20, s.Price/s.PriceTick.Float64())
	p.ticks = max(1, int64(p.center/cellsOfPrice))
	p.usual = max(1, s.Amount/s.AmountStep.Float64())
	return p
}

// coefficient is the number without its point; a step that is none is 1.
func coefficient(d market.Decimal) (coef int64, scale uint8) {
	coef, ok := d.Coefficient()
	if !ok || coef <= 0 {
		return 1, 0
	}
	return coef, d.Scale()
}

// stepAt is the last step that is over at a time; -1 before the first.
func (p *spec) stepAt(t int64) int64 {
	if t < p.genesis {
		return -1
	}
	return (t-p.genesis)/p.period - 1
}

// due is when a step is over, and told of.
func (p *spec) due(step int64) int64 { return p.genesis + (step+1)*p.period }

// time is when a step happened: some time before it is told of.
func (p *spec) time(step int64) int64 {
	return p.due(step) - 1 - int64(hash(p.key, 2, uint64(step))%uint64(max(1, p.period*3/4)))
}

// seq is the sequence number of a step. The book before the first has number 0.
func (p *spec) seq(step int64) int64 { return (step + 1) * p.stride }

// stepOf is the step of a sequence number; false where there is none.
func (p *spec) stepOf(seq int64) (int64, bool) { return seq/p.stride - 1, seq > 0 && seq%p.stride == 0 }

// chunkOfTrade is the chunk in which a trade happened; ids begin at 1.
func chunkOfTrade(id int64) int64 { return (id - 1) / chunkTrades }

// middle is the cell in the middle of the book at the beginning of a chunk.
func (p *spec) middle(chunk int64) int64 {
	return max(10, int64(p.center*(1+drift(p.key, float64(chunk)))/float64(p.ticks)))
}

// price is that of a cell: the cells are evenly spread, the prices in them are not.
func (p *spec) price(cell int64) market.Decimal {
	return market.NewDecimal(p.priceCoef(cell), p.priceScale)
}

func (p *spec) priceCoef(cell int64) int64 {
	t := cell * p.ticks
	if p.ticks > 1 {
		t += int64(hash(p.key, 3, uint64(cell)) % uint64(p.ticks))
	}
	return t * p.tick
}

func (p *spec) amount(steps int64) market.Decimal {
	return market.NewDecimal(steps*p.step, p.amountScale)
}

// worth is price × amount.
func (p *spec) worth(cell, steps int64) market.Decimal {
	return product(p.priceCoef(cell), p.priceScale, steps*p.step, p.amountScale)
}

// product multiplies without overflow: digits beyond an int64 are cut off.
func product(a int64, as uint8, b int64, bs uint8) market.Decimal {
	scale := as + bs
	for a != 0 && b > math.MaxInt64/a {
		if bs == 0 {
			return market.NewDecimal(math.MaxInt64, scale)
		}
		b, bs, scale = b/10, bs-1, scale-1
	}
	return market.NewDecimal(a*b, scale)
}

// resting is the amount that a cell of a side begins a chunk with, in steps; 0 for
// none.
func (p *spec) resting(cell int64, side side, distance int64) int64 {
	h := hash(p.key, 4, uint64(cell), uint64(side))
	if distance > 2 && h%8 == 0 {
		return 0
	}
	return p.size(h, 4*(1+float64(distance)/50))
}

// size is a random amount about a multiple of a usual order: many are small, few
// large.
func (p *spec) size(h uint64, times float64) int64 {
	return max(1, int64(p.usual*times*0.12/(unit(h)+0.02)))
}

// side is a side of the book.
type side uint8

const (
	bids side = iota
	asks
)

// change is a level that got another amount.
type change struct {
	step     int64
	cell     int64
	was, now int64 // steps
	side     side
}

// fill is a trade: a part of an order that met one level.
type fill struct {
	cell, amount int64
}

// engine is a market at a step. It is not safe for concurrent use.
type engine struct {
	*spec
	// now is the last step that happened, trades the id of the last trade.
	now, trades int64

	base     int64 // the cell of amounts[0]
	amounts  [ladderCells]int64
	best     [2]int // places of the best levels
	levels   [2]int
	rng      random
	schedule [windowSteps]uint8

	// What the last step did.
	changes     []change
	fills       []fill
	taker       market.Side
	liquidation bool

	lastCell, lastAmount int64
}

// at makes the market as it was after a step.
func (p *spec) at(step int64) *engine {
	e := &engine{spec: p}
	chunk := max(0, step) / chunkSteps
	e.now, e.trades = chunk*chunkSteps-1, chunk*chunkTrades
	if step < 0 {
		e.begin(0)
		e.now = -1
		return e
	}
	for e.now < step {
		e.next()
	}
	return e
}

// next does one step.
func (e *engine) next() {
	e.now++
	e.changes, e.fills, e.liquidation = e.changes[:0], e.fills[:0], false
	at := e.now % chunkSteps
	if at == 0 {
		e.begin(e.now / chunkSteps)
	}
	if at%windowSteps == 0 {
		e.plan()
	}
	n := int(e.schedule[at%windowSteps])
	if at == 0 {
		return
	}
	if n > 0 {
		e.trade(n)
		return
	}
	e.quote()
}

// begin makes the book that a chunk begins with; where another was before, the
// changes lead from it to this one.
func (e *engine) begin(chunk int64) {
	old, oldBase, had := e.amounts, e.base, e.levels[bids] > 0
	oldBest := e.best
	e.rng = random(hash(e.key, 5, uint64(chunk)))
	m := e.middle(chunk)
	e.base = m - ladderCells/2
	e.amounts, e.levels = [ladderCells]int64{}, [2]int{}
	e.best = [2]int{ladderCells/2 - 1, ladderCells / 2}
	for d := range int64(bookDepth) {
		e.place(bids, m-1-d, d)
		e.place(asks, m+d, d)
	}
	e.lastCell, e.lastAmount = m, max(1, int64(e.usual))
	if !had {
		return
	}
	// From the old ladder to the new one, cell by cell.
	for cell := min(oldBase, e.base); cell < max(oldBase, e.base)+ladderCells; cell++ {
		was, wasSide := amountAt(&old, oldBase, oldBest, cell)
		now, nowSide := amountAt(&e.amounts, e.base, e.best, cell)
		switch {
		case was == now && (was == 0 || wasSide == nowSide):
		case was > 0 && now > 0 && wasSide != nowSide:
			e.changes = append(e.changes, change{e.now, cell, was, 0, wasSide}, change{e.now, cell, 0, now, nowSide})
		case was > 0 && now == 0:
			e.changes = append(e.changes, change{e.now, cell, was, 0, wasSide})
		default:
			e.changes = append(e.changes, change{e.now, cell, was, now, nowSide})
		}
	}
}

func (e *engine) place(s side, cell, distance int64) {
	if cell < 1 {
		return
	}
	if a := e.resting(cell, s, distance); a > 0 {
		e.amounts[cell-e.base] = a
		e.levels[s]++
	}
}

func amountAt(ladder *[ladderCells]int64, base int64, best [2]int, cell int64) (amount int64, s side) {
	i := cell - base
	if i < 0 || i >= ladderCells {
		return 0, bids
	}
	if int(i) >= best[asks] {
		s = asks
	}
	return ladder[i], s
}

// plan says in which steps of a window orders come, and how many trades each is.
func (e *engine) plan() {
	e.schedule = [windowSteps]uint8{}
	patterns := [...][4]uint8{{1, 1, 1, 1}, {1, 1, 1, 1}, {2, 0, 1, 1}, {1, 2, 0, 1}, {0, 1, 0, 3}, {2, 0, 2, 0}, {0, 4, 0, 0}, {1, 0, 1, 2}}
	for i, n := range patterns[e.rng.below(len(patterns))] {
		e.schedule[i*4+1+e.rng.below(3)] += n
	}
}

// pull is how many cells the middle of the book is above where the price is drawn
// to.
func (e *engine) pull() float64 {
	chunk := float64(e.now) / chunkSteps
	target := e.center*(1+drift(e.key, chunk))/float64(e.ticks) - float64(e.base)
	return float64(e.best[bids]+e.best[asks])/2 - target
}

// trade is a taker's order that meets n levels or parts of them.
func (e *engine) trade(n int) {
	up := 0.5 - min(0.42, max(-0.42, e.pull()*0.06))
	against := bids
	e.taker = market.Sell
	if unit(e.rng.next()) < up {
		against, e.taker = asks, market.Buy
	}
	for i := range n {
		at := e.best[against]
		have := e.amounts[at]
		take := min(have, e.size(e.rng.next(), 1))
		if i < n-1 && e.rng.below(2) == 0 {
			take = have
		}
		if take == have && !e.mayEmpty(against, at) {
			// The last levels are renewed before they are met.
			e.put(against, at, have+take)
		}
		e.fills = append(e.fills, fill{e.base + int64(at), take})
		e.put(against, at, e.amounts[at]-take)
	}
	last := e.fills[len(e.fills)-1]
	e.trades += int64(n)
	e.lastCell, e.lastAmount = last.cell, last.amount
	e.liquidation = e.derivative && e.rng.below(64) == 0
}

// mayEmpty reports whether a level may go.
func (e *engine) mayEmpty(s side, at int) bool {
	if at != e.best[s] {
		return true
	}
	return e.levels[s] > fewLevels && at > edge && at < ladderCells-edge
}

// quote is makers at work: a better price, an order taken back, others changed.
func (e *engine) quote() {
	pull := e.pull()
	if e.best[asks]-e.best[bids] > 1 && e.rng.below(2) == 0 {
		at, s := e.best[bids]+1, bids
		if pull > 0 {
			at, s = e.best[asks]-1, asks
		}
		e.put(s, at, e.size(e.rng.next(), 2))
	} else if math.Abs(pull) > 2 && e.rng.below(2) == 0 {
		s := asks
		if pull > 0 {
			s = bids
		}
		if at := e.best[s]; e.mayEmpty(s, at) {
			e.put(s, at, 0)
		}
	}
	for range 1 + e.rng.below(3) {
		e.alter()
	}
}

// alter changes one level, most often a near one.
func (e *engine) alter() {
	s := side(e.rng.below(2))
	d := e.rng.below(1 + e.rng.below(1+e.rng.below(bookDepth)))
	at := e.best[bids] - d
	if s == asks {
		at = e.best[asks] + d
	}
	if at < 1 || at >= ladderCells || e.base+int64(at) < 1 {
		return
	}
	amount := e.size(e.rng.next(), 4*(1+float64(d)/50))
	if e.rng.below(4) == 0 && d > 0 {
		amount = 0
	}
	e.put(s, at, amount)
}

// put gives a level its amount.
func (e *engine) put(s side, at int, amount int64) {
	was := e.amounts[at]
	if was == amount {
		return
	}
	e.amounts[at] = amount
	e.changes = append(e.changes, change{e.now, e.base + int64(at), was, amount, s})
	switch {
	case was == 0:
		e.levels[s]++
		if s == bids {
			e.best[bids] = max(e.best[bids], at)
		} else {
			e.best[asks] = min(e.best[asks], at)
		}
	case amount == 0:
		e.levels[s]--
		// There is another: the last few never go.
		for e.amounts[e.best[s]] == 0 {
			if s == bids {
				e.best[s]--
			} else {
				e.best[s]++
			}
		}
	}
}

// quoteNow is the best level of each side.
func (e *engine) quoteNow() market.Quote {
	b, a := e.best[bids], e.best[asks]
	return market.Quote{
		BidPrice: e.price(e.base + int64(b)), BidAmount: e.amount(e.amounts[b]),
		AskPrice: e.price(e.base + int64(a)), AskAmount: e.amount(e.amounts[a]),
	}
}

// top is the best n levels of each side; 0 is all.
func (e *engine) top(n int) (bid, ask []market.Level) {
	if n <= 0 {
		n = ladderCells
	}
	bid, ask = make([]market.Level, 0, min(n, e.levels[bids])), make([]market.Level, 0, min(n, e.levels[asks]))
	for at := e.best[bids]; at >= 0 && len(bid) < n; at-- {
		if a := e.amounts[at]; a > 0 {
			bid = append(bid, market.Level{Price: e.price(e.base + int64(at)), Amount: e.amount(a)})
		}
	}
	for at := e.best[asks]; at < ladderCells && len(ask) < n; at++ {
		if a := e.amounts[at]; a > 0 {
			ask = append(ask, market.Level{Price: e.price(e.base + int64(at)), Amount: e.amount(a)})
		}
	}
	return bid, ask
}

// appendTrades appends the trades of the last step.
func (e *engine) appendTrades(dst []market.Trade) []market.Trade {
	first := e.trades - int64(len(e.fills)) + 1
	t := e.time(e.now)
	flags := market.Flags(0)
	if e.liquidation {
		flags = market.FlagLiquidation
	}
	for i, f := range e.fills {
		id := first + int64(i)
		dst = append(dst, market.Trade{
			Header: market.Header{Instrument: e.instrument, ExchangeTime: t, Seq: market.Int(id), Flags: flags},
			ID:     market.NumID(id), Price: e.price(f.cell), Amount: e.amount(f.amount), Side: e.taker,
			QuoteAmount: e.worth(f.cell, f.amount),
		})
	}
	return dst
}

// tradesBetween makes the trades with these ids again, both inclusive, of those
// that happened up to a step.
func (p *spec) tradesBetween(from, to, now int64) []market.Trade {
	from = max(from, 1)
	if to < from || now < 0 {
		return nil
	}
	var out []market.Trade
	for chunk := chunkOfTrade(from); chunk*chunkSteps <= now && chunk*chunkTrades < to; chunk++ {
		e := &engine{spec: p, now: chunk*chunkSteps - 1, trades: chunk * chunkTrades}
		for n := 0; n < chunkSteps && e.now < now && e.trades < to; n++ {
			e.next()
			if len(e.fills) > 0 && e.trades >= from {
				out = e.appendTrades(out)
			}
		}
	}
	for len(out) > 0 && out[0].ID.Cmp(market.NumID(from)) < 0 {
		out = out[1:]
	}
	for len(out) > 0 && out[len(out)-1].ID.Cmp(market.NumID(to)) > 0 {
		out = out[:len(out)-1]
	}
	return out
}
