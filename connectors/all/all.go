// Package all is the one list of the exchanges that MarketPrism speaks to.
package all

import (
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/connectors/deribit"
	"github.com/marketprism/marketprism/connectors/okx"
)

// Exchanges lists every exchange, by name. To add one, add its line.
func Exchanges() []connectors.Exchange {
	return []connectors.Exchange{
		binance.New(),
		deribit.New(),
		okx.New(),
	}
}

// Find returns the exchange of a name.
func Find(name string) (connectors.Exchange, bool) {
	for _, e := range Exchanges() {
		if e.Name() == name {
			return e, true
		}
	}
	return nil, false
}
