package persistencetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// Model is what a store should hold, kept in the simplest way.
type Model struct {
	records    map[string]*modelRecord
	epochs     map[market.StreamID]int64
	Superseded int64
}

type modelRecord struct {
	kind   market.Kind
	stream market.StreamID
	origin market.Origin
	ts     int64
	order  market.OptInt
	key    []any
	text   string
}

// NewModel returns an empty model.
func NewModel() *Model {
	return &Model{records: map[string]*modelRecord{}, epochs: map[market.StreamID]int64{}}
}

// Apply takes a message's records.
func (m *Model) Apply(b *market.Batch) {
	for r := range b.All() {
		h := r.Head()
		if h.Origin == market.Collected {
			stream := h.Instrument.ID()
			if h.Epoch < m.epochs[stream] && (r.Kind() == market.KindBookDelta || h.Flags.Has(market.FlagUnkeyed)) {
				m.Superseded++
				continue
			}
			m.epochs[stream] = max(m.epochs[stream], h.Epoch)
		}
		record := newModelRecord(r)
		m.records[fmt.Sprintf("%d|%d|%#v", record.kind, record.ts, record.key)] = record
	}
}

func newModelRecord(r market.Record) *modelRecord {
	h := r.Head()
	v := &columns{values: map[string]any{}}
	market.Visit(r, v)
	m := &modelRecord{kind: r.Kind(), stream: h.Instrument.ID(), origin: h.Origin, ts: h.TS, order: h.Seq, text: Text(r)}
	if t, ok := r.(*market.Trade); ok {
		if n, numeric := t.ID.Num(); numeric {
			m.order = market.Int(n)
		}
	}
	m.key = []any{h.Instrument.Exchange, int64(h.Instrument.Market), h.Instrument.Symbol, int64(h.Origin)}
	for _, name := range r.Kind().KeyColumns() {
		m.key = append(m.key, v.values[name])
	}
	if h.Flags.Has(market.FlagUnkeyed) {
		m.key = append(m.key, int64(1), h.ReceiveTime, h.Epoch, h.Conn, h.Seq)
	} else {
		m.key = append(m.key, int64(0))
	}
	return m
}

// Text is a record's JSON form and its ts: what two equal records have in common.
func Text(r market.Record) string {
	var j market.JSON
	return fmt.Sprintf("%d %s", r.Head().TS, j.Append(nil, r))
}

func compareRecords(a, b *modelRecord) int {
	if c := cmp.Compare(a.ts, b.ts); c != 0 {
		return c
	}
	if c := compareValues(a.order, b.order); c != 0 {
		return c
	}
	for i := range min(len(a.key), len(b.key)) {
		if c := compareValues(a.key[i], b.key[i]); c != 0 {
			return c
		}
	}
	return 0
}

func compareValues(a, b any) int {
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case string:
		return cmp.Compare(a, b.(string))
	case market.OptInt:
		other := b.(market.OptInt)
		switch {
		case a.Less(other):
			return -1
		case other.Less(a):
			return 1
		}
		return 0
	case market.ID:
		return a.Cmp(b.(market.ID))
	case number:
		return a.d.Cmp(b.(number).d)
	}
	panic(fmt.Sprintf("no order for %T", a))
}

// Select answers a query, cursors aside.
func (m *Model) Select(q persistence.Query) []string {
	records := m.selected(q)
	texts := []string{}
	for _, r := range records {
		texts = append(texts, r.text)
	}
	return texts
}

func (m *Model) selected(q persistence.Query) []*modelRecord {
	origin := q.Origin
	if origin == persistence.OriginPreferCollected {
		origin = persistence.OriginExternal
		if slices.ContainsFunc(m.all(), func(r *modelRecord) bool {
			return r.kind == q.Kind && r.stream == *q.Stream && r.origin == market.Collected
		}) {
			origin = persistence.OriginCollected
		}
	}
	records := slices.DeleteFunc(m.all(), func(r *modelRecord) bool {
		switch {
		case r.kind != q.Kind, q.Stream != nil && r.stream != *q.Stream, r.ts < q.From, q.To != 0 && r.ts >= q.To:
			return true
		case origin == persistence.OriginCollected:
			return r.origin != market.Collected
		case origin == persistence.OriginExternal:
			return r.origin != market.External
		}
		return false
	})
	slices.SortFunc(records, compareRecords)
	if q.Newest {
		slices.Reverse(records)
	}
	if q.Limit > 0 && len(records) > q.Limit {
		records = records[:q.Limit]
	}
	return records
}

func (m *Model) all() []*modelRecord {
	list := make([]*modelRecord, 0, len(m.records))
	for _, r := range m.records {
		list = append(list, r)
	}
	return list
}

// Count is the number of keys of a kind.
func (m *Model) Count(kind market.Kind) int64 {
	n := int64(0)
	for _, r := range m.records {
		if r.kind == kind {
			n++
		}
	}
	return n
}

// number prints like the value that it is: "1.5" and "1.50" are one key.
type number struct{ d market.Decimal }

func (n number) GoString() string {
	s := n.d.String()
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// columns collects a record's values by column.
type columns struct{ values map[string]any }

func (c *columns) Instrument(**market.Instrument)             {}
func (c *columns) Time(f *market.Field, t *int64)             { c.values[f.Column] = *t }
func (c *columns) Count(f *market.Field, n *int64)            { c.values[f.Column] = *n }
func (c *columns) Int(f *market.Field, n *market.OptInt)      { c.values[f.Column] = *n }
func (c *columns) Decimal(f *market.Field, d *market.Decimal) { c.values[f.Column] = number{*d} }
func (c *columns) ID(f *market.Field, id *market.ID)          { c.values[f.Column] = *id }
func (c *columns) Word(f *market.Field, w *string)            { c.values[f.Column] = *w }
func (c *columns) Enum(f *market.Field, e market.Enum)        { c.values[f.Column] = int64(e.Code()) }
func (c *columns) Levels(f *market.Field, _ *[]market.Level)  {}
func (c *columns) Flags(*market.Flags)                        {}
func (c *columns) Bool(f *market.Field, t *bool) {
	c.values[f.Column] = int64(1) // true first
	if *t {
		c.values[f.Column] = int64(0)
	}
}
