package okx

import (
	"strings"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// volumeRow is what a ticker says of its turnover.
type volumeRow struct {
	native     string
	last       float64
	volumeCcy  float64
	base, rest string // the parts of native
}

// Volumes implements [connectors.Ranked]. The turnover is in US dollars, or what
// stands for them: volCcy24h is quote on spot, which is converted by the pairs of
// the same answer; base elsewhere, multiplied by the price, and with options by
// the strike.
// https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-tickers
func (r *rest) Volumes(body []byte) ([]connectors.Volume, error) {
	d := &decoder{market: r.market}
	var rows []volumeRow
	if err := d.response(body, func() { rows = append(rows, d.volumeRow()) }); err != nil {
		return nil, err
	}
	dollars := map[string]float64{"USDT": 1, "USDC": 1, "USD": 1}
	for _, row := range rows {
		if r.market == market.Spot && row.last > 0 && dollars[row.rest] == 0 && row.base == "USDT" {
			dollars[row.rest] = 1 / row.last
		}
		if r.market == market.Spot && row.rest == "USDT" && dollars[row.base] == 0 {
			dollars[row.base] = row.last
		}
	}
	out := make([]connectors.Volume, 0, len(rows))
	for _, row := range rows {
		v := connectors.Volume{Native: row.native}
		switch r.market {
		case market.Spot:
			v.Turnover = row.volumeCcy * dollars[row.rest]
		case market.Option:
			v.Turnover = row.volumeCcy * strikeOf(row.native)
		case market.Perpetual, market.Future:
			v.Turnover = row.volumeCcy * row.last
		}
		out = append(out, v)
	}
	return out, nil
}

func (d *decoder) volumeRow() volumeRow {
	s := &d.s
	var row volumeRow
	s.Object()
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "instId":
			row.native = string(s.String())
			row.base, row.rest, _ = strings.Cut(row.native, "-")
		case "last":
			row.last = figure(s.Decimal())
		case "volCcy24h":
			row.volumeCcy = figure(s.Decimal())
		default:
			s.Skip()
		}
	}
	if row.native == "" {
		s.Fail("a ticker without instId")
	}
	return row
}

// figure is a number, 0 for one that is absent or below.
func figure(d market.Decimal) float64 {
	if d.Sign() <= 0 {
		return 0
	}
	return d.Float64()
}

// strikeOf is the strike in an option's name, BTC-USD-261225-100000-C.
func strikeOf(native string) float64 {
	parts := strings.Split(native, "-")
	if len(parts) < 5 {
		return 0
	}
	d, err := market.ParseDecimal([]byte(parts[len(parts)-2]))
	if err != nil {
		return 0
	}
	return figure(d)
}
