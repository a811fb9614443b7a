package storage

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/persistence"
)

// headerTiming says what an answer took, and what was read for it
// (https://www.w3.org/TR/server-timing/). It follows a long answer as a trailer.
const headerTiming = "Server-Timing"

// watch measures one read.
type watch struct {
	reads *persistence.Reads
	// open is how long views took to open, store how long the store was read. Rows
	// are sent while the next ones are read.
	open, store atomic.Int64 // ns
}

type watchKey struct{}

// watched returns a context that measures what is read in it.
func watched(ctx context.Context) context.Context {
	w := &watch{}
	ctx, w.reads = persistence.CountReads(ctx)
	return context.WithValue(ctx, watchKey{}, w)
}

// watchOf is the measurement of a context; never nil.
func watchOf(ctx context.Context) *watch {
	if w, ok := ctx.Value(watchKey{}).(*watch); ok {
		return w
	}
	return &watch{}
}

func (w *watch) opened(since time.Time) { w.open.Add(int64(time.Since(since))) }
func (w *watch) read(since time.Time)   { w.store.Add(int64(time.Since(since))) }

// missing counts the damaged files that could have had rows and were left out.
func (w *watch) missing() int64 {
	return w.reads.Of(persistence.TierHot).Stats().FilesMissing + w.reads.Of(persistence.TierCold).Stats().FilesMissing
}

// tell adds the measurement to an answer that is complete but for its end.
func (w *watch) tell(s *chassis.Stream, rows int) {
	s.Late(headerTiming, w.String(rows))
}

// String is the measurement of an answer of so many rows.
func (w *watch) String(rows int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `open;dur=%.3f, read;dur=%.3f;desc="%d rows"`, float64(w.open.Load())/1e6, float64(w.store.Load())/1e6, rows)
	for _, tier := range []struct {
		name string
		of   persistence.Tier
	}{{"hot", persistence.TierHot}, {"cold", persistence.TierCold}} {
		st := w.reads.Of(tier.of).Stats()
		if st == (persistence.ReadStats{}) {
			continue
		}
		fmt.Fprintf(&b, `, %s;desc="files %d of %d, row groups %d of %d, pages %d of %d, %d bytes`, tier.name,
			st.Files, st.Files+st.FilesPruned, st.RowGroups, st.RowGroups+st.RowGroupsPruned, st.Pages, st.Pages+st.PagesPruned, st.Bytes)
		if st.FilesMissing > 0 {
			fmt.Fprintf(&b, `, %d files missing`, st.FilesMissing)
		}
		b.WriteByte('"')
	}
	return b.String()
}
