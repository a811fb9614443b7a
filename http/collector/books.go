package collector

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
)

// bookCounts count books by state.
type bookCounts struct {
	Books   int   `json:"books" required:"true" doc:"in any state"`
	Live    int   `json:"live" required:"true" doc:"proven right"`
	Stale   int   `json:"stale" required:"true" doc:"that were right, and lack something since"`
	Syncing int   `json:"syncing" required:"true" doc:"that are still to come"`
	Resyncs int64 `json:"resyncs" required:"true" doc:"since the start"`
}

func (c *bookCounts) add(q *quality) {
	c.Books++
	c.Resyncs += q.Resyncs
	switch q.BookState {
	case "live":
		c.Live++
	case "stale":
		c.Stale++
	default:
		c.Syncing++
	}
}

type bookStats struct {
	bookCounts
	Exchanges map[string]bookCounts `json:"exchanges" required:"true" doc:"the same by exchange"`
	Timestamp time.Time             `json:"timestamp" required:"true"`
}

// books yields the streams that have a book.
func (f *service) books(r *http.Request) (out []quality, err error) {
	q := chassis.QueryOf(r)
	wide := f.wide(r, q)
	if err := q.Err(); err != nil {
		return nil, err
	}
	var list qualityList
	for _, one := range f.Branch.AllQuality(r.Context()) {
		list.Streams = append(list.Streams, qualityOf(&one))
	}
	if wide {
		f.joinOthers(r, &list, nil)
	}
	for _, one := range list.Streams {
		if one.BookState != "" {
			out = append(out, one)
		}
	}
	return out, nil
}

func (f *service) bookStats(w http.ResponseWriter, r *http.Request) error {
	all, err := f.books(r)
	if err != nil {
		return err
	}
	out := bookStats{Exchanges: map[string]bookCounts{}, Timestamp: f.Now()}
	for _, q := range all {
		out.add(&q)
		counts := out.Exchanges[q.Exchange]
		counts.add(&q)
		out.Exchanges[q.Exchange] = counts
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

type bookHealth struct {
	Status    string         `json:"status" enum:"healthy,degraded" required:"true" doc:"degraded: a book is not live"`
	Books     int            `json:"books" required:"true" doc:"in any state"`
	NotLive   []bookTroubled `json:"not_live" required:"true" doc:"those that are not proven right"`
	Timestamp time.Time      `json:"timestamp" required:"true"`
}

type bookTroubled struct {
	Exchange string `json:"exchange" required:"true"`
	Market   string `json:"market" required:"true"`
	Symbol   string `json:"symbol" required:"true"`
	State    string `json:"state" required:"true" doc:"stale (it was right, and lacks something since) or syncing (it is still to come)"`
}

func (f *service) bookHealth(w http.ResponseWriter, r *http.Request) error {
	all, err := f.books(r)
	if err != nil {
		return err
	}
	out := bookHealth{Status: chassis.Healthy, Timestamp: f.Now()}
	for _, q := range all {
		out.Books++
		if q.BookState != "live" {
			out.Status = chassis.Degraded
			out.NotLive = append(out.NotLive, bookTroubled{q.Exchange, q.Market, q.Symbol, q.BookState})
		}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

type bookExchanges struct {
	Exchanges []string  `json:"exchanges" required:"true"`
	Total     int       `json:"total" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

func (f *service) bookExchanges(w http.ResponseWriter, r *http.Request) error {
	all, err := f.books(r)
	if err != nil {
		return err
	}
	out := bookExchanges{Timestamp: f.Now()}
	for _, q := range all { // in order of the exchange
		if n := len(out.Exchanges); n == 0 || out.Exchanges[n-1] != q.Exchange {
			out.Exchanges = append(out.Exchanges, q.Exchange)
		}
	}
	out.Total = len(out.Exchanges)
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

type symbolList struct {
	Exchange  string    `json:"exchange" required:"true"`
	Symbols   []symbol  `json:"symbols" required:"true"`
	Total     int       `json:"total" required:"true" doc:"of this answer"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

type symbol struct {
	Symbol    string   `json:"symbol" required:"true" doc:"canonical"`
	Native    string   `json:"native_symbol" required:"true" doc:"the exchange's own spelling"`
	Market    string   `json:"market" required:"true"`
	Collected bool     `json:"collected" required:"true" doc:"there is a stream of it"`
	DataTypes []string `json:"data_types" required:"true" doc:"kinds that are collected of it"`
	Origins   []string `json:"origins" enum:"configured,top,run_time" required:"true" doc:"why it is collected: named by the configuration, among the most traded, or subscribed to at run time"`
}

func (f *service) bookSymbols(w http.ResponseWriter, r *http.Request) error {
	exchange, err := exchangeOf(r)
	if err != nil {
		return err
	}
	q := chassis.QueryOf(r)
	word := q.OneOf("market", "", "spot", "perpetual", "future", "option")
	all := q.Bool("all", false)
	wide := f.wide(r, q)
	if err := q.Err(); err != nil {
		return err
	}
	found, err := f.Branch.Symbols(r.Context(), exchange, word, !all)
	if err != nil {
		return err
	}
	out := symbolList{Exchange: exchange, Total: len(found), Timestamp: f.Now()}
	for _, s := range found {
		out.Symbols = append(out.Symbols, symbol{s.Instrument.Symbol, s.Instrument.Native, s.Instrument.Market.String(), s.Collected, s.DataTypes, s.Origins})
	}
	if wide {
		f.joinSymbols(r, &out)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

// joinSymbols adds what other nodes collect.
func (f *service) joinSymbols(r *http.Request, list *symbolList) {
	at := map[[2]string]int{}
	for i, s := range list.Symbols {
		at[[2]string{s.Market, s.Symbol}] = i
	}
	answers, _ := gather[symbolList](f, r, r.URL.EscapedPath(), r.URL.Query())
	for _, part := range answers {
		for _, s := range part.Symbols {
			key := [2]string{s.Market, s.Symbol}
			if i, had := at[key]; !had {
				at[key] = len(list.Symbols)
				list.Symbols = append(list.Symbols, s)
			} else if s.Collected && !list.Symbols[i].Collected {
				list.Symbols[i] = s
			}
		}
	}
	slices.SortFunc(list.Symbols, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.Market, b.Market), cmp.Compare(a.Symbol, b.Symbol))
	})
	list.Total = len(list.Symbols)
}
