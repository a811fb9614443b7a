package collector

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
)

// Overlay is what was changed at run time on top of the configuration of one
// exchange's market: its changes, in order. Later ones win.
type Overlay struct {
	Changes []Change `json:"changes"`
	// Revision is the store's; 0 where none was saved.
	Revision uint64 `json:"-"`
}

// Change adds data types of a symbol, or removes them.
type Change struct {
	Add bool `json:"add"`
	// Symbol is BASE-QUOTE…, or a pattern ("*-USDT").
	Symbol string `json:"symbol"`
	// DataTypes are names of kinds.
	DataTypes []string `json:"data_types"`
}

// Store keeps overlays over a restart. Its calls may block; they are made beside
// the actors.
type Store interface {
	// Load returns the zero Overlay where none was saved.
	Load(ctx context.Context, exchange string, m market.Market) (Overlay, error)
	// Save saves an overlay that was made of the one with its revision, and returns the
	// next revision. Error: ErrChanged.
	Save(ctx context.Context, exchange string, m market.Market, o Overlay) (uint64, error)
	// Watch calls changed once and after every change, whoever made it, until ctx ends; it
	// then returns nil.
	Watch(ctx context.Context, exchange string, m market.Market, changed func()) error
}

// ErrChanged: somebody else has changed an overlay since it was loaded.
var ErrChanged = errors.New("the run-time subscriptions have been changed elsewhere")

// with is the overlay with one more change. What an earlier change said of the
// same symbol and types goes, so that the overlay stays as small as the number
// of symbols named in it.
func (o Overlay) with(c Change) Overlay {
	out := Overlay{Changes: make([]Change, 0, len(o.Changes)+1), Revision: o.Revision}
	for _, old := range o.Changes {
		if old.Symbol == c.Symbol {
			old.DataTypes = slices.DeleteFunc(slices.Clone(old.DataTypes), func(t string) bool { return slices.Contains(c.DataTypes, t) })
			if len(old.DataTypes) == 0 {
				continue
			}
		}
		out.Changes = append(out.Changes, old)
	}
	out.Changes = append(out.Changes, c)
	return out
}

// MarketOverlay is the overlay of one market.
type MarketOverlay struct {
	Exchange string
	Market   market.Market
	// Loaded says that the store has told what was changed before; until then only
	// the configuration counts.
	Loaded bool
	// Changes in order; later ones win.
	Changes []Change
}

// Overlays lists what was changed at run time, by exchange and market; the markets
// that are collected, and those with changes.
func (c *Collector) Overlays(context.Context) []MarketOverlay {
	out := []MarketOverlay{}
	for _, v := range c.venues {
		o := v.overlay.Load()
		switch {
		case o != nil && (v.enabled() || len(o.Changes) > 0):
			out = append(out, MarketOverlay{v.exchange, v.market, true, slices.Clone(o.Changes)})
		case o == nil && v.enabled():
			out = append(out, MarketOverlay{Exchange: v.exchange, Market: v.market})
		}
	}
	slices.SortFunc(out, func(a, b MarketOverlay) int {
		return cmp.Or(cmp.Compare(a.Exchange, b.Exchange), cmp.Compare(a.Market, b.Market))
	})
	return out
}

// isPattern reports whether a symbol stands for several.
func isPattern(symbol string) bool { return strings.ContainsAny(symbol, "*?[") }

// matching lists the instruments that a symbol or pattern means. A pattern means
// those that are open for trading.
func matching(table *market.Instruments, symbol string) ([]*market.Instrument, error) {
	if !isPattern(symbol) {
		i, err := table.Resolve(symbol)
		if err != nil {
			return nil, err
		}
		return []*market.Instrument{i}, nil
	}
	pattern := strings.ToUpper(symbol)
	var out []*market.Instrument
	for _, i := range table.All() {
		ok, err := path.Match(pattern, i.Symbol)
		if err != nil {
			return nil, &InvalidError{Field: "symbols", Value: symbol}
		}
		if ok && i.Trading {
			out = append(out, i)
		}
	}
	return out, nil
}

// origin says why an instrument is collected; several reasons may hold.
type origin uint32

const (
	configured origin = 1 << iota // named by the configuration
	topVolume                     // among those with the highest volume
	atRunTime                     // added at run time
)

// words are the reasons' names.
func (o origin) words() []string {
	out := []string{}
	for bit, word := range map[origin]string{configured: "configured", topVolume: "top", atRunTime: "run_time"} {
		if o&bit != 0 {
			out = append(out, word)
		}
	}
	slices.Sort(out)
	return out
}

// desire is what is wanted of one instrument, and why.
type desire struct {
	kinds  kindSet
	origin origin
}

// wanted is what the configuration, the volumes and the overlay ask for. Symbols
// that name nothing are listed in unknown.
func wanted(table *market.Instruments, w *wish, top []*market.Instrument, o Overlay) (want map[*market.Instrument]desire, unknown []string) {
	want = map[*market.Instrument]desire{}
	add := func(list []*market.Instrument, kinds kindSet, why origin) {
		for _, i := range list {
			d := want[i]
			want[i] = desire{d.kinds | kinds, d.origin | why}
		}
	}
	find := func(symbol string) []*market.Instrument {
		found, err := matching(table, symbol)
		if err != nil {
			unknown = append(unknown, symbol)
		}
		return found
	}
	for _, s := range w.symbols {
		add(find(s), w.kinds, configured)
	}
	add(top, w.kinds, topVolume)
	for _, c := range o.Changes {
		found, kinds := find(c.Symbol), kindsNamed(c.DataTypes)
		if c.Add {
			add(found, kinds, atRunTime)
			continue
		}
		for _, i := range found {
			if d := want[i]; d.kinds&^kinds == 0 {
				delete(want, i)
			} else {
				want[i] = desire{d.kinds &^ kinds, d.origin}
			}
		}
	}
	for i, d := range want {
		if d.kinds == 0 {
			delete(want, i)
		}
	}
	return want, unknown
}

// kindsNamed leaves out what is no kind: an overlay may have been written by a
// later version.
func kindsNamed(names []string) (s kindSet) {
	for _, n := range names {
		if k, ok := market.ParseKind(n); ok {
			s |= kindsOf(k)
		}
	}
	return s
}
