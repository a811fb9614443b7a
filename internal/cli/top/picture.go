package top

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Stream is one instrument's stream.
type Stream struct {
	Exchange string `json:"exchange"`
	Market   string `json:"market"`
	Symbol   string `json:"symbol"`
	Node     string `json:"node,omitempty"` // that collects it, where there are several
	// State is that of the book; without a book "live" or "not live".
	State string `json:"state"`
	// Rate is records a second, over the last two seconds or more.
	Rate float64 `json:"rate"`
	// Lag is what the newest record took from the exchange's clock to here; Age is how
	// long ago it came. Seconds; below zero where the clocks differ.
	Lag float64 `json:"lag_seconds"`
	Age float64 `json:"age_seconds"`
	// Coverage and Verified are percentages, nil before there is anything to reckon.
	Coverage *float64 `json:"coverage_percent"`
	Verified *float64 `json:"verified_percent"`
	Open     int64    `json:"open_gaps"`
	Gaps     int64    `json:"gaps"`
	Resyncs  int64    `json:"resyncs"`
}

// Name is exchange/market/symbol.
func (s *Stream) Name() string { return s.Exchange + "/" + s.Market + "/" + s.Symbol }

// Actor is one actor of the supervision tree.
type Actor struct {
	ID       string  `json:"id"`
	Order    int     `json:"order"` // in the tree
	Kind     string  `json:"kind"`
	State    string  `json:"state"`
	Rate     float64 `json:"rate"` // messages a second
	Depth    int     `json:"depth"`
	WaitP99  float64 `json:"wait_p99_seconds"`
	Busy     float64 `json:"busy_ratio"`
	Restarts uint64  `json:"restarts"`
	Letters  uint64  `json:"dead_letters"`
	Reason   string  `json:"reason,omitempty"` // of the last failure
}

// Service is one of the six.
type Service struct {
	Name     string `json:"name"`
	Status   string `json:"status"`
	Degraded bool   `json:"degraded"`
	Error    string `json:"error,omitempty"`
}

// Picture is everything at one moment. Whoever gets one may keep it.
type Picture struct {
	Time     time.Time         `json:"time"` // of the monitoring-service's last word
	Streams  []Stream          `json:"streams"`
	Actors   []Actor           `json:"actors"`
	Services []Service         `json:"services"`
	Alerts   int               `json:"alerts"` // firing
	Errors   map[string]string `json:"errors,omitempty"`
}

// The topics that are followed.
const (
	topicStreams  = "quality"
	topicActors   = "actors"
	topicServices = "services"
	topicAlerts   = "alerts"
)

func topics() []string { return []string{topicStreams, topicActors, topicServices, topicAlerts} }

// RateOver is the least time over which a rate is reckoned (streams are looked at every
// two seconds): before it, all rates are 0.
const RateOver = 2 * time.Second

// state is what the events so far have said.
type state struct {
	time    time.Time
	streams map[string]*following
	actors  map[string]Actor
	rest    map[string]map[string]json.RawMessage
	errors  map[string]string
}

// following is one stream over time.
type following struct {
	quality
	rate    float64
	counted int64 // records, at since
	since   time.Time
}

// quality is what is read of a stream's quality.
type quality struct {
	Exchange  string   `json:"exchange"`
	Market    string   `json:"market"`
	Symbol    string   `json:"symbol"`
	Node      string   `json:"node"`
	Coverage  *float64 `json:"coverage_percent"`
	Verified  *float64 `json:"verified_percent"`
	Live      bool     `json:"live"`
	BookState string   `json:"book_state"`
	Resyncs   int64    `json:"resyncs"`
	Channels  []struct {
		Records      int64      `json:"records"`
		Gaps         int64      `json:"gaps"`
		Open         int64      `json:"open_gaps"`
		LastTime     *time.Time `json:"last_time"`
		LastReceived *time.Time `json:"last_received"`
	} `json:"channels"`
}

func (q *quality) records() (n int64) {
	for i := range q.Channels {
		n += q.Channels[i].Records
	}
	return n
}

func newState() *state {
	return &state{streams: map[string]*following{}, actors: map[string]Actor{}, rest: map[string]map[string]json.RawMessage{}}
}

