package storage

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
)

// storedStream is a stream that has rows.
type storedStream struct {
	Exchange string   `json:"exchange" required:"true"`
	Market   string   `json:"market" enum:"spot,perpetual,future,option" required:"true"`
	Symbol   string   `json:"symbol" required:"true" doc:"canonical"`
	Kinds    []string `json:"kinds" required:"true" doc:"that have rows"`
}

type streamList struct {
	success
	Data      []storedStream `json:"data" required:"true" doc:"by exchange, market and symbol"`
	Count     int            `json:"count" required:"true" doc:"of this answer"`
	Timestamp time.Time      `json:"timestamp" required:"true"`
}

func (f *service) streamRoutes() []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "streams", ID: "storedStreams", Tag: tagQuery,
		Summary: "Which instruments have rows, and of which kinds",
		Description: "How many rows a stream has on each day, and how many of them are proven, says `tally` with `bucket=24h`; how complete a stream is that we collect, " +
			"the collector's `quality`.",
		Params:    []chassis.Param{{Name: "kind", Doc: "One kind only."}, {Name: "exchange", Doc: "One exchange only; case does not matter."}},
		Responses: []chassis.Response{{Body: streamList{}}}, Handler: f.streams,
	}}
}

func (f *service) streams(w http.ResponseWriter, r *http.Request) error {
	f.reads.Add(1)
	q := chassis.QueryOf(r)
	only, exchange := storedKind(q), strings.ToLower(q.Text("exchange", ""))
	if err := q.Err(); err != nil {
		return err
	}
	kinds := map[market.StreamID][]string{}
	for _, k := range market.Kinds() {
		if k.Table() == "" || only != 0 && k != only {
			continue
		}
		found, err := f.Branch.Streams(r.Context(), k)
		if err != nil {
			return err
		}
		for _, id := range found {
			if exchange == "" || id.Exchange == exchange {
				kinds[id] = append(kinds[id], k.String())
			}
		}
	}
	out := streamList{success: succeeded, Data: make([]storedStream, 0, len(kinds)), Timestamp: f.Now()}
	for id, words := range kinds {
		out.Data = append(out.Data, storedStream{id.Exchange, id.Market.String(), id.Symbol, words})
	}
	slices.SortFunc(out.Data, func(a, b storedStream) int {
		return strings.Compare(a.Exchange+"\x00"+a.Market+"\x00"+a.Symbol, b.Exchange+"\x00"+b.Market+"\x00"+b.Symbol)
	})
	out.Count = len(out.Data)
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

// storedKind reads ?kind=; 0 without it.
func storedKind(q *chassis.Query) (only market.Kind) {
	if !q.Has("kind") {
		return 0
	}
	only, ok := market.ParseKind(q.Text("kind", ""))
	if !ok || only.Table() == "" {
		q.Refuse("kind", "is not a kind that is stored; there are %s", strings.Join(storedKinds(), ", "))
	}
	return only
}
