package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/app"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
	"github.com/marketprism/marketprism/persistence/cold"
	"github.com/marketprism/marketprism/persistence/embedded"
	"github.com/marketprism/marketprism/persistence/part"
	"github.com/marketprism/marketprism/persistence/scan"
)

// local prints what the data directory of a stopped node holds.
func (o *queryOptions) local(ctx context.Context, s streams, w *output) (next string, err error) {
	store, err := openStopped(ctx, s, &o.settings, o.data, o.tier)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.close()) }()
	reader, err := store.reader(o.tier)
	if err != nil {
		return "", err
	}
	i, err := o.instrument(ctx, reader)
	if err != nil {
		return "", err
	}
	id := i.ID()
	only, err := o.selection()
	if err != nil {
		return "", err
	}
	q := persistence.Query{Kind: o.kind, Stream: &id, Limit: o.limit, Newest: o.newest, Cursor: o.cursor, Columns: only.Columns()}
	q.Origin, _ = persistence.ParseOriginFilter(o.origin) // it was checked
	q.From, q.To = nanosOf(o.from), nanosOf(o.to)
	rows, err := reader.Query(ctx, q)
	if errors.Is(err, persistence.ErrCursor) {
		return "", usage("--cursor: it is not one of this query from a data directory")
	}
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", o.data, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if err := o.print(ctx, rows, i, only, w); err != nil {
		return "", fmt.Errorf("reading %s: %w", o.data, err)
	}
	return rows.Cursor(), nil
}

func (o *queryOptions) selection() (*market.Selection, error) {
	if len(o.fields) == 0 {
		return nil, nil
	}
	return market.Select(o.kind, o.fields...)
}

// nanosOf reads a time in the form that moment has put it in; 0 for "".
func nanosOf(text string) int64 {
	t, err := chassis.ParseTime(text)
	if err != nil {
		return 0
	}
	return t.UnixNano()
}

// instrument is the one that is asked for, by the built-in tables and by what is
// stored, as the service finds it.
func (o *queryOptions) instrument(ctx context.Context, reader *scan.Reader) (*market.Instrument, error) {
	asked := facade.Asked{Exchange: o.exchange, Symbol: o.symbol}
	asked.Market, asked.Named = market.ParseMarket(o.market)
	if o.exact {
		return &market.Instrument{Exchange: o.exchange, Market: asked.Market, Symbol: o.symbol, Native: o.symbol}, nil
	}
	if facade.Fold(o.symbol) == "" || facade.Fold(o.exchange) == "" {
		return nil, usage("no instrument %q on %q: a name has letters or digits", o.symbol, o.exchange)
	}
	has := func(id market.StreamID) (bool, error) {
		_, ok, err := reader.Last(ctx, o.kind, id, persistence.OriginAll, &market.Batch{})
		return ok, err
	}
	i, listed, err := asked.Stored(app.BuiltinTables(all.Exchanges()), has)
	var known interface{ HTTPStatus() int }
	if errors.As(err, &known) {
		return nil, &exitError{ExitUsage, err}
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.data, err)
	}
	if listed {
		return i, nil
	}
	if ok, err := has(i.ID()); err != nil || !ok {
		return nil, errors.Join(err, usage("no %s of %s on %s (%s) is stored, and no exchange lists it", o.kind, o.symbol, o.exchange, i.Market))
	}
	return i, nil
}

// print writes rows in the format that is wanted.
func (o *queryOptions) print(ctx context.Context, rows persistence.Rows, i *market.Instrument, only *market.Selection, w *output) error {
	form := market.JSON{Only: only}
	switch o.format {
	case "parquet":
		return o.printFile(ctx, rows, w)
	case "csv":
		table := market.NewCSV(o.kind, only)
		if _, err := w.Write(append(table.Header(), '\n')); err != nil {
			return err
		}
		_, err := printLines(ctx, rows, w, "\n", table.Append)
		return err
	case "json":
		return o.printObject(ctx, rows, i, w, form.Append)
	}
	_, err := printLines(ctx, rows, w, "\n", form.Append)
	return err
}

// eachBatch hands rows over, some at a time.
func eachBatch(ctx context.Context, rows persistence.Rows, yield func(*market.Batch) error) error {
	var b market.Batch
	for {
		b.Reset()
		_, err := rows.Next(ctx, &b)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := yield(&b); err != nil {
			return err
		}
	}
}

