package simulator

import (
	"errors"
	"fmt"

	"github.com/marketprism/marketprism/internal/market"
)

// ErrUnknown says that there is no such instrument, or not yet such a moment.
var ErrUnknown = errors.New("not in the simulated market")

// BookAt is an instrument's book after the event with a sequence number: every
// level, best first, in the unit of records.
func (s *Server) BookAt(id market.StreamID, seq int64) (bids, asks []market.Level, err error) {
	h, st, err := s.find(id)
	if err != nil {
		return nil, nil, err
	}
	step, ok := st.stepOf(seq)
	if now := h.stepNow(st); !ok || step > now {
		return nil, nil, fmt.Errorf("%w: %s has no event %d; the last is %d", ErrUnknown, id, seq, st.seq(now))
	}
	bids, asks = st.at(step).top(0)
	return bids, asks, nil
}

// SeqAt is the sequence number of the last event by a time, Unix ns.
func (s *Server) SeqAt(id market.StreamID, t int64) (int64, error) {
	h, st, err := s.find(id)
	if err != nil {
		return 0, err
	}
	step := st.stepAt(t)
	if st.time(step+1) <= t {
		step++
	}
	if step < 0 || step > h.stepNow(st) {
		return 0, fmt.Errorf("%w: no event of %s at %d", ErrUnknown, id, t)
	}
	return st.seq(step), nil
}

// TradesBetween are an instrument's trades with ids from one to another, both
// inclusive, of those that have happened.
func (s *Server) TradesBetween(id market.StreamID, from, to int64) ([]market.Trade, error) {
	h, st, err := s.find(id)
	if err != nil {
		return nil, err
	}
	return st.tradesBetween(from, to, h.stepNow(st)), nil
}

// Last is where an instrument's market is: the number of its last event and the
// id of its last trade.
func (s *Server) Last(id market.StreamID) (seq, trade int64, err error) {
	h, st, err := s.find(id)
	if err != nil {
		return 0, 0, err
	}
	e := st.at(h.stepNow(st))
	return st.seq(e.now), e.trades, nil
}

func (s *Server) find(id market.StreamID) (*host, *stream, error) {
	for _, h := range s.hosts {
		if h.exchange != id.Exchange {
			continue
		}
		for _, st := range h.listing.streams {
			if st.instrument.Market == id.Market && st.instrument.Symbol == id.Symbol {
				return h, st, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("%w: no instrument %s", ErrUnknown, id)
}

func (h *host) stepNow(s *stream) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.step(s, h.marketTime())
}
