package okx

import (
	"github.com/marketprism/marketprism/internal/market"
)

// openInterest reads {"oi":contracts,"oiCcy":base,"oiUsd":US dollars,"ts":…}.
// https://www.okx.com/docs-v5/en/#public-data-websocket-open-interest-channel
func (d *decoder) openInterest(m *message) {
	s := &d.s
	var o market.OpenInterest
	at := int64(0)
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "oi":
			o.Contracts = s.Decimal()
		case "oiCcy":
			o.Base = s.Decimal()
		case "oiUsd":
			o.Quote = s.Decimal()
		case "ts":
			at = d.time()
		default:
			s.Skip()
		}
	}
	if !o.Contracts.IsSet() || at == 0 {
		s.Fail("an open interest without oi or ts")
	}
	if s.Err() != nil {
		return
	}
	m.head(&o.Header, m.inst, at)
	o.Flags = market.FlagUnverifiable
	*market.Add[market.OpenInterest](m.out) = o
}

// funding reads {"fundingRate":…,"fundingTime":…,"nextFundingRate":…,"nextFundingTime":…,"ts":…}.
// The rate is settled at fundingTime; the time from there to nextFundingTime is
// the interval, which OKX changes when it has to.
// https://www.okx.com/docs-v5/en/#public-data-websocket-funding-rate-channel
func (d *decoder) funding(m *message) {
	s := &d.s
	var f market.Funding
	at, after := int64(0), int64(0)
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "fundingRate":
			f.Rate = s.Decimal()
		case "nextFundingRate":
			f.PredictedRate = s.Decimal()
		case "fundingTime":
			f.NextFundingTime = d.time()
		case "nextFundingTime":
			after = d.time()
		case "ts":
			at = d.time()
		default:
			s.Skip()
		}
	}
	if !f.Rate.IsSet() {
		s.Fail("a funding rate without its value")
	}
	if s.Err() != nil {
		return
	}
	const hour = int64(3_600_000_000_000)
	if f.NextFundingTime > 0 && after > f.NextFundingTime {
		f.IntervalHours = market.Int((after - f.NextFundingTime) / hour)
	}
	m.head(&f.Header, m.inst, at)
	f.Flags = market.FlagUnverifiable
	*market.Add[market.Funding](m.out) = f
}

// liquidation reads {"details":[{"side":…,"posSide":…,"bkPx":…,"sz":contracts,"ts":…}],"instId":…}.
// It is of any instrument of its type.
// https://www.okx.com/docs-v5/en/#public-data-websocket-liquidation-orders-channel
func (d *decoder) liquidation(m *message) {
	s := &d.s
	details, named := -1, false
	var inst *market.Instrument
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "instId":
			inst, named = d.instrument(s.String()), true
		case "details":
			s.Peek()
			details = s.Offset()
			s.Skip()
		default:
			s.Skip()
		}
	}
	if !named || details < 0 {
		s.Fail("a liquidation without instId or details")
	}
	if s.Err() != nil {
		return
	}
	if inst == nil {
		m.strange = true
		return
	}
	end := s.Offset()
	s.Reset(m.frame, details)
	s.Array()
	for s.Element() {
		d.liquidationDetail(m, inst)
	}
	if s.Err() == nil {
		s.Reset(m.frame, end)
	}
}

// liquidationDetail reads one order. Its side is the order's: sell closes a long.
func (d *decoder) liquidationDetail(m *message, inst *market.Instrument) {
	s := &d.s
	var l market.Liquidation
	at := int64(0)
	closes := market.SideUnknown // what the position's side says
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "side":
			l.Side = side(s.String())
		case "posSide":
			switch string(s.String()) {
			case "long":
				closes = market.Sell
			case "short":
				closes = market.Buy
			}
		case "bkPx":
			l.Price = s.Decimal()
		case "sz":
			l.Amount = d.amount(s.Decimal())
		case "ts":
			at = d.time()
		default:
			s.Skip()
		}
	}
	if l.Side == market.SideUnknown {
		l.Side = closes
	}
	if l.Side == market.SideUnknown || !l.Price.IsSet() || !l.Amount.IsSet() || at == 0 {
		s.Fail("a liquidation without side, bkPx, sz or ts")
	}
	if s.Err() != nil {
		return
	}
	m.head(&l.Header, inst, at)
	l.Flags = market.FlagLossy | market.FlagUnverifiable
	*market.Add[market.Liquidation](m.out) = l
}
