package questdb

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/part"
)

// crowdRows is how many rows of one microsecond are kept at once, where there are more
// than fit a page: each reading of all of them yields so many.
const crowdRows = 32_768

// crowd is the rows of one microsecond, of which there are many. The server orders by
// microseconds alone, and rows of one are ordered by what it does not order by: all of
// them are read again for each page, and the next ones in reading order kept. Memory is
// that of two pages; the time grows with the square of the rows beyond that.
type crowd struct {
	s    *source
	at   int64  // the microsecond
	last []byte // sort key of the row that was yielded last; nil before the first
	kept *part.Block
	keys [][]byte // of the rows of kept, where they are in question
}

// next yields the next rows in reading order; an empty block at the end.
func (c *crowd) next(ctx context.Context) (*part.Block, error) {
	s := c.s
	c.kept, c.keys = part.NewBlock(s.e.schemas[s.s.Kind], s.e.with.Names), nil
	var q question
	s.selecting(&q)
	moment, _ := micros(c.at*1000, c.at*1000)
	q.add(" AND ts = ?", moment)
	s.only(&q)
	rows, err := s.e.reads.Query(ctx, q.String(), q.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	batch := new(market.Batch)
	for more := true; more; {
		batch.Reset()
		for batch.Len() < pageRows {
			if more = rows.Next(); !more {
				break
			}
			if err := s.reader.read(rows, s.stream, batch); err != nil {
				return nil, err
			}
		}
		c.take(batch)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	c.shrink()
	if n := c.kept.Len(); n > 0 {
		end := n - 1
		if s.s.Newest {
			end = 0
		}
		c.last = bytes.Clone(c.keys[end])
	}
	s.read += int64(c.kept.Len())
	return c.kept.Project(s.has), nil
}

// take keeps those of some rows that may be among the next.
func (c *crowd) take(batch *market.Batch) {
	s := c.s
	for r := range batch.All() {
		if ts := r.Head().TS; ts < s.s.From || ts >= s.s.To {
			continue
		}
		c.kept.Append(r, s.e.with.Names.InstrumentCode(r.Head().Instrument), 0)
		key := c.kept.AppendSortKey(nil, c.kept.Len()-1)
		c.keys = append(c.keys, key)
	}
	if c.kept.Len() > 2*s.crowdRows {
		c.shrink()
	}
}

// shrink keeps the next rows alone, in order.
func (c *crowd) shrink() {
	s := c.s
	at := make([]int, 0, len(c.keys))
	for i, key := range c.keys {
		if c.last == nil || s.s.Newest && bytes.Compare(key, c.last) < 0 || !s.s.Newest && bytes.Compare(key, c.last) > 0 {
			at = append(at, i)
		}
	}
	slices.SortFunc(at, func(a, b int) int { return bytes.Compare(c.keys[a], c.keys[b]) })
	if n := len(at) - s.crowdRows; n > 0 && s.s.Newest {
		at = at[n:]
	} else if n > 0 {
		at = at[:s.crowdRows]
	}
	out := part.NewBlock(s.e.schemas[s.s.Kind], s.e.with.Names)
	keys := make([][]byte, len(at))
	for i, row := range at {
		out.AppendRows(c.kept, row, row+1)
		keys[i] = c.keys[row]
	}
	c.kept, c.keys = out, keys
}

// selecting begins a question for the source's rows.
func (s *source) selecting(q *question) {
	q.add("SELECT "+strings.Join(s.reader.columns, ", ")+" FROM "+s.s.Kind.Table()+" WHERE exchange = ? AND market = ? AND symbol = ?",
		s.stream.Exchange, s.stream.Market.String(), s.stream.Symbol)
}
