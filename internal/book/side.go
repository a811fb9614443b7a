package book

import (
	"math"
	"math/bits"
	"slices"
	"sort"

	"github.com/marketprism/marketprism/internal/market"
)

// side is one side of a book.
//
// Prices are compared as integers at one common scale. Numbers that do not fit
// turn the side to plain decimals ("wide") until its next snapshot.
type side struct {
	descending bool // bids: the best is the highest
	rows       ladder
	scale      uint8
	// edge is the key of the worst row of a Cut snapshot: among worse rows some may
	// be missing.
	edge    int64
	hasEdge bool

	// wide is worst first.
	wide     []market.Level
	wideEdge market.Decimal
	isWide   bool
}

func (s *side) replace(levels []market.Level, descending bool, extent Extent) {
	s.descending = descending
	s.rows.clear()
	s.wide = s.wide[:0]
	s.isWide, s.hasEdge = false, false
	s.wideEdge = market.Decimal{}
	s.scale = 0
	for i := range levels {
		s.scale = max(s.scale, levels[i].Price.Scale())
	}
	// Snapshots are rare, and many books share a process: the rows are not kept.
	rows := make([]row, 0, len(levels))
	for i := range slices.Backward(levels) {
		r, ok := s.row(&levels[i])
		if !ok {
			s.replaceWide(levels, extent)
			return
		}
		rows = append(rows, r)
	}
	if !falling(rows) {
		rows = tidy(rows)
	}
	rows = slices.DeleteFunc(rows, func(r row) bool { return r.amount == 0 })
	if extent == Cut && len(rows) > 0 {
		s.edge, s.hasEdge = rows[0].key, true
	}
	s.rows.fill(rows)
}

// falling reports whether every row is better than the one before.
func falling(rows []row) bool {
	for i := 1; i < len(rows); i++ {
		if rows[i].key >= rows[i-1].key {
			return false
		}
	}
	return true
}

// tidy sorts rows, which stand in reverse order of arrival, and keeps the latest
// of equal prices.
func tidy(rows []row) []row {
	slices.Reverse(rows)
	slices.SortStableFunc(rows, func(a, b row) int {
		switch {
		case a.key > b.key:
			return -1
		case a.key < b.key:
			return 1
		}
		return 0
	})
	kept := rows[:0]
	for i, r := range rows {
		if i+1 < len(rows) && rows[i+1].key == r.key {
			continue
		}
		kept = append(kept, r)
	}
	return kept
}

// row converts a level; ok is false where it does not fit.
func (s *side) row(l *market.Level) (r row, ok bool) {
	amount, ok := l.Amount.Coefficient()
	if !ok {
		return row{}, false
	}
	key, ok := s.key(l.Price)
	return row{key: key, amount: amount, pScale: l.Price.Scale(), aScale: l.Amount.Scale()}, ok
}

// key is a price at the side's scale, smaller meaning better; ok is false where
// it does not fit.
func (s *side) key(price market.Decimal) (key int64, ok bool) {
	coef, ok := price.Coefficient()
	if !ok || price.Scale() > s.scale {
		return 0, false
	}
	if up := s.scale - price.Scale(); up > 0 {
		if coef, ok = scaleUp(coef, up); !ok {
			return 0, false
		}
	}
	if s.descending {
		coef = -coef
	}
	return coef, true
}

func scaleUp(coef int64, up uint8) (int64, bool) {
	if up > market.MaxPow10 {
		return 0, coef == 0
	}
	magnitude := uint64(max(coef, -coef))
	hi, lo := bits.Mul64(magnitude, uint64(market.Pow10(up)))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if coef < 0 {
		return -int64(lo), true
	}
	return int64(lo), true
}

