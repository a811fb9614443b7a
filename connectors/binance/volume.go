package binance

import (
	"strconv"

	"github.com/marketprism/marketprism/connectors"
)

// Volumes implements [connectors.Ranked]. It reads the 24 hours of every symbol,
// [{"symbol":…,"lastPrice":…,"quoteVolume":…},…]; the turnover is in each symbol's
// quote asset.
func (r *rest) Volumes(body []byte) ([]connectors.Volume, error) {
	var s connectors.Scanner
	s.Reset(body, 0)
	out := []connectors.Volume{}
	s.Array()
	for s.Element() {
		one := connectors.Volume{Turnover: -1}
		s.Object()
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch string(key) {
			case "symbol":
				one.Native = string(s.String())
			case "quoteVolume":
				one.Turnover = number(&s)
			case "lastPrice":
				one.Price = number(&s)
			default:
				s.Skip()
			}
		}
		if s.Err() == nil && (one.Native == "" || one.Turnover < 0) {
			s.Fail("24 hours without symbol or quoteVolume")
		}
		if s.Err() != nil {
			break
		}
		out = append(out, one)
	}
	s.End()
	if err := s.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

// number reads a decimal that need not be exact.
func number(s *connectors.Scanner) float64 {
	v, err := strconv.ParseFloat(s.Decimal().String(), 64)
	if err != nil || v < 0 {
		s.Fail("a number that is none, or below zero")
	}
	return v
}
