package storage

import (
	"context"
	"net/http"
	"strings"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
)

// subject is a kind of records and an instrument, as a path names them.
type subject struct {
	kind  market.Kind
	asked facade.Asked
	// exact takes the names as they are stored.
	exact bool
}

// subjectParams document what subjectOf reads.
func subjectParams(further ...chassis.Param) []chassis.Param {
	return append(append(facade.PathParams(),
		chassis.Param{Name: "kind", In: "path", Doc: "Kind, its table, or a documented alias: " + strings.Join(storedKinds(), ", ") + ".", Example: "trade"},
		facade.MarketParam(),
		chassis.Param{
			Name: "exact", Type: false, Default: false,
			Doc: "Take exchange, market (default spot) and symbol as they are stored, and ask no table what they mean; nothing stored is then an empty answer.",
		}), further...)
}

// subjectOf reads {kind}, {exchange}, {symbol}, ?market= and ?exact=.
func subjectOf(r *http.Request, q *chassis.Query) (s subject, err error) {
	if s.kind, err = kindOf(r); err != nil {
		return s, err
	}
	if s.asked, err = facade.AskedOf(r, q); err != nil {
		return s, err
	}
	s.exact = q.Bool("exact", false)
	return s, nil
}

// instrument is the subject's; listed says whether an answer without rows is one.
func (f *service) instrument(ctx context.Context, s subject) (i *market.Instrument, listed bool, err error) {
	if !s.exact {
		return f.find(ctx, s.asked, s.kind)
	}
	m := market.Spot
	if s.asked.Named {
		m = s.asked.Market
	}
	return &market.Instrument{Exchange: s.asked.Exchange, Market: m, Symbol: s.asked.Symbol, Native: s.asked.Symbol}, true, nil
}

// storedKinds are the kinds that have a table.
func storedKinds() []string {
	words := []string{}
	for _, k := range market.Kinds() {
		if k.Table() != "" {
			words = append(words, k.String())
		}
	}
	return words
}

// kindOf reads {kind}.
func kindOf(r *http.Request) (market.Kind, error) {
	word, err := chassis.PathParam(r, "kind")
	if err != nil {
		return 0, err
	}
	kind, ok := market.ParseKind(word)
	if !ok || kind.Table() == "" {
		return 0, chassis.NotFound("no kind %q is stored; there are %s", clip(word), strings.Join(storedKinds(), ", ")).WithCode("unknown_kind")
	}
	return kind, nil
}

// known is the 404 for a stream that nothing is stored of.
func (f *service) known(ctx context.Context, kind market.Kind, i *market.Instrument) error {
	ok, err := f.has(ctx, kind, i.ID())
	if err != nil || ok {
		return err
	}
	return chassis.NotFound("no %s of %s on %s (%s) is stored, and no exchange here lists it", kind, i.Native, i.Exchange, i.Market).WithCode("unknown_symbol")
}
