package deribit

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

// instrumentInfo is the part of an instrument that we use.
// https://docs.deribit.com/api-reference/market-data/public-get_instruments
type instrumentInfo struct {
	Name     string         `json:"instrument_name"`
	Kind     string         `json:"kind"` // spot, future, option; and combos of them
	Base     string         `json:"base_currency"`
	Quote    string         `json:"quote_currency"`
	Counter  string         `json:"counter_currency"` // absent in old recordings
	Settle   string         `json:"settlement_currency"`
	Period   string         `json:"settlement_period"` // "perpetual"
	Active   bool           `json:"is_active"`
	Expiry   int64          `json:"expiration_timestamp"` // ms
	Option   string         `json:"option_type"`          // call, put
	Tick     market.Decimal `json:"tick_size"`
	Smallest market.Decimal `json:"min_trade_amount"`
	Strike   market.Decimal `json:"strike"`
}

// Instruments implements [connectors.REST]. Everything in the symbol comes from
// the members of the instrument: no part of its name is trusted.
func (r *rest) Instruments(body []byte) ([]*market.Instrument, error) {
	var answer struct {
		Result []instrumentInfo `json:"result"`
		Error  *struct {
			Code    int64  `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("deribit get_instruments: %w", err)
	}
	if answer.Error != nil {
		return nil, fmt.Errorf("deribit get_instruments: %s (code %d)", answer.Error.Message, answer.Error.Code)
	}
	if answer.Result == nil {
		return nil, fmt.Errorf("deribit get_instruments: no result")
	}
	var out []*market.Instrument
	for i := range answer.Result {
		info := &answer.Result[i]
		if m, ok := info.market(); !ok || m != r.market {
			continue
		}
		inst, err := info.instrument(r.market)
		if err != nil {
			return nil, err
		}
		out = append(out, inst)
	}
	return out, nil
}

// market says which of our markets an instrument belongs to; combos are of none.
func (i *instrumentInfo) market() (m market.Market, ok bool) {
	switch {
	case i.Kind == "future" && i.Period == "perpetual":
		return market.Perpetual, true
	case i.Kind == "future":
		return market.Future, true
	case i.Kind == "option":
		return market.Option, true
	case i.Kind == "spot":
		return market.Spot, true
	}
	return 0, false
}

// counter is the currency that the instrument is worth something in: that of the
// strike. The premium of an option may be in its base.
func (i *instrumentInfo) counter() string {
	switch {
	case i.Counter != "":
		return i.Counter
	case i.Kind == "option" && i.Quote == i.Base:
		return "USD" // before the member existed there was no other
	}
	return i.Quote
}

func (i *instrumentInfo) instrument(m market.Market) (*market.Instrument, error) {
	if i.Name == "" || i.Base == "" || i.counter() == "" {
		return nil, fmt.Errorf("deribit get_instruments: instrument %q without its currencies", i.Name)
	}
	out := &market.Instrument{
		Exchange: Name, Market: m, Native: i.Name, Symbol: strings.ToUpper(i.Base + "-" + i.counter()),
		Base: strings.ToUpper(i.Base), Quote: strings.ToUpper(i.counter()), Settle: i.settle(m),
		PriceTick: i.Tick, AmountStep: i.Smallest, Trading: i.Active,
	}
	if m == market.Perpetual || m == market.Spot {
		return out, nil
	}
	if i.Expiry <= 0 {
		return nil, fmt.Errorf("deribit get_instruments: %s without expiration_timestamp", i.Name)
	}
	expiry := time.UnixMilli(i.Expiry).UTC()
	out.ExpiryTime = expiry.UnixNano()
	out.Symbol += "-" + expiry.Format("20060102")
	if m == market.Future {
		return out, nil
	}
	side, ok := map[string]string{"call": "C", "put": "P"}[i.Option]
	if !ok || !i.Strike.IsSet() {
		return nil, fmt.Errorf("deribit get_instruments: option %s without strike or option_type", i.Name)
	}
	out.Symbol += "-" + plain(i.Strike) + "-" + side
	return out, nil
}

// settle is the currency that profits are paid in. Recordings from before the
// member existed are of contracts that were settled in their base.
func (i *instrumentInfo) settle(m market.Market) string {
	if i.Settle == "" && m != market.Spot {
		return strings.ToUpper(i.Base)
	}
	return strings.ToUpper(i.Settle)
}

// plain writes a strike without the zeros that JSON libraries put behind the
// point: 40000.0 is 40000.
func plain(d market.Decimal) string {
	text := d.String()
	if strings.Contains(text, ".") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// The well-known instruments, for work without a network.
//
//go:embed instruments.csv
var instrumentsCSV []byte

// builtin is the embedded table of one market.
func builtin(m market.Market) *market.Instruments {
	r := csv.NewReader(bytes.NewReader(instrumentsCSV))
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil {
		panic("deribit: instruments.csv: " + err.Error())
	}
	var list []*market.Instrument
	for _, row := range rows {
		info, err := infoOf(row)
		if err != nil {
			panic("deribit: instruments.csv: " + err.Error())
		}
		if of, ok := info.market(); !ok || of != m {
			continue
		}
		i, err := info.instrument(m)
		if err != nil {
			panic("deribit: instruments.csv: " + err.Error())
		}
		list = append(list, i)
	}
	return market.NewInstruments(list)
}

// infoOf reads a row: native name, kind, base, quote, settlement currency,
// price tick, amount step, expiry date ("perpetual"; contracts are settled at
// 08:00 UTC), strike, option type. What does not apply is empty.
func infoOf(row []string) (*instrumentInfo, error) {
	i := &instrumentInfo{
		Name: row[0], Kind: row[1], Base: row[2], Quote: row[3], Counter: row[3], Settle: row[4],
		Option: row[9], Active: true,
	}
	for to, text := range map[*market.Decimal]string{&i.Tick: row[5], &i.Smallest: row[6], &i.Strike: row[8]} {
		if text == "" {
			continue
		}
		d, err := market.ParseDecimal([]byte(text))
		if err != nil {
			return nil, err
		}
		*to = d
	}
	switch row[7] {
	case "":
	case "perpetual":
		i.Period = row[7]
	default:
		day, err := time.Parse(time.DateOnly, row[7])
		if err != nil {
			return nil, err
		}
		i.Expiry = day.Add(8 * time.Hour).UnixMilli()
	}
	return i, nil
}
