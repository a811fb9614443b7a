package live

import (
	"encoding/json"
	"strconv"

	"github.com/marketprism/marketprism/internal/market"
)

func appendNumber(dst []byte, n uint64) []byte { return strconv.AppendUint(dst, n, 10) }

// changeText is a change of a book in the one JSON form.
type changeText struct {
	ExchangeTime int64       `json:"exchange_time_ns"`
	ReceiveTime  int64       `json:"receive_time_ns"`
	Seq          *int64      `json:"seq"`
	PrevSeq      *int64      `json:"prev_seq"`
	Conn         int64       `json:"conn"`
	Epoch        int64       `json:"epoch"`
	Flags        []string    `json:"flags"`
	Bids         [][2]string `json:"bids"`
	Asks         [][2]string `json:"asks"`
	Checksum     *int64      `json:"checksum"`
}

// merge puts changes of a book that follow each other into one: for each price the
// last amount, under the last one's header and with the first one's prev_seq. It
// reads the text, because only those pay for it who are too slow.
func merge(i *market.Instrument, run []*event) []byte {
	d := market.BookDelta{Header: market.Header{Instrument: i}}
	var bids, asks sideMerge
	for n, e := range run {
		var c changeText
		if err := json.Unmarshal(e.text, &c); err != nil {
			panic("live: a record that is not in the one JSON form: " + err.Error())
		}
		if n == 0 {
			d.PrevSeq = optional(c.PrevSeq)
		}
		d.ExchangeTime, d.ReceiveTime, d.Conn, d.Epoch = c.ExchangeTime, c.ReceiveTime, c.Conn, c.Epoch
		d.Seq, d.Checksum = optional(c.Seq), optional(c.Checksum)
		for _, w := range c.Flags {
			if f, ok := market.ParseFlag(w); ok {
				d.Flags |= f
			}
		}
		bids.take(c.Bids)
		asks.take(c.Asks)
	}
	d.Bids, d.Asks = bids.levels, asks.levels
	var form market.JSON
	return form.Append(nil, &d)
}

func optional(v *int64) market.OptInt {
	if v == nil {
		return market.OptInt{}
	}
	return market.Int(*v)
}

// sideMerge keeps the last amount of each price, in the order of first mention.
type sideMerge struct {
	levels []market.Level
	at     map[string]int // by the price's digits without what does not count
}

func (s *sideMerge) take(levels [][2]string) {
	if s.at == nil {
		s.at = make(map[string]int, 4*len(levels))
	}
	for _, text := range levels {
		price, amount := decimal(text[0]), decimal(text[1])
		key := canonical(text[0])
		if n, ok := s.at[key]; ok {
			s.levels[n] = market.Level{Price: price, Amount: amount}
			continue
		}
		s.at[key] = len(s.levels)
		s.levels = append(s.levels, market.Level{Price: price, Amount: amount})
	}
}

func decimal(text string) market.Decimal {
	d, err := market.ParseDecimal([]byte(text))
	if err != nil {
		panic("live: a level that is no number: " + err.Error())
	}
	return d
}

// canonical is a number's text without zeros at the end of its fraction: 1.50 and
// 1.5 are one price.
func canonical(text string) string {
	for n := range len(text) {
		if text[n] != '.' {
			continue
		}
		end := len(text)
		for end > n+1 && text[end-1] == '0' {
			end--
		}
		if end == n+1 {
			end = n
		}
		return text[:end]
	}
	return text
}
