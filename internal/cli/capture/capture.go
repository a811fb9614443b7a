// Package capture records the live traffic of one market: every frame and every
// REST response as they came, by the same sessions and the same step function as
// the live collector. So the capture holds what a book and its repair need: the
// list of instruments, snapshots, missed trades, and the polled channels.
//
// A recording owns its sessions, one caller of the REST interface and one ticker
// for each polled channel; Run waits for all of them.
package capture

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/feed"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/internal/stream"
)

// Options say what to record.
type Options struct {
	Venue *connectors.Venue
	// Config is what the venue was made with; its symbols and data types are
	// recorded.
	Config connectors.MarketConfig
	// Write takes the records, from several goroutines at once. Its error ends the
	// recording.
	Write func(*connectors.CaptureRecord) error
	// Live is called once, when every session is live first; nil for nobody.
	Live func()
}

// Summary is what was recorded.
type Summary struct {
	Symbols           []string
	Frames, Responses int64
	// Gaps are those that the live stream could not heal; Resyncs the snapshots
	// after the first.
	Gaps, Resyncs int64
	// Failed are REST calls that were given up.
	Failed int64
}

// Run records until ctx ends, which is no error.
func Run(ctx context.Context, o Options) (Summary, error) {
	r := &recording{Options: o, streams: map[*market.Instrument]*stream.Stream{}, errands: make(chan errand, maxErrands)}
	r.client = connectors.NewClient(connectors.ClientOptions{Venue: o.Venue, Tap: r.tap})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.stop = cancel
	err := r.run(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		err = cause
	} else if ctx.Err() != nil {
		err = nil
	}
	return r.summary(), err
}

type recording struct {
	Options
	client *connectors.Client
	stop   context.CancelCauseFunc

	frames, responses, failed atomic.Int64
	conns                     atomic.Int64
	waiting                   atomic.Int64 // sessions that were never live

	mu      sync.Mutex // guards what follows: sessions and the caller step the streams
	streams map[*market.Instrument]*stream.Stream
	order   []*stream.Stream
	out     stream.Output

	// Set before the first session runs:
	sessions []*connectors.Session
	chosen   map[*market.Instrument]bool

	errands chan errand
}

// errand is something to ask the exchange for.
type errand struct {
	need connectors.Need
	why  stream.Request
}

// maxErrands bounds the calls that wait; a polled value more is left out, and a
// stream asks again.
const maxErrands = 4096

// tap writes a record; what cannot be written ends the recording.
func (r *recording) tap(rec *connectors.CaptureRecord) {
	switch rec.Dir {
	case connectors.CaptureIn:
		r.frames.Add(1)
	case connectors.CaptureHTTP:
		r.responses.Add(1)
	}
	if err := r.Write(rec); err != nil {
		r.stop(fmt.Errorf("writing the capture: %w", err))
	}
}

func (r *recording) run(ctx context.Context) error {
	table, err := r.instruments(ctx)
	if err != nil {
		return err
	}
	subs, err := r.subscriptions(table)
	if err != nil {
		return err
	}
	plan := r.Venue.Wire.Plan(subs)
	r.waiting.Store(int64(len(plan)))
	pacer := connectors.NewPacer(r.Venue.Limits.Connects)
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range plan {
		s, err := connectors.NewSession(connectors.SessionOptions{
			Venue: r.Venue, Connection: c, Instruments: table, Reconnect: r.Config.Reconnect, Sink: &sink{recording: r, subs: c.Subs},
			NextConn: func() int64 { return r.conns.Add(1) }, Connects: pacer, Tap: r.tap,
		})
		if err != nil {
			return err
		}
		r.sessions = append(r.sessions, s)
	}
	for _, s := range r.sessions {
		g.Go(func() error { return s.Run(ctx) })
	}
	g.Go(func() error { return r.call(ctx) })
	r.poll(ctx, g, subs)
	return g.Wait()
}

