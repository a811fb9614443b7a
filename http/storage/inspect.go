package storage

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/marketprism/marketprism/actors/journal"
	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// partList is the answer of parts, for the documentation.
type partList struct {
	success
	Data []persistence.PartInfo `json:"data" required:"true"`
	listTail
}

// statsAnswer is the answer of stats.
type statsAnswer struct {
	success
	Data      stats     `json:"data" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

type stats struct {
	Hot        hotStats                  `json:"hot_storage" required:"true"`
	Cold       coldStats                 `json:"cold_storage" required:"true" doc:"what is archived; it means nothing while available is false"`
	Operations operations                `json:"operations" required:"true" doc:"requests to this service"`
	Tables     []persistence.TableStats  `json:"tables" required:"true" doc:"every table of the hot store"`
	ColdTables []persistence.TableStats  `json:"cold_tables" required:"true" doc:"every table of the cold store that has files; rows are keys, as of the last time that files were compared"`
	Superseded int64                     `json:"superseded_rows" required:"true" doc:"rows of a former owner that were dropped, since the start"`
	Damaged    []persistence.Quarantined `json:"quarantined" required:"true" doc:"damaged files that were moved aside"`
}

// counts of rows; a row is one key.
type counts struct {
	Trades     int64 `json:"trades_count" required:"true" doc:"rows; of equal keys one counts"`
	Tickers    int64 `json:"tickers_count" required:"true" doc:"rows; of equal keys one counts"`
	Orderbooks int64 `json:"orderbooks_count" required:"true" doc:"rows of snapshots; of equal keys one counts"`
}

// add counts tables, and returns their bytes.
func (c *counts) add(tables []persistence.TableStats) (bytes float64) {
	for _, t := range tables {
		bytes += float64(t.Bytes)
		switch t.Kind {
		case market.KindTrade:
			c.Trades = t.Rows
		case market.KindTicker:
			c.Tickers = t.Rows
		case market.KindBookSnapshot:
			c.Orderbooks = t.Rows
		}
	}
	return bytes
}

type hotStats struct {
	counts
	Size float64 `json:"size_mb" required:"true" doc:"of all published files, 10^6 bytes, those that are archived too included"`
}

type coldStats struct {
	counts
	Size      float64 `json:"size_gb" required:"true" doc:"of all files, 10^9 bytes"`
	Available bool    `json:"available" required:"true" doc:"whether the cold store could be opened"`
}

// operations count requests to this service since it started.
type operations struct {
	Reads    uint64 `json:"total_reads" required:"true" doc:"requests for records, since the start"`
	Writes   uint64 `json:"total_writes" required:"true" doc:"requests to store records, since the start"`
	Archives uint64 `json:"total_archives" required:"true" doc:"requests to archive, since the start"`
	Cleanups uint64 `json:"total_cleanups" required:"true" doc:"requests to clean up, since the start"`
}

func (f *service) inspectRoutes() []chassis.Route {
	return []chassis.Route{
		{
			Method: http.MethodGet, Path: base + "parts", ID: "parts", Tag: tagAdmin,
			Summary: "The Parquet files that hold what is published",
			Description: "The exact list, for DuckDB, pandas, polars or Spark; a file stays readable for at least ten minutes after it has left the list. " +
				"Hot files that are archived are left out, so that each row is in one of the listed files; " +
				"of rows with equal keys the one of the file with the higher journal range counts.",
			Params:    []chassis.Param{{Name: "kind", Doc: "One kind only."}, paramTier},
			Responses: []chassis.Response{{Body: partList{}}},
			Handler:   f.parts,
		},
		{
			Method: http.MethodGet, Path: base + "stats", ID: "stats", Tag: tagAdmin,
			Summary: "How much is stored, and how much was asked", Responses: []chassis.Response{{Body: statsAnswer{}}}, Handler: f.stats,
		},
		{
			Method: http.MethodGet, Path: base + "status", ID: "storageStatus", Tag: tagAdmin,
			Summary: "How far the store is behind the journal, and what its engine does", Responses: []chassis.Response{{Body: statusAnswer{}}}, Handler: f.status,
		},
	}
}

func (f *service) parts(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	only := storedKind(q)
	tier := tierOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	all, err := f.listed(r.Context(), tier)
	if err != nil {
		return err
	}
	s, err := chassis.NewArray(w, r, succeeded, "data")
	if err != nil {
		return err
	}
	defer s.Release()
	for _, part := range all {
		if only != 0 && part.Kind != only {
			continue
		}
		if err := s.Write(part); err != nil {
			return err
		}
	}
	return f.closeList(r.Context(), s, "", "")
}

// listed are the files of a tier. The hot ones are asked for first: what is archived
// between the two questions is in both lists, never in none.
func (f *service) listed(ctx context.Context, tier persistence.Tier) (all []persistence.PartInfo, err error) {
	if tier != persistence.TierCold {
		hot, err := f.Branch.Parts(ctx)
		if err != nil {
			return nil, err
		}
		all = slices.DeleteFunc(hot, func(p persistence.PartInfo) bool { return p.Archived })
	}
	if tier != persistence.TierHot {
		cold, err := f.Branch.ColdParts()
		if err != nil {
			return nil, err
		}
		all = append(all, cold...)
	}
	return all, nil
}

func (f *service) stats(w http.ResponseWriter, r *http.Request) error {
	found, err := f.Branch.Stats(r.Context())
	if err != nil {
		return err
	}
	out := stats{
		Tables: found.Tables, Superseded: found.Superseded, Damaged: found.Quarantined,
		Operations: operations{Reads: f.reads.Load(), Writes: f.writes.Load(), Archives: f.archives.Load(), Cleanups: f.cleanups.Load()},
	}
	cold := f.Branch.ColdStats()
	out.Cold.Available, out.ColdTables = cold.Open, cold.Tables
	out.Hot.Size = out.Hot.add(found.Tables) / 1e6
	out.Cold.Size = out.Cold.add(cold.Tables) / 1e9
	return chassis.WriteJSON(w, r, http.StatusOK, statsAnswer{succeeded, out, f.Now()})
}

// statusAnswer is the answer of status.
type statusAnswer struct {
	success
	Data      status    `json:"data" required:"true"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

type status struct {
	branch.Status
	Recorders []journal.Status `json:"recorders" required:"true" doc:"the ways into the journal on this node, one a shard"`
}

func (f *service) status(w http.ResponseWriter, r *http.Request) error {
	found, err := f.Branch.Status(r.Context())
	if err != nil {
		return err
	}
	out := status{Status: found}
	if f.Recorders != nil {
		if out.Recorders, err = f.Recorders.Status(r.Context()); err != nil {
			return err
		}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, statusAnswer{succeeded, out, f.Now()})
}
