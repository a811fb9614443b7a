package stream_test

import (
	"fmt"
	"testing"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// TestJoin: a book that was listened to while another owner recorded it begins its chain
// right behind the stored one, and says whether anything lies between.
func TestJoin(t *testing.T) {
	for _, tc := range []struct {
		name     string
		snapshot int64
		want     string
	}{
		{"reaches back", 10, "healed, snapshot at 25, 30"},
		{"reaches back to the very end", 20, "healed, snapshot at 25, 30"},
		{"the book begins later than the changes", 22, "healed, snapshot at 22, 25, 30"},
		{"begins later", 27, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := stream.New(config())
			var out stream.Output
			s.Join(market.Int(20), 1, market.CauseRestart, 2, &out)
			got := ""
			look := func() {
				for _, r := range out.Records {
					switch r := r.(type) {
					case *market.Gap:
						if r.Outcome != market.OutcomeOpen {
							got += ", " + r.Outcome
						}
					case *market.BookDelta:
						if r.IsSnapshot {
							got += ", snapshot at"
						} else {
							got += ","
						}
						got += fmt.Sprint(" ", r.Seq.V)
					}
				}
				out.Reset()
			}
			look()
			s.Subscribed(&out)
			heard := []*market.BookDelta{delta(11, 15), delta(16, 20), delta(21, 25), delta(26, 30)}
			if tc.snapshot > 25 {
				heard, tc.want = heard[3:], "marked, snapshot at 27, 30"
			}
			for i, d := range heard {
				if i == 2 && tc.snapshot < 25 && tc.snapshot != 10 || len(heard) == 1 {
					s.Snapshot(snapshot(tc.snapshot), &out)
				}
				in(d)(s, &out)
				if i == 0 && tc.snapshot == 10 {
					s.Snapshot(snapshot(tc.snapshot), &out)
				}
				look()
			}
			if got != ", "+tc.want {
				t.Errorf("got %s, want %s", got[min(2, len(got)):], tc.want)
			}
			if b, st := s.Book(); st.State != stream.Live || st.Seq != 30 || b == nil {
				t.Errorf("the book is %+v", st)
			}
		})
	}
}
