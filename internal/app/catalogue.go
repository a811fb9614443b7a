package app

import (
	"maps"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// Tables are the built-in instrument tables of exchanges, by name and market.
type Tables map[string]map[market.Market]*market.Instruments

// BuiltinTables are those of the exchanges, as far as they have any.
func BuiltinTables(exchanges []connectors.Exchange) Tables {
	all := Tables{}
	for _, x := range exchanges {
		tables := map[market.Market]*market.Instruments{}
		defaults := x.DefaultConfig()
		for _, m := range market.Markets() {
			cfg, ok := defaults.Markets[m.String()]
			if !ok {
				continue
			}
			if v, err := x.Venue(m, cfg); err == nil && v.Builtin != nil {
				tables[m] = v.Builtin()
			}
		}
		all[x.Name()] = tables
	}
	return all
}

// Tables implements [facade.Catalogue].
func (t Tables) Tables(exchange string) map[market.Market]*market.Instruments { return t[exchange] }

// catalogue is what the exchanges list: the collector's tables where it runs,
// else those that are built in.
type catalogue struct {
	app     *App
	builtin Tables
}

func newCatalogue(a *App) catalogue { return catalogue{a, BuiltinTables(a.options.Exchanges)} }

// Tables implements [facade.Catalogue].
func (c catalogue) Tables(exchange string) map[market.Market]*market.Instruments {
	tables := c.builtin[exchange]
	if c.app.collector == nil {
		return tables
	}
	// A market that the collector does not run is known from the built-in table.
	all := maps.Clone(tables)
	maps.Copy(all, c.app.collector.Tables(exchange))
	return all
}
