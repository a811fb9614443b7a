package binance

import (
	"bytes"
	_ "embed" // instruments.csv
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/marketprism/marketprism/internal/market"
)

// exchangeInfo is the part of the instrument lists that we use; spot and futures
// have the same shape.
type exchangeInfo struct {
	Symbols []symbolInfo `json:"symbols"`
}

type symbolInfo struct {
	Symbol       string       `json:"symbol"`
	Status       string       `json:"status"`
	BaseAsset    string       `json:"baseAsset"`
	QuoteAsset   string       `json:"quoteAsset"`
	MarginAsset  string       `json:"marginAsset"`
	ContractType string       `json:"contractType"`
	DeliveryDate int64        `json:"deliveryDate"` // ms
	Filters      []filterInfo `json:"filters"`
}

type filterInfo struct {
	FilterType string         `json:"filterType"`
	TickSize   market.Decimal `json:"tickSize"`
	StepSize   market.Decimal `json:"stepSize"`
}

// Instruments implements [connectors.REST]. The symbol comes from the assets:
// no suffix of the native name is trusted.
func (r *rest) Instruments(body []byte) ([]*market.Instrument, error) {
	var info exchangeInfo
	if err := json.Unmarshal(body, &info); err != nil {
		return nil, fmt.Errorf("binance exchangeInfo: %w", err)
	}
	if len(info.Symbols) == 0 {
		return nil, fmt.Errorf("binance exchangeInfo: no symbols")
	}
	var out []*market.Instrument
	for _, s := range info.Symbols {
		if s.Symbol == "" || s.BaseAsset == "" || s.QuoteAsset == "" {
			return nil, fmt.Errorf("binance exchangeInfo: symbol %q without its assets", s.Symbol)
		}
		if marketOf(s.ContractType) == r.market {
			out = append(out, s.instrument(r.market))
		}
	}
	return out, nil
}

// marketOf says which of our markets a contract type belongs to; the spot market
// has none. A contract that is being delivered, or whose type is empty because
// it is pending, is a future.
func marketOf(contractType string) market.Market {
	switch {
	case contractType == "":
		return market.Spot
	case strings.HasSuffix(contractType, "PERPETUAL"): // TRADIFI_PERPETUAL too
		return market.Perpetual
	}
	return market.Future
}

func (s symbolInfo) instrument(m market.Market) *market.Instrument {
	i := &market.Instrument{
		Exchange: Name, Market: m, Native: s.Symbol, Symbol: s.BaseAsset + "-" + s.QuoteAsset,
		Base: s.BaseAsset, Quote: s.QuoteAsset, Settle: s.MarginAsset, Trading: s.Status == "TRADING",
	}
	if m == market.Future {
		expiry := time.UnixMilli(s.DeliveryDate).UTC()
		i.Symbol += "-" + expiry.Format("20060102")
		i.ExpiryTime = expiry.UnixNano()
	}
	for _, f := range s.Filters {
		switch f.FilterType {
		case "PRICE_FILTER":
			i.PriceTick = f.TickSize
		case "LOT_SIZE":
			i.AmountStep = f.StepSize
		}
	}
	return i
}

// The well-known instruments, for work without a network.
//
//go:embed instruments.csv
var instrumentsCSV []byte

// builtin is the embedded table of one market. The columns: market, native name,
// base, quote, price tick, amount step (both may be empty), expiry date (futures;
// they are settled at 08:00 UTC).
func builtin(m market.Market) *market.Instruments {
	r := csv.NewReader(bytes.NewReader(instrumentsCSV))
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil {
		panic("binance: instruments.csv: " + err.Error())
	}
	var list []*market.Instrument
	for _, row := range rows {
		if row[0] == m.String() {
			list = append(list, builtinRow(m, row))
		}
	}
	return market.NewInstruments(list)
}

func builtinRow(m market.Market, row []string) *market.Instrument {
	s := symbolInfo{Symbol: row[1], BaseAsset: row[2], QuoteAsset: row[3], Status: "TRADING"}
	if m != market.Spot {
		s.MarginAsset = s.QuoteAsset
	}
	if row[6] != "" {
		day, err := time.Parse(time.DateOnly, row[6])
		if err != nil {
			panic("binance: instruments.csv: " + err.Error())
		}
		s.DeliveryDate = day.Add(8 * time.Hour).UnixMilli()
	}
	i := s.instrument(m)
	if row[4] != "" {
		i.PriceTick = market.MustDecimal(row[4])
	}
	if row[5] != "" {
		i.AmountStep = market.MustDecimal(row[5])
	}
	return i
}
