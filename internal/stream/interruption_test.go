package stream_test

import (
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// An interruption of a channel without numbers ends at the first record of a later time
// than the last one before it: what the exchange repeats, or tells of another period,
// whose time is earlier, passes and ends nothing. A last time that lies in the future is
// not waited for.
func TestInterruptionEndsAtALaterTime(t *testing.T) {
	const minute = int64(60_000_000_000)
	for _, tc := range []struct {
		name     string
		last     int64
		then     []int64 // event times
		ends     int     // at which of them
		from, to int64
	}{
		{"another period, the same again, the next", 10 * minute, []int64{5 * minute, 10 * minute, 15 * minute}, 2, 10 * minute, 15 * minute},
		{"the next at once", 10 * minute, []int64{11 * minute}, 0, 10 * minute, 11 * minute},
		{"a last time in the future", 99 * minute, []int64{11 * minute}, 0, 99 * minute, 99 * minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := stream.New(config())
			var o stream.Output
			s.Resume(market.KindLongShortRatio, market.OptInt{}, tc.last, market.CauseRestart, 16*minute, &o)
			o.Reset()
			for i, at := range tc.then {
				r := &market.LongShortRatio{Header: market.Header{Instrument: instrument, ExchangeTime: at, ReceiveTime: 16*minute + int64(i)}}
				market.Stamp(r)
				s.Step(r, &o)
				var gaps []*market.Gap
				passed := false
				for _, rec := range o.Records {
					if g, ok := rec.(*market.Gap); ok {
						gaps = append(gaps, g)
					}
					passed = passed || rec == market.Record(r)
				}
				if !passed {
					t.Errorf("record %d does not pass", i)
				}
				if ended := len(gaps) > 0; ended != (i == tc.ends) {
					t.Fatalf("record %d: ledger %+v", i, gaps)
				} else if ended && (gaps[0].FromTime != tc.from || gaps[0].ToTime != tc.to || gaps[0].Outcome != market.OutcomeMarked) {
					t.Errorf("the entry is from %d to %d, %s", gaps[0].FromTime, gaps[0].ToTime, gaps[0].Outcome)
				}
				o.Reset()
			}
		})
	}
}
