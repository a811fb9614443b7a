package market

import "strings"

// Kind is a kind of record. The numbers are stored: they never change meaning.
type Kind uint8

// The kinds.
const (
	KindTrade Kind = 1 + iota
	KindBookDelta
	KindBookSnapshot
	KindBookTop
	KindBookTicker
	KindTicker
	KindCandle
	KindFunding
	KindMarkPrice
	KindIndexPrice
	KindOpenInterest
	KindLiquidation
	KindLongShortRatio
	KindVolatilityIndex
	KindGap
	kindEnd
)

// NumKinds is one more than the highest kind: the size of an array by kind.
const NumKinds = int(kindEnd)

// kindRow is what a kind's file says of it.
type kindRow struct {
	name string
	// table is "" for a kind that is never stored.
	table   string
	aliases []string
	// key names the columns that the record key adds to ts, exchange, market,
	// symbol and origin.
	key  []string
	rows func() rows
}

var kindRows = [NumKinds]kindRow{
	KindTrade:           tradeRow,
	KindBookDelta:       bookDeltaRow,
	KindBookSnapshot:    bookSnapshotRow,
	KindBookTop:         bookTopRow,
	KindBookTicker:      bookTickerRow,
	KindTicker:          tickerRow,
	KindCandle:          candleRow,
	KindFunding:         fundingRow,
	KindMarkPrice:       markPriceRow,
	KindIndexPrice:      indexPriceRow,
	KindOpenInterest:    openInterestRow,
	KindLiquidation:     liquidationRow,
	KindLongShortRatio:  longShortRatioRow,
	KindVolatilityIndex: volatilityIndexRow,
	KindGap:             gapRow,
}

// Kinds lists every kind.
func Kinds() []Kind {
	kinds := make([]Kind, 0, NumKinds-1)
	for k := KindTrade; k < kindEnd; k++ {
		kinds = append(kinds, k)
	}
	return kinds
}

// Valid reports whether k is a kind of the table.
func (k Kind) Valid() bool { return k >= KindTrade && k < kindEnd }

// String is the kind's name, singular: "trade".
func (k Kind) String() string {
	if !k.Valid() {
		return "invalid"
	}
	return kindRows[k].name
}

// Table is the name of the kind's table: "trades"; "" when it is never stored.
func (k Kind) Table() string {
	if !k.Valid() {
		return ""
	}
	return kindRows[k].table
}

// KeyColumns are the columns that the record key adds to ts, exchange, market,
// symbol and origin. A record with [FlagUnkeyed] further adds receive_time_ns,
// epoch, conn and seq. Do not change the slice.
func (k Kind) KeyColumns() []string {
	if !k.Valid() {
		return nil
	}
	return kindRows[k].key
}

// ParseKind reads a kind's name, its table's, or a documented alias
// ("orderbook", "kline"); case does not matter.
func ParseKind(s string) (Kind, bool) {
	s = strings.ToLower(s)
	for k := KindTrade; k < kindEnd; k++ {
		row := &kindRows[k]
		if s == row.name || (s == row.table && s != "") {
			return k, true
		}
		for _, alias := range row.aliases {
			if s == alias {
				return k, true
			}
		}
	}
	return 0, false
}

// New returns an empty record of the kind; nil for an invalid kind.
func (k Kind) New() Record {
	if !k.Valid() {
		return nil
	}
	return kindRows[k].rows().add()
}
