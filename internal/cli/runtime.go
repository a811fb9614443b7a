package cli

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/internal/app"
	"github.com/marketprism/marketprism/internal/market"
)

// changedAtRunTime asks the running collector what it was told to change, and puts
// that over the settings. The error says where nobody answered.
func changedAtRunTime(ctx context.Context, cfg *config.Config) ([]config.RunTimeList, error) {
	var errs []error
	for _, p := range places(ctx, app.Registry(cfg), cfg.Node.DataDir) {
		if p.Service != cluster.Collector || p.URL == "" {
			continue
		}
		found, err := subscriptionsAt(ctx, p.URL)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var out []config.RunTimeList
		for _, m := range found {
			if len(m.Changes) > 0 {
				out = append(out, over(&m, cfg.Exchanges[m.Exchange].Markets[m.Market], cluster.Collector+" at "+p.URL))
			}
		}
		return out, nil
	}
	return nil, errors.Join(errs...)
}

func subscriptionsAt(ctx context.Context, url string) ([]client.MarketChanges, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	c, err := clientAt(ctx, cluster.Collector, url)
	if err != nil {
		return nil, err
	}
	markets, answered, err := c.Collector.Changes(ctx)
	switch {
	case err != nil && client.StatusOf(err) == 0:
		return nil, fmt.Errorf("no collector answers: %w", err)
	case err != nil:
		return nil, err
	case answered != cluster.Collector:
		return nil, fmt.Errorf("what answers at %s is not a collector that lists its subscriptions", url)
	}
	for _, m := range markets {
		if !m.Loaded {
			return nil, fmt.Errorf("%s does not know yet what was changed of %s %s", url, m.Exchange, m.Market)
		}
	}
	return markets, nil
}

// over puts the changes over the configured symbols of the market: added ones follow,
// and those go of which no data type is left. A symbol that is configured by a pattern
// stays; the notes tell what it lost.
func over(m *client.MarketChanges, cfg connectors.MarketConfig, by string) config.RunTimeList {
	out := config.RunTimeList{Path: "exchanges." + m.Exchange + ".markets." + m.Market + ".symbols", By: by, Items: []string{}}
	kinds, _ := cfg.Kinds() // they were checked when the configuration was loaded
	var all []wantedSymbol
	for _, s := range cfg.Symbols {
		e := wantedSymbol{s, map[string]bool{}}
		for _, k := range kinds {
			e.types[k.String()] = true
		}
		all = append(all, e)
	}
	for _, c := range m.Changes {
		out.Notes = append(out.Notes, c.Action+" "+c.Symbol+" ["+strings.Join(c.DataTypes, ", ")+"]")
		found := false
		for _, e := range all {
			if means(c.Symbol, e.name) {
				found = true
				e.change(c)
			}
		}
		if c.Action == "subscribe" && !found {
			e := wantedSymbol{c.Symbol, map[string]bool{}}
			e.change(c)
			all = append(all, e)
		}
	}
	for _, e := range all {
		if len(e.types) > 0 {
			out.Items = append(out.Items, e.name)
		}
	}
	return out
}

type wantedSymbol struct {
	name  string
	types map[string]bool
}

func (e *wantedSymbol) change(c client.SymbolChange) {
	for _, k := range c.DataTypes {
		if c.Action == "subscribe" {
			e.types[k] = true
		} else {
			delete(e.types, k)
		}
	}
}

// means reports whether a change's symbol, or pattern, is an entry of a list.
func means(symbol, entry string) bool {
	const special = "*?["
	if strings.ContainsAny(symbol, special) || strings.ContainsAny(entry, special) {
		matched, err := path.Match(strings.ToUpper(symbol), strings.ToUpper(entry))
		return strings.EqualFold(symbol, entry) || err == nil && matched
	}
	return market.FoldSymbol(symbol) == market.FoldSymbol(entry)
}