// printLines writes each record with an end, and counts them.
func printLines(ctx context.Context, rows persistence.Rows, w io.Writer, end string, form func([]byte, market.Record) []byte) (n int, err error) {
	var line []byte
	err = eachBatch(ctx, rows, func(b *market.Batch) error {
		for r := range b.All() {
			line = append(form(line[:0], r), end...)
			if _, err := w.Write(line); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// printObject writes the one object that the service answers with, but for its time.
func (o *queryOptions) printObject(ctx context.Context, rows persistence.Rows, i *market.Instrument, w *output, form func([]byte, market.Record) []byte) error {
	head, err := json.Marshal(map[string]string{
		"status": "success", "kind": o.kind.String(), "table": o.kind.Table(), "exchange": i.Exchange, "market": i.Market.String(), "symbol": i.Symbol,
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, `%s,"data":[`, bytes.TrimSuffix(head, []byte("}"))); err != nil {
		return err
	}
	first := true
	n, err := printLines(ctx, rows, w, "", func(dst []byte, r market.Record) []byte {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		return form(dst, r)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "],\"count\":%d}\n", n)
	return err
}

func (o *queryOptions) printFile(ctx context.Context, rows persistence.Rows, w *output) error {
	schema, err := part.NewSchema(o.kind)
	if err != nil {
		return err
	}
	file, err := part.NewExport(w, schema, o.fields)
	if err != nil {
		return err
	}
	if err := eachBatch(ctx, rows, file.Append); err != nil {
		return err
	}
	return file.Close(map[string]string{"marketprism.kind": o.kind.String()})
}

// stopped is the store of a stopped node.
type stopped struct {
	hot  *embedded.Reading
	cold *cold.Tier // nil when there is none
}

// openStopped opens what a data directory holds, to be read alone. A node that runs on
// it is left alone: it is asked instead.
func openStopped(ctx context.Context, s streams, o *settings, dir, tier string) (*stopped, error) {
	with := *o
	with.set = append(append([]string{}, o.set...), "node.data_dir="+dir)
	loaded, err := with.load(s)
	if err != nil {
		return nil, err
	}
	if pid, url, ok := app.Running(dir, cluster.Storage); ok {
		return nil, usage("%s runs on %s as process %d: ask it with --url %s, or stop it first", cluster.Storage, dir, pid, url)
	}
	if loaded.Config.Storage.Engine == config.EngineQuestDB {
		return nil, usage("the configuration keeps recent rows at a QuestDB server, not in %s: start the node and ask it", dir)
	}
	names := part.NewNames()
	hot, err := embedded.Read(filepath.Join(dir, "hot"), embedded.Surroundings{Names: names})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &exitError{ExitInput, fmt.Errorf("%s is not the data directory of a node that has stored anything: %w", dir, err)}
	case errors.Is(err, persistence.ErrLocked):
		return nil, fmt.Errorf("a process has the store in %s open, or is just starting on it: ask it with --url, or stop it first", dir)
	case errors.Is(err, persistence.ErrCorrupt):
		return nil, &exitError{ExitInput, err}
	case err != nil:
		return nil, err
	}
	store := &stopped{hot: hot}
	if n := hot.Damaged(); n > 0 {
		fmt.Fprintf(s.err, "marketprism: %d damaged files were set aside before: what they held is not printed\n", n)
	}
	if app.Ended(dir, cluster.Storage) {
		fmt.Fprintln(s.err, "marketprism: the node ended without stopping in order: what only its journal holds, at most the last minute, is not printed; start it once")
	}
	if tier == "hot" {
		return store, nil
	}
	if store.cold, err = openStoppedCold(ctx, loaded.Config.Storage.Storage.Cold, filepath.Join(dir, "cold"), names); err != nil {
		return nil, errors.Join(err, hot.Close())
	}
	return store, nil
}

// openStoppedCold opens the cold store; nil when there never was one.
func openStoppedCold(ctx context.Context, cfg cold.Config, dir string, names *part.Names) (*cold.Tier, error) {
	if cfg.Path != "" {
		dir = cfg.Path
	}
	if _, err := os.Stat(dir); !cfg.S3.Used() && errors.Is(err, fs.ErrNotExist) { // opening would make it
		return nil, nil
	}
	tier, err := cold.NewTier(cfg, dir, nil, cold.Surroundings{Names: names})
	if err != nil {
		return nil, err
	}
	if err := tier.Open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the cold store: %w; --tier hot reads the rest", err), tier.Close())
	}
	return tier, nil
}

// reader reads a tier.
func (s *stopped) reader(tier string) (*scan.Reader, error) {
	r := s.hot.Scan()
	switch {
	case tier == "cold" && s.cold == nil:
		return nil, fmt.Errorf("there is no cold store")
	case tier == "cold":
		r.Layers = []scan.Layer{s.cold}
	case tier != "hot" && s.cold != nil:
		r.Layers = append(append([]scan.Layer{}, r.Layers...), s.cold)
	}
	return &r, nil
}

func (s *stopped) close() error {
	err := s.hot.Close()
	if s.cold != nil {
		err = errors.Join(err, s.cold.Close())
	}
	return err
}
