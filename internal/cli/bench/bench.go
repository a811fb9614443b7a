// Package bench measures the way from bytes to records on recorded frames, in
// memory and on one core, so that the figures can be set beside those of other
// programs.
package bench

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// Mode is how far a frame goes.
type Mode string

// The modes.
const (
	// Decode is bytes to records.
	Decode Mode = "decode"
	// Full goes through the step function, without a book.
	Full Mode = "full"
	// FullBook keeps the book too.
	FullBook Mode = "full+book"
)

// Input is the frames of one capture.
type Input struct {
	Name  string
	Venue *connectors.Venue
	Known *market.Instruments
	// Depth is the number of levels of the venue's snapshots.
	Depth  int
	frames []frame
}

type frame struct {
	body []byte
	rc   connectors.Receipt
	// call is set for a REST response.
	call *connectors.Request
}

// Result is one row.
type Result struct {
	Peer    string `json:"peer"`
	Capture string `json:"capture"`
	Kind    string `json:"kind"`
	Mode    Mode   `json:"mode"`
	Frames  int64  `json:"frames"`
	// NS is wall time and CPUNS processor time of all frames.
	NS      int64 `json:"ns"`
	CPUNS   int64 `json:"cpu_ns"`
	Bytes   int64 `json:"bytes"`
	Records int64 `json:"records"`
	Levels  int64 `json:"levels"`
}

// Load reads the frames of a capture that hold a kind (all: 0), and the snapshots
// that its books need.
func (in *Input) Load(r io.Reader, kind market.Kind) error {
	capture, err := connectors.NewCaptureReader(r)
	if err != nil {
		return err
	}
	decoder := in.Venue.NewDecoder(in.Known)
	var b market.Batch
	for {
		rec, err := capture.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f := frame{rc: connectors.Receipt{Time: rec.Time, Conn: rec.Conn}}
		switch rec.Dir {
		case connectors.CaptureIn:
			b.Reset()
			if _, err := decoder.Decode(rec.Body, f.rc, &b); err != nil {
				return fmt.Errorf("line %d: %w", rec.Line, err)
			}
			if kind != 0 && b.Count(kind) == 0 {
				continue
			}
		case connectors.CaptureHTTP:
			req, ok := in.recognise(rec.URL)
			if !ok || req.Kind != connectors.NeedSnapshot || (kind != 0 && kind != market.KindBookDelta) {
				continue
			}
			f.call = &req
		default:
			continue
		}
		f.body = append([]byte(nil), rec.Body...)
		in.frames = append(in.frames, f)
	}
}

// Run takes the frames in order, again and again, for at least the given time
// after one round to warm up.
func (in *Input) Run(mode Mode, kind string, atLeast time.Duration) (Result, error) {
	res := Result{Peer: "marketprism", Capture: in.Name, Kind: kind, Mode: mode}
	if len(in.frames) == 0 {
		return res, fmt.Errorf("%s has no frame of kind %s", in.Name, kind)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := in.Round(mode, &Result{}); err != nil {
		return res, err
	}
	runtime.GC()
	begin, cpu := time.Now(), threadTime()
	for time.Since(begin) < atLeast {
		if err := in.Round(mode, &res); err != nil {
			return res, err
		}
	}
	res.NS, res.CPUNS = time.Since(begin).Nanoseconds(), (threadTime() - cpu).Nanoseconds()
	return res, nil
}

// Round takes the frames once, through streams made anew, and adds to res.
func (in *Input) Round(mode Mode, res *Result) error {
	if mode == Decode {
		return in.decode(res)
	}
	f := feed.New(in.Venue, in.Known, feed.Options{Depth: in.Depth, NoBook: mode == Full})
	var out stream.Output
	for i := range in.frames {
		fr := &in.frames[i]
		var received *market.Batch
		var err error
		switch {
		case fr.call == nil:
			received, _, err = f.Frame(fr.body, fr.rc, &out)
			res.Frames++
			res.Bytes += int64(len(fr.body))
			res.Levels += levels(received)
		case mode == FullBook:
			_, err = f.Response(*fr.call, fr.body, fr.rc, &out)
		}
		if err != nil {
			return err
		}
		res.Records += int64(len(out.Records))
		out.Reset()
	}
	return nil
}

func (in *Input) decode(res *Result) error {
	decoder := in.Venue.NewDecoder(in.Known)
	var b market.Batch
	for i := range in.frames {
		fr := &in.frames[i]
		if fr.call != nil {
			continue
		}
		b.Reset()
		if _, err := decoder.Decode(fr.body, fr.rc, &b); err != nil {
			return err
		}
		res.Frames++
		res.Bytes += int64(len(fr.body))
		res.Records += int64(b.Len())
		res.Levels += levels(&b)
	}
	return nil
}

func levels(b *market.Batch) int64 {
	if b.Count(market.KindBookDelta) == 0 {
		return 0
	}
	n := int64(0)
	for d := range market.Rows[market.BookDelta](b) {
		n += int64(len(d.Bids) + len(d.Asks))
	}
	return n
}

// threadTime is the processor time of the calling thread.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func (in *Input) recognise(text string) (connectors.Request, bool) {
	u, err := url.Parse(text)
	if err != nil || in.Venue.REST == nil {
		return connectors.Request{}, false
	}
	return in.Venue.REST.Recognise(u, in.Known)
}
