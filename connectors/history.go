package connectors

import (
	"fmt"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// Historian is a [REST] of an exchange that gives records of the past.
type Historian interface {
	REST
	// Histories lists what can be had of the past, under the settings that the venue
	// was made with. A need of kind [NeedHistory] refers to it by index.
	Histories() []History
	// First reads a response of [NeedTradeAt]: the number of the first trade at or
	// after [Need.From]. ok is false when the exchange tells of none. The error is a
	// *[FrameError].
	First(req Request, body []byte) (number int64, ok bool, err error)
}

// History is one thing of which an exchange gives the past. Trades are asked for by
// their numbers ([NeedTradesFrom], [NeedTradeAt]), everything else by time
// ([NeedHistory]).
type History struct {
	Kind market.Kind
	// Name tells those of one kind apart: a candle's interval, a ratio's kind; ""
	// where there is one.
	Name string
	// Every is the least time between two records; with Regular they are at all of
	// its multiples, and nowhere else. 0 for trades.
	Every   time.Duration
	Regular bool
	// Page is how many records one call gives at most.
	Page int
	// Reach is how far back the exchange remembers; 0 where it sets no bound.
	Reach time.Duration
	// Pace is how often the call may be made, where its path has a limit of its own.
	Pace Rate
}

// Is reports whether a record is one of the history's.
func (h *History) Is(r market.Record) bool {
	if r.Kind() != h.Kind {
		return false
	}
	switch r := r.(type) {
	case *market.Candle:
		return r.Interval == h.Name
	case *market.LongShortRatio:
		return r.RatioKind == h.Name
	}
	return true
}

// Label names the history within its market: "candle 1m".
func (h *History) Label() string {
	if h.Name == "" {
		return h.Kind.String()
	}
	return h.Kind.String() + " " + h.Name
}

// Past is the history itself, for rows of an exchange's table that embed it.
func (h History) Past() History { return h }

// HistoriesIn lists the histories of such a table.
func HistoriesIn[P interface{ Past() History }](table []P) []History {
	var out []History
	for _, p := range table {
		out = append(out, p.Past())
	}
	return out
}

// PastOf is the row of such a table that a need is about; [ErrUnsupported] when there
// is none, or none that is asked for by time.
func PastOf[P interface{ Past() History }](table []P, n Need) (row P, err error) {
	if n.History >= 0 && n.History < len(table) && table[n.History].Past().Kind != market.KindTrade {
		return table[n.History], nil
	}
	return row, fmt.Errorf("%s %d: %w", n.Kind, n.History, ErrUnsupported)
}

// Millis is a time, Unix ns, in milliseconds, rounded up, as a query has it.
func Millis(t int64) string { return strconv.FormatInt((t+1e6-1)/1e6, 10) }

// Covers reports whether a time, Unix ns, is between the bounds of the need.
func (n *Need) Covers(t int64) bool { return t >= n.From && t < n.To }

// HistoriesOf lists what the venue gives of the past.
func (v *Venue) HistoriesOf() []History {
	if h, ok := v.REST.(Historian); ok {
		return h.Histories()
	}
	return nil
}

// EachPaid reads a list of funding rates that were paid, [{"<rate>":…,"<at>":…,…},…], and
// gives those that a request covers to take. stamp reads a time as Unix ns.
func EachPaid(s *Scanner, req Request, rate, at string, stamp func() int64, take func(rate market.Decimal, at int64)) {
	s.Array()
	for s.Element() {
		var value market.Decimal
		paid := int64(0)
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch string(key) {
			case rate:
				value = s.Decimal()
			case at:
				paid = stamp()
			default:
				s.Skip()
			}
		}
		if !value.IsSet() || paid == 0 {
			s.Fail("a funding rate without " + rate + " or " + at)
		}
		if s.Err() != nil {
			return
		}
		if req.Covers(paid) {
			take(value, paid)
		}
	}
}
