package okx_test

import (
	"bytes"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// recorded is the markets of which the recording has books.
var recorded = []market.Market{market.Spot, market.Perpetual, market.Future}

// replayed runs a recording through the feeds of all recorded markets; change may
// alter a frame, or leave it out with nil.
func replayed(t *testing.T, change func(n int, frame []byte) []byte) []*feed.Feed {
	t.Helper()
	traffic := connectorstest.Traffic(t, connectorstest.Path(t, "okx/part1"))
	var feeds []*feed.Feed
	for _, m := range recorded {
		v := subject.Venue(t, m)
		feeds = append(feeds, feed.New(v, instrumentsOf(t, v, traffic), feed.Options{Depth: 400}))
	}
	var out stream.Output
	books := 0
	for _, rec := range traffic {
		frame := rec.Body
		if rec.Dir != connectors.CaptureIn {
			continue
		}
		if bytes.Contains(frame, []byte(`"channel":"books"`)) && bytes.Contains(frame, []byte(`"data"`)) {
			books++
			if frame = change(books, frame); frame == nil {
				continue
			}
		}
		for _, f := range feeds {
			out.Reset()
			_, note, err := f.Frame(frame, connectors.Receipt{Time: rec.Time, Conn: rec.Conn}, &out)
			if err != nil {
				t.Fatalf("line %d: %v", rec.Line, err)
			}
			if note.Reason != connectors.UnknownSymbol {
				break
			}
		}
	}
	return feeds
}

func instrumentsOf(t *testing.T, v *connectors.Venue, traffic []connectors.CaptureRecord) *market.Instruments {
	t.Helper()
	for _, rec := range traffic {
		if rec.Dir != connectors.CaptureHTTP {
			continue
		}
		if list, err := v.REST.Instruments(rec.Body); err == nil && len(list) > 0 {
			return market.NewInstruments(list)
		}
	}
	t.Fatalf("the recording lists no instruments of the %s market", v.Market)
	return nil
}

// books is what the streams found of their books.
func books(feeds []*feed.Feed) (total stream.ChannelStats, live int) {
	for _, f := range feeds {
		for _, s := range f.Streams() {
			for _, st := range s.Stats() {
				if st.Kind != market.KindBookDelta {
					continue
				}
				total.Received += st.Received
				total.Records += st.Records
				total.ChecksumOK += st.ChecksumOK
				total.ChecksumWrong += st.ChecksumWrong
				total.Gaps += st.Gaps
				total.Crossed += st.Crossed
				total.Suspect += st.Suspect
				total.Dropped += st.Dropped
			}
			if _, status := s.Book(); status.State == stream.Live {
				live++
			}
		}
	}
	return total, live
}

// TestEveryLegacyChecksumIsValid is the proof of the legacy protocol: each of the
// recorded frames of a book carries the checksum of the book that results, of an
// instrument in base, one in contracts of 10 and one of 100 dollars.
func TestEveryLegacyChecksumIsValid(t *testing.T) {
	sent := 0
	feeds := replayed(t, func(n int, frame []byte) []byte {
		if !bytes.Contains(frame, []byte(`"checksum":`)) || bytes.Contains(frame, []byte(`"checksum":0}`)) {
			t.Errorf("book frame %d has no checksum", n)
		}
		sent = n
		return frame
	})
	st, live := books(feeds)
	if sent == 0 || st.ChecksumOK != int64(sent) || st.Records != int64(sent) {
		t.Errorf("%d checksums are right and %d records came out of %d frames", st.ChecksumOK, st.Records, sent)
	}
	if st.ChecksumWrong+st.Gaps+st.Crossed+st.Suspect+st.Dropped != 0 || live != 3 {
		t.Errorf("findings in a recording that has none: %+v, %d books are live", st, live)
	}
	t.Logf("%d checksums, all valid", st.ChecksumOK)
}

// TestAWrongLegacyChecksumIsFound: a frame of a book that was lost, or altered,
// shows in the checksum, and the book is not served as right.
func TestAWrongLegacyChecksumIsFound(t *testing.T) {
	for name, fault := range map[string]func(n int, frame []byte) []byte{
		"lost": func(n int, frame []byte) []byte {
			if n%40 == 20 {
				return nil
			}
			return frame
		},
		"altered": func(n int, frame []byte) []byte {
			if n%40 != 20 {
				return frame
			}
			at := bytes.Index(frame, []byte(`"checksum":`)) + len(`"checksum":`)
			if frame[at] == '-' {
				at++
			}
			frame = bytes.Clone(frame)
			frame[at] = '1' + (frame[at]-'0')%9
			return frame
		},
	} {
		t.Run(name, func(t *testing.T) {
			st, live := books(replayed(t, fault))
			if st.ChecksumWrong == 0 || st.Gaps == 0 || st.Suspect == 0 {
				t.Errorf("nothing was found: %+v", st)
			}
			if live == 3 {
				t.Error("every book is live")
			}
		})
	}
}
