package deribit

import (
	"bytes"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
)

// prefixes begin the names of the channels; chart.trades has two words.
var prefixes = []struct {
	text   string
	family family
}{
	{"book.", book},
	{"ticker.", ticker},
	{"trades.", trades},
	{"quote.", quote},
	{"chart.trades.", chart},
	{"deribit_volatility_index.", volatilityIndex},
	{"deribit_price_index.", priceIndex},
}

// topicName is the channel of an instrument: "book.BTC-PERPETUAL.100ms".
func topicName(l line, i *market.Instrument) string {
	subject := i.Native
	if l.family == volatilityIndex || l.family == priceIndex {
		subject = indexName(i)
	}
	for _, p := range prefixes {
		if p.family == l.family {
			return p.text + subject + l.suffix
		}
	}
	return ""
}

// indexName is the name of the index that belongs to an instrument: "btc_usd".
func indexName(i *market.Instrument) string {
	return strings.ToLower(i.Base + "_" + i.Quote)
}

// split takes a channel's name apart; family is 0 for one that we do not know.
// subject is the instrument or the index, rest what follows it after the dot.
func split(channel []byte) (f family, subject, rest []byte) {
	for _, p := range prefixes {
		if len(channel) > len(p.text) && string(channel[:len(p.text)]) == p.text {
			subject = channel[len(p.text):]
			f = p.family
			break
		}
	}
	if dot := bytes.IndexByte(subject, '.'); dot >= 0 {
		subject, rest = subject[:dot], subject[dot+1:]
	}
	if len(subject) == 0 || !fits(f, rest) {
		return noFamily, nil, nil
	}
	return f, subject, rest
}

// fits reports whether the last part of a channel's name is one that the family
// has. A book with more parts is another channel: grouped, and a snapshot always.
func fits(f family, rest []byte) bool {
	switch f {
	case book, trades, ticker:
		return string(rest) == "100ms" || string(rest) == "raw" || string(rest) == "agg2"
	case chart:
		return resolution(rest) >= 0
	case quote, volatilityIndex, priceIndex:
		return len(rest) == 0
	}
	return false
}

// resolution is the place of a chart's resolution in the table; -1 for none.
func resolution(word []byte) int {
	for i := range resolutions {
		if string(word) == resolutions[i].resolution {
			return i
		}
	}
	return -1
}
