package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/journal"
	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// memory is a branch that forgets at the end of the test. It keeps the promises of
// the interfaces that the façade uses: keys replace each other, views do not
// change, a batch is stored whole or not at all.
type memory struct {
	standing   branch.Standing
	adopted    []branch.Adoption
	notAdopted error
	away       error         // of the cold store
	outcome    error         // of operations
	hold       chan struct{} // when set, operations last until it is closed
	suspended  suspended     // nil: no server
	incomplete error
	stale      branch.Freshness
	copies     map[string][]byte
	readers    []branch.JournalReader
	asked      []asking
	ops        map[string]branch.Operation

	mu                 sync.Mutex
	records            []market.Record // in reading order, per kind and stream mixed
	keys               map[string]int
	seq                uint64
	refuse             error                    // of Record
	hidden             bool                     // nothing new becomes visible
	failing            error                    // of every read
	open               int                      // views
	chunks             int                      // that views returned
	breakAfter         int                      // chunks, after which a view fails; 0: never
	stall              bool                     // instead of failing it finds nothing any more
	forget             bool                     // store nothing
	ready              map[bool][]market.Record // by Newest; see preload
	failures, warnings []error                  // of Health
}

func newMemory(t testing.TB) *memory {
	m := &memory{keys: map[string]int{}}
	t.Cleanup(func() {
		if m.open != 0 {
			t.Errorf("%d views were not released", m.open)
		}
	})
	return m
}

func (m *memory) Write(ctx context.Context, batch *market.Batch) (branch.Written, error) {
	if errors.Is(m.refuse, persistence.ErrTooLarge) || errors.Is(m.refuse, branch.ErrBusy) || errors.Is(m.refuse, branch.ErrReadOnly) {
		return branch.Written{}, fmt.Errorf("recording: %w", m.refuse)
	}
	if m.refuse != nil {
		return branch.Written{}, &branch.UnavailableError{Err: m.refuse, RetryAfter: 7 * time.Second}
	}
	return branch.Written{Stored: batch.Len(), Visible: !m.hidden, Seq: m.add(batch)}, ctx.Err()
}

// add stores copies of the records of a batch.
func (m *memory) add(from *market.Batch) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.forget {
		m.seq++
		return m.seq
	}
	into := new(market.Batch)
	for r := range from.All() {
		c := into.Copy(r)
		key := c.Kind().String() + c.Head().Instrument.ID().String() + strconv.FormatInt(c.Head().TS, 10) + c.Head().Origin.String()
		switch c := c.(type) {
		case *market.Trade:
			key += c.ID.String()
		case *market.Candle:
			key += c.Interval
		}
		if i, ok := m.keys[key]; ok {
			m.records[i] = c
			continue
		}
		m.keys[key] = len(m.records)
		m.records = append(m.records, c)
	}
	m.seq++
	return m.seq
}

func (m *memory) Query(_ context.Context, q persistence.Query) (persistence.Rows, error) {
	if m.failing != nil {
		return nil, m.failing
	}
	if m.away != nil && q.Tier != persistence.TierHot {
		return nil, m.away
	}
	found := m.find(q)
	after := 0
	if q.Cursor != "" {
		n, err := strconv.Atoi(q.Cursor)
		if err != nil {
			return nil, persistence.ErrCursor
		}
		after = min(n, len(found))
	}
	v := &view{m: m, from: found[after:], at: after, left: q.Limit}
	if q.Limit == 0 {
		v.left = len(found)
	}
	m.mu.Lock()
	m.open++
	m.mu.Unlock()
	return v, nil
}

// preload keeps what a query of everything of a kind finds, so that a benchmark
// does not measure this store.
func (m *memory) preload(kind market.Kind) {
	i, err := binance()[market.Spot].Resolve("BTC-USDT")
	if err != nil {
		panic(err)
	}
	id := i.ID()
	ready := map[bool][]market.Record{}
	for _, newest := range []bool{false, true} {
		ready[newest] = m.find(persistence.Query{Kind: kind, Stream: &id, Newest: newest})
	}
	m.ready = ready
}

