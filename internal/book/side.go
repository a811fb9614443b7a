package book

import (
	"math"
	"math/bits"
	"slices"
	"sort"

	"github.com/marketprism/marketprism/internal/market"
)

// side is one side of a book, worst price first, so that changes near the best
// price move little memory.
//
// Prices are compared as integers at one common scale. Numbers that do not fit
// turn the side to plain decimals ("wide") until its next snapshot.
type side struct {
	descending bool // bids: the best is the highest
	rows       []row
	scale      uint8
	// edge is the key of the worst row of a Cut snapshot: among worse rows some may
	// be missing.
	edge    int64
	hasEdge bool

	wide     []market.Level
	wideEdge market.Decimal
	isWide   bool
}

// row is a level without pointers: 24 bytes.
type row struct {
	key    int64 // price at the side's scale; negated for bids, so that smaller is better
	amount int64
	pScale uint8
	aScale uint8
}

func (s *side) replace(levels []market.Level, descending bool, extent Extent) {
	s.descending = descending
	s.rows, s.wide = s.rows[:0], s.wide[:0]
	s.isWide, s.hasEdge = false, false
	s.wideEdge = market.Decimal{}
	s.scale = 0
	for i := range levels {
		s.scale = max(s.scale, levels[i].Price.Scale())
	}
	for i := range slices.Backward(levels) {
		r, ok := s.row(&levels[i])
		if !ok {
			s.replaceWide(levels, extent)
			return
		}
		s.rows = append(s.rows, r)
	}
	if !strictlyBetter(s.rows) {
		s.tidy()
	}
	s.rows = slices.DeleteFunc(s.rows, func(r row) bool { return r.amount == 0 })
	if extent == Cut && len(s.rows) > 0 {
		s.edge, s.hasEdge = s.rows[0].key, true
	}
}

// strictlyBetter reports whether every row is better than the one before.
func strictlyBetter(rows []row) bool {
	for i := 1; i < len(rows); i++ {
		if rows[i].key >= rows[i-1].key {
			return false
		}
	}
	return true
}

// tidy sorts rows, which stand in reverse order of arrival, and keeps the latest
// of equal prices.
func (s *side) tidy() {
	slices.Reverse(s.rows)
	slices.SortStableFunc(s.rows, func(a, b row) int {
		switch {
		case a.key > b.key:
			return -1
		case a.key < b.key:
			return 1
		}
		return 0
	})
	kept := s.rows[:0]
	for i, r := range s.rows {
		if i+1 < len(s.rows) && s.rows[i+1].key == r.key {
			continue
		}
		kept = append(kept, r)
	}
	s.rows = kept
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

var pow10 = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

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
	if int(up) >= len(pow10) {
		return 0, coef == 0
	}
	magnitude := uint64(max(coef, -coef))
	hi, lo := bits.Mul64(magnitude, uint64(pow10[up]))
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
	if !ok {
		if l.Price.Scale() > s.scale && s.rescale(l.Price.Scale()) {
			s.apply(l)
			return
		}
		s.widen()
		s.applyWide(l)
		return
	}
	i := s.search(r.key)
	found := i < len(s.rows) && s.rows[i].key == r.key
	switch {
	case r.amount == 0 && found:
		s.rows = slices.Delete(s.rows, i, i+1)
	case r.amount == 0:
	case found:
		s.rows[i] = r
	default:
		s.rows = slices.Insert(s.rows, i, r)
	}
}

// search finds the first row whose key is not above key. It gallops from the
// best end, where most changes are.
func (s *side) search(key int64) int {
	rows := s.rows
	hi := len(rows)
	step := 1
	for hi-step >= 0 && rows[hi-step].key <= key {
		hi -= step
		step *= 2
	}
	lo := max(hi-step, -1)
	// rows[lo] is above key (or lo is -1) and rows[hi] is not (or hi is the end).
	for hi-lo > 1 {
		mid := int(uint(lo+hi) >> 1)
		if rows[mid].key <= key {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// rescale raises the side's scale; false where a price would not fit.
func (s *side) rescale(scale uint8) bool {
	up := scale - s.scale
	for i := range s.rows {
		if _, ok := scaleUp(s.rows[i].key, up); !ok {
			return false
		}
	}
	edge, ok := scaleUp(s.edge, up)
	if !ok {
		return false
	}
	for i := range s.rows {
		s.rows[i].key *= pow10[up]
	}
	s.edge, s.scale = edge, scale
	return true
}

func (s *side) level(r row) market.Level {
	key := r.key
	if s.descending {
		key = -key
	}
	return market.Level{
		Price:  market.NewDecimal(key/pow10[s.scale-r.pScale], r.pScale),
		Amount: market.NewDecimal(r.amount, r.aScale),
	}
}

func (s *side) best() (market.Level, bool) {
	if s.size() == 0 {
		return market.Level{}, false
	}
	if s.isWide {
		return s.wide[len(s.wide)-1], true
	}
	return s.level(s.rows[len(s.rows)-1]), true
}

// firstProven is the index of the worst row within the snapshot's reach.
func (s *side) firstProven() int {
	switch {
	case s.isWide && s.wideEdge.IsSet():
		return s.searchWide(s.wideEdge)
	case !s.isWide && s.hasEdge:
		return s.search(s.edge)
	}
	return 0
}

func (s *side) size() int {
	if s.isWide {
		return len(s.wide)
	}
	return len(s.rows)
}

func (s *side) proven() int { return s.size() - s.firstProven() }

func (s *side) narrow(n int) bool {
	return (s.hasEdge || s.wideEdge.IsSet()) && s.proven() < n
}

func (s *side) appendTop(dst []market.Level, n int) []market.Level {
	first, end := 0, s.size()
	if n >= 0 {
		first = max(0, end-n)
	}
	dst = slices.Grow(dst, end-first)
	for i := end - 1; i >= first; i-- {
		if s.isWide {
			dst = append(dst, s.wide[i])
		} else {
			dst = append(dst, s.level(s.rows[i]))
		}
	}
	return dst
}

// widen turns the side to plain decimals.
func (s *side) widen() {
	s.wide = s.wide[:0]
	for _, r := range s.rows {
		s.wide = append(s.wide, s.level(r))
	}
	if s.hasEdge {
		edge := s.edge
		if s.descending {
			edge = -edge
		}
		s.wideEdge = market.NewDecimal(edge, s.scale)
	}
	s.rows, s.hasEdge, s.isWide = s.rows[:0], false, true
}

func (s *side) replaceWide(levels []market.Level, extent Extent) {
	s.rows, s.isWide = s.rows[:0], true
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
