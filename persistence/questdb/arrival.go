package questdb

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// arrivalTable keeps when the rows up to a sequence of a journal had arrived: one row
// a minute and shard. What it loses is taken for younger than it is.
const arrivalTable = "marketprism_arrivals"

const createArrivals = "CREATE TABLE IF NOT EXISTS " + arrivalTable +
	" (ts TIMESTAMP, journal SYMBOL, seq LONG) TIMESTAMP(ts) PARTITION BY MONTH WAL DEDUP UPSERT KEYS(ts, journal)"

// arrivalStep is how exact the age of a row is; maxArrivals, how many steps are kept
// in memory: of older ones every other is given up.
const (
	arrivalStep = time.Minute
	maxArrivals = 20_000
)

// arrival says that every row up to seq had arrived at an instant, Unix ns, and those
// behind the arrival before it not long before that.
type arrival struct {
	at  int64
	seq uint64
}

// arrivals are those of one shard of a journal, both numbers rising.
type arrivals struct {
	list []arrival
	// kept is how many of them the server has, or need not have.
	kept int
}

// note adds an arrival. Arrivals within a step are one, the latest; one of a clock that
// was set back is as late as the last.
func (a *arrivals) note(at int64, seq uint64) {
	n := len(a.list)
	if n > 0 {
		if seq <= a.list[n-1].seq {
			return
		}
		if at <= a.list[n-1].at && n > a.kept {
			a.list[n-1].seq = seq
			return
		}
		at = max(at, a.list[n-1].at+1)
	}
	if n >= 2 && n > a.kept && at-a.list[n-2].at < int64(arrivalStep) {
		a.list[n-1] = arrival{at, seq}
		return
	}
	a.list = append(a.list, arrival{at, seq})
	if len(a.list) > maxArrivals {
		a.thin()
	}
}

// thin gives up every other arrival of the older half, of each two the earlier.
func (a *arrivals) thin() {
	half := len(a.list) / 2
	list := make([]arrival, 0, len(a.list))
	kept := 0
	for i, m := range a.list {
		if i >= half || i%2 == 1 {
			list = append(list, m)
			if i < a.kept {
				kept++
			}
		}
	}
	a.list, a.kept = list, kept
}

// before is the sequence up to which rows had arrived before an instant; 0 for none.
func (a *arrivals) before(at int64) uint64 {
	i := sort.Search(len(a.list), func(i int) bool { return a.list[i].at >= at })
	if i == 0 {
		return 0
	}
	return a.list[i-1].seq
}

// of is when the row of a sequence had arrived, at the latest; false when that is not
// known.
func (a *arrivals) of(seq uint64) (at int64, ok bool) {
	i := sort.Search(len(a.list), func(i int) bool { return a.list[i].seq >= seq })
	if i == len(a.list) {
		return 0, false
	}
	return a.list[i].at, true
}

// arrived notes that everything of a shard up to a sequence is there. e.mu is locked.
func (e *Engine) arrived(journal string, seq uint64) {
	e.arrivalsOf(journal).note(e.with.Now().UnixNano(), seq)
}

// arrivalsOf are those of a journal, to be noted into. e.mu is locked.
func (e *Engine) arrivalsOf(journal string) *arrivals {
	a := e.arrivals[journal]
	if a == nil {
		a = &arrivals{}
		e.arrivals[journal] = a
	}
	return a
}

// arrivedBefore is the sequence of a journal up to which rows are known to have arrived
// before an instant; 0 for none.
func (e *Engine) arrivedBefore(journal string, before time.Time) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a := e.arrivals[journal]; a != nil {
		return a.before(before.UnixNano())
	}
	return 0
}

// arrivalOf is when a row had arrived, at the latest. Of one of which that is not
// known it is when the program started.
func (e *Engine) arrivalOf(journal string, seq uint64) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a := e.arrivals[journal]; a != nil {
		if at, ok := a.of(seq); ok {
			return time.Unix(0, at).UTC()
		}
	}
	return e.started.UTC()
}

// loadArrivals reads what was noted before the program started.
func (e *Engine) loadArrivals(ctx context.Context) error {
	if _, err := e.settled(ctx, arrivalTable); err != nil {
		e.log.Warn("rows may be taken for younger than they are: the server does not show all that was noted of their arrival", zap.Error(err))
	}
	rows, err := e.admin.Query(ctx, "SELECT ts, journal, seq FROM "+arrivalTable+" ORDER BY ts")
	if err != nil {
		return err
	}
	type stored struct {
		TS      time.Time
		Journal string
		Seq     int64
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stored])
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.arrivalsKnown {
		return nil
	}
	e.arrivalsKnown = true
	noted := e.arrivals
	e.arrivals = map[string]*arrivals{}
	for _, s := range list {
		a := e.arrivalsOf(s.Journal)
		a.note(s.TS.UnixNano(), uint64(s.Seq))
		a.kept = len(a.list) // none of them is replaced
	}
	for journal, since := range noted {
		for _, m := range since.list {
			e.arrivalsOf(journal).note(m.at, m.seq)
		}
	}
	return nil
}

// keepArrivals writes what was noted since, but for the last of each journal, which
// may yet change.
func (e *Engine) keepArrivals(ctx context.Context) error {
	type entry struct {
		journal string
		arrival
	}
	var due []entry
	e.mu.Lock()
	for journal, a := range e.arrivals {
		for _, m := range a.list[min(a.kept, len(a.list)):max(a.kept, len(a.list)-1)] {
			due = append(due, entry{journal, m})
		}
	}
	e.mu.Unlock()
	for _, m := range due { // one a minute and shard
		_, err := e.admin.Exec(ctx, "INSERT INTO "+arrivalTable+" VALUES ($1, $2, $3)", time.Unix(0, m.at).UTC(), m.journal, int64(m.seq))
		if err != nil {
			return fmt.Errorf("noting when rows arrived: %w", e.away(err))
		}
		e.mu.Lock()
		a := e.arrivals[m.journal]
		a.kept = max(a.kept, sort.Search(len(a.list), func(i int) bool { return a.list[i].seq > m.seq }))
		e.mu.Unlock()
	}
	return nil
}
