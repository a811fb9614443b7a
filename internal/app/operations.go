package app

import (
	"context"
	"strings"

	"github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/actors/supervise"
)

// pausing pauses streams by the ids of their actors: root/collector/EXCHANGE-MARKET/SYMBOL.
// A pause is a run-time subscription taken away, which survives a restart.
type pausing struct{ app *App }

func streamOf(id string) (collector.Subscription, bool) {
	rest, ok := strings.CutPrefix(id, supervise.RootID+"/"+collector.Name+"/")
	place, symbol, found := strings.Cut(rest, "/")
	at := strings.LastIndexByte(place, '-')
	if !ok || !found || at < 1 || symbol == "" || strings.Contains(symbol, "/") || strings.ToUpper(symbol) != symbol {
		return collector.Subscription{}, false
	}
	symbol = strings.NewReplacer("%2F", "/", "%24", "$").Replace(symbol)
	return collector.Subscription{Exchange: place[:at], Market: place[at+1:], Symbols: []string{symbol}}, true
}

// Owns implements the façade's Streams.
func (pausing) Owns(id string) bool {
	_, ok := streamOf(id)
	return ok
}

// Pause implements the façade's Streams.
func (p pausing) Pause(ctx context.Context, id string) error {
	s, _ := streamOf(id)
	_, err := p.app.collector.Unsubscribe(ctx, s)
	return err
}

// Resume implements the façade's Streams.
func (p pausing) Resume(ctx context.Context, id string) error {
	s, _ := streamOf(id)
	_, err := p.app.collector.Subscribe(ctx, s)
	return err
}