// event is a snapshot (topics), a diff (set, del) or a beat.
type event struct {
	Time   time.Time                             `json:"time"`
	Topics map[string]map[string]json.RawMessage `json:"topics"`
	Set    map[string]map[string]json.RawMessage `json:"set"`
	Del    map[string][]string                   `json:"del"`
	Errors map[string]string                     `json:"errors"`
}

// take applies one event.
func (s *state) take(name string, text []byte) error {
	var e event
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("reading an event: %w", err)
	}
	if name == "snapshot" {
		*s = *newState()
		e.Set = e.Topics
	}
	s.time, s.errors = e.Time, e.Errors
	for topic, values := range e.Set {
		for key, text := range values {
			if err := s.set(topic, key, text); err != nil {
				return fmt.Errorf("reading %s of %s: %w", key, topic, err)
			}
		}
	}
	for topic, keys := range e.Del {
		for _, key := range keys {
			delete(s.streams, key)
			if topic == topicActors {
				delete(s.actors, key)
			}
			delete(s.rest[topic], key)
		}
	}
	for _, f := range s.streams {
		f.reckon(s.time)
	}
	return nil
}

func (s *state) set(topic, key string, text json.RawMessage) error {
	switch {
	case topic == topicStreams && strings.HasPrefix(key, "streams/"):
		f := s.streams[key]
		if f == nil {
			f = &following{}
			s.streams[key] = f
		}
		f.quality = quality{}
		return json.Unmarshal(text, &f.quality)
	case topic == topicActors:
		a := Actor{ID: key}
		if err := json.Unmarshal(text, &a); err != nil {
			return err
		}
		s.actors[key] = a
	default:
		if s.rest[topic] == nil {
			s.rest[topic] = map[string]json.RawMessage{}
		}
		s.rest[topic][key] = text
	}
	return nil
}

// reckon makes the rate up to now.
func (f *following) reckon(now time.Time) {
	n, over := f.records(), now.Sub(f.since)
	switch {
	case f.since.IsZero(), n < f.counted: // the first look, or a collector's new life
	case over < RateOver:
		return
	default:
		f.rate = float64(n-f.counted) / over.Seconds()
	}
	f.counted, f.since = n, now
}

// picture is what there is to show, streams by name and actors as they are in the tree.
func (s *state) picture() *Picture {
	p := &Picture{Time: s.time, Alerts: len(s.rest[topicAlerts]), Errors: s.errors}
	for _, f := range s.streams {
		p.Streams = append(p.Streams, f.stream(s.time))
	}
	slices.SortFunc(p.Streams, func(a, b Stream) int { return cmp.Compare(a.Name(), b.Name()) })
	for _, a := range s.actors {
		p.Actors = append(p.Actors, a)
	}
	slices.SortFunc(p.Actors, func(a, b Actor) int { return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.ID, b.ID)) })
	for name, text := range s.rest[topicServices] {
		one := Service{Name: name}
		if json.Unmarshal(text, &one) == nil && one.Status != "" { // else it is a total, not a service
			p.Services = append(p.Services, one)
		}
	}
	slices.SortFunc(p.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	return p
}

func (f *following) stream(now time.Time) Stream {
	s := Stream{
		Exchange: f.Exchange, Market: f.Market, Symbol: f.Symbol, Node: f.Node, State: f.BookState, Rate: f.rate,
		Coverage: f.Coverage, Verified: f.Verified, Resyncs: f.Resyncs,
	}
	if s.State == "" || s.State == "live" && !f.Live {
		s.State = map[bool]string{true: "live", false: "not live"}[f.Live]
	}
	var newest time.Time
	for i := range f.Channels {
		c := &f.Channels[i]
		s.Open += c.Open
		s.Gaps += c.Gaps
		if c.LastReceived == nil || !c.LastReceived.After(newest) {
			continue
		}
		newest = *c.LastReceived
		s.Age = now.Sub(newest).Seconds()
		if c.LastTime != nil {
			s.Lag = newest.Sub(*c.LastTime).Seconds()
		}
	}
	return s
}
