package collector

import "github.com/marketprism/marketprism/internal/market"

// Tables are the instrument tables of an exchange by market, as they are now; nil
// for an exchange that is not known.
func (c *Collector) Tables(exchange string) map[market.Market]*market.Instruments {
	venues, err := c.exchange(exchange)
	if err != nil {
		return nil
	}
	tables := map[market.Market]*market.Instruments{}
	for _, v := range venues {
		if t := v.instruments(); t != nil {
			tables[v.market] = t
		}
	}
	return tables
}