func (s *side) apply(l *market.Level) {
	if s.isWide {
		s.applyWide(l)
		return
	}
	r, ok := s.row(l)
	switch {
	case !ok && l.Price.Scale() > s.scale && s.rescale(l.Price.Scale()):
		s.apply(l)
	case !ok:
		s.widen()
		s.applyWide(l)
	case r.amount == 0:
		s.rows.remove(r.key)
	default:
		s.rows.put(r)
	}
}

// rescale raises the side's scale; false where a price would not fit.
func (s *side) rescale(scale uint8) bool {
	up := scale - s.scale
	for r := range s.rows.all {
		if _, ok := scaleUp(r.key, up); !ok {
			return false
		}
	}
	edge, ok := scaleUp(s.edge, up)
	if !ok || up > market.MaxPow10 {
		return false
	}
	s.rows.scale(market.Pow10(up))
	s.edge, s.scale = edge, scale
	return true
}

func (s *side) level(r row) market.Level {
	key := r.key
	if s.descending {
		key = -key
	}
	if down := s.scale - r.pScale; down > 0 {
		key /= market.Pow10(down)
	}
	return market.Level{Price: market.NewDecimal(key, r.pScale), Amount: market.NewDecimal(r.amount, r.aScale)}
}

func (s *side) best() (market.Level, bool) {
	switch {
	case s.size() == 0:
		return market.Level{}, false
	case s.isWide:
		return s.wide[len(s.wide)-1], true
	}
	return s.level(s.rows.best()), true
}

func (s *side) size() int {
	if s.isWide {
		return len(s.wide)
	}
	return s.rows.size
}

// proven counts the rows within the snapshot's reach, but no more than limit.
func (s *side) proven(limit int) int {
	switch {
	case s.isWide && s.wideEdge.IsSet():
		return min(limit, len(s.wide)-s.searchWide(s.wideEdge))
	case !s.isWide && s.hasEdge:
		return s.rows.within(s.edge, limit)
	}
	return min(limit, s.size())
}

func (s *side) narrow(n int) bool {
	return (s.hasEdge || s.wideEdge.IsSet()) && s.proven(n) < n
}

func (s *side) appendTop(dst []market.Level, n int) []market.Level {
	if n < 0 || n > s.size() {
		n = s.size()
	}
	dst = slices.Grow(dst, n)
	if s.isWide {
		for i := range n {
			dst = append(dst, s.wide[len(s.wide)-1-i])
		}
		return dst
	}
	if n == 0 {
		return dst
	}
	for r := range s.rows.all {
		dst = append(dst, s.level(r))
		if n--; n == 0 {
			break
		}
	}
	return dst
}

// widen turns the side to plain decimals.
func (s *side) widen() {
	s.wide = s.appendTop(s.wide[:0], -1)
	slices.Reverse(s.wide)
	if s.hasEdge {
		edge := s.edge
		if s.descending {
			edge = -edge
		}
		s.wideEdge = market.NewDecimal(edge, s.scale)
	}
	s.rows.clear()
	s.hasEdge, s.isWide = false, true
}

func (s *side) replaceWide(levels []market.Level, extent Extent) {
	s.isWide = true
	for i := range levels {
		s.applyWide(&levels[i])
	}
	if extent == Cut && len(s.wide) > 0 {
		s.wideEdge = s.wide[0].Price
	}
}

// searchWide finds the first level whose price is not worse than price.
func (s *side) searchWide(price market.Decimal) int {
	return sort.Search(len(s.wide), func(i int) bool {
		c := s.wide[i].Price.Cmp(price)
		return c == 0 || (c > 0) == s.descending
	})
}

func (s *side) applyWide(l *market.Level) {
	i := s.searchWide(l.Price)
	found := i < len(s.wide) && s.wide[i].Price.Cmp(l.Price) == 0
	switch {
	case l.Amount.IsZero() && found:
		s.wide = slices.Delete(s.wide, i, i+1)
	case l.Amount.IsZero():
	case found:
		s.wide[i] = *l
	default:
		s.wide = slices.Insert(s.wide, i, *l)
	}
}
