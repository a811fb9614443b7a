package okx

import (
	"bytes"
	_ "embed" // instruments.csv
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// instrumentList is the part of the instrument lists that we use.
// https://www.okx.com/docs-v5/en/#public-data-rest-api-get-instruments
type instrumentList struct {
	Code string           `json:"code"`
	Msg  string           `json:"msg"`
	Data []instrumentInfo `json:"data"`
}

type instrumentInfo struct {
	InstType   string `json:"instType"`
	InstID     string `json:"instId"`
	InstFamily string `json:"instFamily"`
	Uly        string `json:"uly"`
	BaseCcy    string `json:"baseCcy"`
	QuoteCcy   string `json:"quoteCcy"`
	SettleCcy  string `json:"settleCcy"`
	CtVal      string `json:"ctVal"`
	CtMult     string `json:"ctMult"`
	CtType     string `json:"ctType"`
	CtValCcy   string `json:"ctValCcy"`
	ExpTime    string `json:"expTime"` // ms
	ListTime   string `json:"listTime"`
	LotSz      string `json:"lotSz"`
	MinSz      string `json:"minSz"`
	TickSz     string `json:"tickSz"`
	OptType    string `json:"optType"`
	Stk        string `json:"stk"`
	State      string `json:"state"`
}

// The answers to a family that OKX does not have.
const (
	noSuchInstrument = "51001"
	noSuchIndex      = "51014"
)

// Instruments implements [connectors.REST]. The symbol comes from the pair of a
// spot instrument and from the family of a derivative, which tells apart what has
// one underlying and different margins (BTC-USD, BTC-USD_UM). What is announced,
// and not described yet, is left out.
func (r *rest) Instruments(body []byte) ([]*market.Instrument, error) {
	var list instrumentList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("okx instruments: %w", err)
	}
	switch list.Code {
	case "0":
	case noSuchInstrument, noSuchIndex:
		return nil, nil
	default:
		return nil, fmt.Errorf("okx instruments: %w", &connectors.RefusedError{Code: number([]byte(list.Code)), Text: list.Msg})
	}
	var out []*market.Instrument
	for _, row := range list.Data {
		if row.InstType != r.instType {
			continue
		}
		i, err := row.instrument(r.market)
		if err != nil {
			return nil, fmt.Errorf("okx instruments: %s: %w", row.InstID, err)
		}
		if i != nil {
			out = append(out, i)
		}
	}
	return out, nil
}

// instrument is nil for a row that is not complete yet.
func (row *instrumentInfo) instrument(m market.Market) (*market.Instrument, error) {
	i := &market.Instrument{
		Exchange: Name, Market: m, Native: row.InstID, Base: row.BaseCcy, Quote: row.QuoteCcy, Settle: row.SettleCcy,
		Trading: row.State == "live",
	}
	var err error
	if i.PriceTick, err = decimal(row.TickSz); err != nil {
		return nil, fmt.Errorf("tickSz: %w", err)
	}
	if i.AmountStep, err = decimal(row.LotSz); err != nil {
		return nil, fmt.Errorf("lotSz: %w", err)
	}
	if m != market.Spot {
		if ok, err := row.contract(i); err != nil || !ok {
			return nil, err
		}
	}
	if i.Native == "" || i.Base == "" || i.Quote == "" {
		return nil, nil
	}
	i.Symbol = i.Base + "-" + i.Quote
	if m == market.Future || m == market.Option {
		i.Symbol += "-" + time.Unix(0, i.ExpiryTime).UTC().Format("20060102")
	}
	if m == market.Option {
		i.Symbol += "-" + row.Stk + "-" + row.OptType
	}
	return i, nil
}

// contract fills in what a derivative has; false when something is missing.
func (row *instrumentInfo) contract(i *market.Instrument) (ok bool, err error) {
	family := row.InstFamily
	if family == "" {
		family = row.Uly
	}
	i.Base, i.Quote, ok = strings.Cut(family, "-")
	if !ok || row.CtVal == "" {
		return false, nil
	}
	value, err := decimal(row.CtVal)
	if err != nil {
		return false, fmt.Errorf("ctVal: %w", err)
	}
	multiplier, err := decimal(row.CtMult)
	if err != nil {
		return false, fmt.Errorf("ctMult: %w", err)
	}
	if i.ContractSize = value; multiplier.IsSet() && multiplier.Cmp(market.NewDecimal(1, 0)) != 0 {
		i.ContractSize = product(value, multiplier)
	}
	if i.ContractSize.Sign() <= 0 {
		return false, fmt.Errorf("a contract of %s times %s", row.CtVal, row.CtMult)
	}
	z := sizeOf(i)
	i.AmountStep = z.amount(i.AmountStep)
	if i.Market == market.Perpetual {
		return true, nil
	}
	ms := number([]byte(row.ExpTime))
	if ms == 0 || ms > maxMillis {
		return false, nil
	}
	i.ExpiryTime = ms * 1_000_000
	return i.Market != market.Option || row.Stk != "" && (row.OptType == "C" || row.OptType == "P"), nil
}

// decimal is a number, absent for "".
func decimal(text string) (market.Decimal, error) {
	if text == "" {
		return market.Decimal{}, nil
	}
	return market.ParseDecimal([]byte(text))
}

// The well-known instruments, for work without a network.
//
//go:embed instruments.csv
var instrumentsCSV []byte

// builtin is the embedded table of one market. The columns: market, native name,
// family or pair, settlement, ctVal, ctMult, tickSz, lotSz, expiry date (08:00
// UTC), strike, C or P.
func builtin(m market.Market) *market.Instruments {
	r := csv.NewReader(bytes.NewReader(instrumentsCSV))
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil {
		panic("okx: instruments.csv: " + err.Error())
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
	info := instrumentInfo{
		InstID: row[1], InstFamily: row[2], SettleCcy: row[3], CtVal: row[4], CtMult: row[5], TickSz: row[6], LotSz: row[7],
		Stk: row[9], OptType: row[10], State: "live",
	}
	info.BaseCcy, info.QuoteCcy, _ = strings.Cut(row[2], "-")
	if row[8] != "" {
		day, err := time.Parse(time.DateOnly, row[8])
		if err != nil {
			panic("okx: instruments.csv: " + err.Error())
		}
		info.ExpTime = strconv.FormatInt(day.Add(8*time.Hour).UnixMilli(), 10)
	}
	i, err := info.instrument(m)
	if err != nil || i == nil {
		panic(fmt.Sprintf("okx: instruments.csv: %s: %v", row[1], err))
	}
	return i
}