// find lists what a query selects, in its order.
func (m *memory) find(q persistence.Query) []market.Record {
	if m.ready != nil {
		return m.ready[q.Newest]
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []market.Record
	for _, r := range m.records {
		h := r.Head()
		if r.Kind() != q.Kind || h.Instrument.ID() != *q.Stream || h.TS < q.From || q.To != 0 && h.TS >= q.To ||
			q.Origin == persistence.OriginCollected && h.Origin != market.Collected ||
			q.Origin == persistence.OriginExternal && h.Origin != market.External {
			continue
		}
		found = append(found, r)
	}
	slices.SortStableFunc(found, func(a, b market.Record) int {
		if c := a.Head().TS - b.Head().TS; c != 0 {
			return int(max(-1, min(1, c)))
		}
		ta, ok := a.(*market.Trade)
		if !ok {
			return 0
		}
		return ta.ID.Cmp(b.(*market.Trade).ID)
	})
	if q.Newest {
		slices.Reverse(found)
	}
	return found
}

// Candles knows minutes only.
func (m *memory) Candles(ctx context.Context, q persistence.CandleQuery) (persistence.Rows, error) {
	if q.Interval != "1m" {
		return nil, persistence.ErrQuery
	}
	rows, err := m.Query(ctx, persistence.Query{Kind: market.KindTrade, Stream: &q.Stream, From: q.From, To: q.To, Newest: q.Newest, Origin: q.Origin})
	if err != nil {
		return nil, err
	}
	v := rows.(*view)
	var made []market.Record
	byMinute := map[int64]*market.Candle{}
	for _, r := range v.from {
		t := r.(*market.Trade)
		open := t.TS - t.TS%int64(time.Minute)
		c := byMinute[open]
		if c == nil {
			c = &market.Candle{Header: t.Header, Interval: "1m", OpenTime: open, CloseTime: open + int64(time.Minute) - 1,
				Open: t.Price, High: t.Price, Low: t.Price, Close: t.Price, Volume: t.Amount, Closed: true}
			c.TS = open
			byMinute[open] = c
			made = append(made, c)
		}
		c.Close = t.Price
		c.Trades = market.Int(c.Trades.V + 1)
	}
	v.from, v.left = made, len(made)
	if q.Limit > 0 {
		v.left = q.Limit
	}
	return v, nil
}

func (m *memory) Last(_ context.Context, kind market.Kind, stream market.StreamID, origin persistence.OriginFilter) (market.Record, bool, error) {
	if err := errors.Join(m.failing, m.away); err != nil {
		return nil, false, err
	}
	found := m.find(persistence.Query{Kind: kind, Stream: &stream, Origin: origin, Newest: true})
	if len(found) == 0 {
		return nil, false, nil
	}
	return new(market.Batch).Copy(found[0]), true, nil
}

func (m *memory) Stats(context.Context) (persistence.Stats, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows := map[market.Kind]int64{}
	for _, r := range m.records {
		rows[r.Kind()]++
	}
	var s persistence.Stats
	for _, k := range market.Kinds() {
		if rows[k] > 0 {
			s.Tables = append(s.Tables, persistence.TableStats{Table: k.Table(), Kind: k, Rows: rows[k], Bytes: 500_000, Parts: 1})
		}
	}
	return s, m.failing
}

func (m *memory) Streams(_ context.Context, kind market.Kind) (list []market.StreamID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.records {
		if id := r.Head().Instrument.ID(); r.Kind() == kind && !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list, m.failing
}

func (m *memory) Parts(context.Context) ([]persistence.PartInfo, error) {
	return []persistence.PartInfo{
		{Table: "trades", Kind: market.KindTrade, Tier: "hot", Archived: true, Path: "/data/trades/0.parquet", Created: now},
		{Table: "trades", Kind: market.KindTrade, Tier: "hot", Path: "/data/trades/1.parquet", Bytes: 10, Rows: 2, MinTime: 1, MaxTime: 2, FirstSeq: 1, LastSeq: 3, Created: now, Checksum: "00112233445566aa"},
		{Table: "candles", Kind: market.KindCandle, Tier: "hot", Path: "/data/candles/1.parquet", Created: now},
	}, m.failing
}

func (m *memory) Status(context.Context) (branch.Status, error) {
	return branch.Status{
		Shards:   []branch.ShardStatus{{State: "reading", Applied: 7, Position: 5, Registered: 5, Published: now, Journal: &branch.JournalStatus{First: 1, Last: 9, Lag: 2, Bytes: 100, MaxBytes: 1000}}},
		Failures: []string{}, Warnings: []string{}, Quarantined: []persistence.Quarantined{},
		Archiving: branch.Archiving{Cold: m.ColdStats(), Operations: m.Operations()},
		MaxLeases: 256, Maintained: now, Writable: m.refuse == nil,
	}, m.failing
}

func (m *memory) Standing(context.Context) (branch.Standing, error) { return m.standing, nil }

func (m *memory) Adopt(context.Context) ([]branch.Adoption, error) { return m.adopted, m.notAdopted }

// Incomplete is the problem that the test has set.
func (m *memory) Incomplete() error { return m.incomplete }

func (m *memory) Freshness() branch.Freshness {
	f := m.stale // requests come at once
	f.Applied = []uint64{7}
	return f
}

func (m *memory) Offer(context.Context) (persistence.Offer, error) {
	if m.copies == nil {
		return persistence.Offer{}, persistence.ErrNoCopy
	}
	o := persistence.Offer{Reader: "embedded-a", Positions: []persistence.Position{{JournalID: "j", Seq: 7}}}
	for name, content := range m.copies {
		o.Files = append(o.Files, persistence.CopyFile{Tier: persistence.CopyHot, Table: "trades", Name: name, Bytes: int64(len(content))})
	}
	return o, nil
}

// content is a file in memory.
type content struct{ *bytes.Reader }

func (content) Close() error { return nil }

func (m *memory) OpenCopy(_ context.Context, _, name string) (persistence.CopyContent, int64, error) {
	text, ok := m.copies[name]
	if !ok {
		return nil, 0, persistence.ErrNoCopy
	}
	return content{bytes.NewReader(text)}, int64(len(text)), nil
}

func (m *memory) Readers(context.Context) ([]branch.JournalReader, error) { return m.readers, nil }

func (m *memory) Retire(_ context.Context, reader string) ([]branch.JournalReader, error) {
	for i, r := range m.readers {
		switch {
		case r.Reader != reader:
		case r.Own:
			return nil, fmt.Errorf("%w: it is this node's", branch.ErrReaderInUse)
		case len(m.readers) == 2:
			return nil, branch.ErrLastCopy
		default:
			m.readers = slices.Delete(m.readers, i, i+1)
			return []branch.JournalReader{r}, nil
		}
	}
	return nil, branch.ErrNoReader
}

func (m *memory) Stored(ctx context.Context, id string, shard int, seq uint64) error {
	_, err := m.Reached(ctx, id, shard, seq)
	return err
}

func (m *memory) Reached(ctx context.Context, id string, shard int, seq uint64) (uint64, error) {
	switch {
	case seq == 99:
		return 7, fmt.Errorf("%w: it is stuck", branch.ErrNeverReached)
	case id != "j" && id != "":
		return 0, fmt.Errorf("%w: %s", branch.ErrNeverReached, id)
	case shard > 0:
		return 0, fmt.Errorf("%w: %d", branch.ErrNoShard, shard)
	case seq > 7:
		<-ctx.Done()
		return 7, ctx.Err()
	}
	return 7, nil
}

// asking is an operation as it was asked for.
type asking struct {
	kinds []market.Kind
	age   time.Duration
}

func (m *memory) begin(job branch.Job, kinds []market.Kind, age time.Duration) (branch.Operation, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, asking{kinds, age})
	o := branch.Operation{
		ID: fmt.Sprintf("op%d", len(m.asked)), Job: job, State: branch.OperationRunning, Tables: []string{}, Cutoff: now.Add(-age), Created: now, Started: now,
		Rows: int64(len(m.records)), Total: int64(len(m.records)), ByTable: map[string]int64{},
	}
	if m.ops == nil {
		m.ops = map[string]branch.Operation{}
	}
	m.ops[o.ID] = o
	return o, false, m.failing
}

func (m *memory) Archive(_ context.Context, kinds []market.Kind, age time.Duration) (branch.Operation, bool, error) {
	return m.begin(branch.JobArchive, kinds, age)
}

func (m *memory) Cleanup(_ context.Context, age time.Duration) (branch.Operation, bool, error) {
	return m.begin(branch.JobCleanup, nil, age)
}

func (m *memory) Operation(id string) (branch.Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.ops[id]
	if !ok {
		return o, fmt.Errorf("%w: %s", branch.ErrNoOperation, id)
	}
	return o, nil
}

func (m *memory) Await(ctx context.Context, id string) (branch.Operation, error) {
	o, err := m.Operation(id)
	if err != nil {
		return o, err
	}
	if m.hold != nil {
		select {
		case <-m.hold:
		case <-ctx.Done():
			return o, ctx.Err()
		}
	}
	o.State, o.Finished = branch.OperationSucceeded, now
	if m.outcome != nil {
		o.State, o.Err, o.Problem = branch.OperationFailed, m.outcome, m.outcome.Error()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ops[id] = o
	return o, nil
}

func (m *memory) Operations() []branch.Operation {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []branch.Operation{}
	for i := len(m.asked); i > 0; i-- {
		list = append(list, m.ops[fmt.Sprintf("op%d", i)])
	}
	return list
}

func (m *memory) ColdStats() persistence.ColdStats {
	st := persistence.ColdStats{Place: "/cold", Open: m.away == nil, Tables: []persistence.TableStats{}, Archived: []persistence.ArchivedTo{}, Damaged: []persistence.Quarantined{}}
	if m.away == nil {
		st.Tables = append(st.Tables, persistence.TableStats{Table: "trades", Kind: market.KindTrade, Rows: 5, Bytes: 3_000_000, Parts: 2})
	}
	return st
}

func (m *memory) ColdParts() ([]persistence.PartInfo, error) {
	return []persistence.PartInfo{{Table: "trades", Kind: market.KindTrade, Tier: "cold", Path: "s3://host/bucket/2.parquet", Bytes: 9, Rows: 1, Created: now}}, m.away
}

func (m *memory) Health() (failures, warnings []error) { return m.failures, m.warnings }

// recorders is what a journal's handle says.
type recorders []journal.Status

func (r recorders) Status(context.Context) ([]journal.Status, error) { return r, nil }

// view is a query's rows; a chunk is a few of them.
type view struct {
	m      *memory
	from   []market.Record
	at     int
	left   int
	closed bool
}

const viewChunk = 512

func (v *view) Next(ctx context.Context, into *market.Batch) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if v.m.breakAfter > 0 && v.at/viewChunk >= v.m.breakAfter {
		if v.m.stall {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		return 0, errors.New("the disk is gone")
	}
	n := min(viewChunk, v.left, len(v.from))
	if n == 0 {
		return 0, io.EOF
	}
	for _, r := range v.from[:n] {
		into.Copy(r)
	}
	v.from, v.at, v.left = v.from[n:], v.at+n, v.left-n
	v.m.mu.Lock()
	v.m.chunks++
	v.m.mu.Unlock()
	return n, nil
}

func (v *view) Cursor() string {
	if len(v.from) == 0 {
		return ""
	}
	return strconv.Itoa(v.at)
}

func (v *view) Close() error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if !v.closed {
		v.closed = true
		v.m.open--
	}
	return nil
}

// tables are those of one exchange: binance.
type tables map[market.Market]*market.Instruments

func (t tables) Tables(exchange string) map[market.Market]*market.Instruments {
	if exchange != "binance" {
		return nil
	}
	return t
}

func binance() tables {
	list := func(m market.Market, symbols ...string) *market.Instruments {
		var all []*market.Instrument
		for i, s := range symbols {
			native := strings.ReplaceAll(s, "-", "")
			if native == "ABC" { // two instruments with one folded symbol
				native += strconv.Itoa(i)
			}
			all = append(all, &market.Instrument{Exchange: "binance", Market: m, Symbol: s, Native: native})
		}
		return market.NewInstruments(all)
	}
	return tables{
		market.Spot:      list(market.Spot, "BTC-USDT", "ETH-USDT", "A-BC", "AB-C"),
		market.Perpetual: list(market.Perpetual, "BTC-USDT", "SOL-USDT", "XRP-USDT"),
		market.Future:    list(market.Future, "XRP-USDT"),
	}
}