func (r *recording) instruments(ctx context.Context) (*market.Instruments, error) {
	list, err := r.client.Instruments(ctx)
	if err != nil {
		return nil, err
	}
	return market.NewInstruments(list), nil
}

// subscriptions are every channel of the kinds asked for, of every symbol.
func (r *recording) subscriptions(table *market.Instruments) ([]connectors.Subscription, error) {
	kinds, err := r.Config.Kinds()
	if err != nil {
		return nil, err
	}
	channels := r.Venue.ChannelsFor(kinds)
	if len(channels) == 0 {
		return nil, fmt.Errorf("%s %s has no channel for %v", r.Venue.Exchange, r.Venue.Market, r.Config.DataTypes)
	}
	var subs []connectors.Subscription
	r.chosen = map[*market.Instrument]bool{}
	for _, spelling := range r.Config.Symbols {
		list, err := resolve(table, spelling)
		if err != nil {
			return nil, err
		}
		for _, i := range list {
			if r.chosen[i] {
				continue
			}
			r.chosen[i] = true
			for _, c := range channels {
				subs = append(subs, connectors.Subscription{Channel: c, Instrument: i})
			}
		}
	}
	if len(subs) == 0 {
		return nil, errors.New("no symbols to record")
	}
	return subs, nil
}

// resolve finds the instruments of a spelling, or of a pattern such as "*-USDT".
func resolve(table *market.Instruments, spelling string) ([]*market.Instrument, error) {
	if !strings.ContainsAny(spelling, "*?[") {
		i, err := table.Resolve(spelling)
		return []*market.Instrument{i}, err
	}
	var list []*market.Instrument
	for _, i := range table.All() {
		ok, err := path.Match(strings.ToUpper(spelling), i.Symbol)
		if err != nil {
			return nil, fmt.Errorf("symbols: %q: %w", spelling, err)
		}
		if ok && i.Trading {
			list = append(list, i)
		}
	}
	return list, nil
}

// poll asks for the polled channels: at once, then as often as each wants.
func (r *recording) poll(ctx context.Context, g *errgroup.Group, subs []connectors.Subscription) {
	byChannel := map[int][]*market.Instrument{}
	for _, s := range subs {
		if r.Venue.Channels[s.Channel].Poll > 0 {
			byChannel[s.Channel] = append(byChannel[s.Channel], s.Instrument)
		}
	}
	for channel, list := range byChannel {
		g.Go(func() error {
			tick := time.NewTicker(r.Venue.Channels[channel].Poll)
			defer tick.Stop()
			for {
				for _, i := range list {
					r.send(errand{need: connectors.Need{Kind: connectors.NeedPoll, Instrument: i, Channel: channel}})
				}
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
			}
		})
	}
}

// send hands an errand to the caller; false when too many wait.
func (r *recording) send(e errand) bool {
	select {
	case r.errands <- e:
		return true
	default:
		r.failed.Add(1)
		return false
	}
}

func (r *recording) summary() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Summary{Frames: r.frames.Load(), Responses: r.responses.Load(), Failed: r.failed.Load()}
	for _, st := range r.order {
		s.Symbols = append(s.Symbols, st.Instrument().Symbol)
		st.Finish(time.Now().UnixNano(), &r.out)
		for _, rec := range r.out.Records {
			if g, ok := rec.(*market.Gap); ok && g.Outcome == market.OutcomeMarked {
				s.Gaps++
			}
		}
		r.out.Reset()
		for _, c := range st.Stats() {
			s.Resyncs += c.Resyncs
		}
	}
	slices.Sort(s.Symbols)
	return s
}

// stream is the stream of an instrument; the lock is held.
func (r *recording) stream(i *market.Instrument) *stream.Stream {
	s := r.streams[i]
	if s == nil {
		s = stream.New(feed.StreamConfig(r.Venue, i, feed.Options{Depth: r.Config.Depth}))
		r.streams[i] = s
		r.order = append(r.order, s)
	}
	return s
}
