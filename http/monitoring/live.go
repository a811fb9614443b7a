package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
)

// Fetch gets what a service answers to GET path, as JSON.
type Fetch func(ctx context.Context, service, path string) (json.RawMessage, error)

// values are what a topic says, by key.
type values map[string]json.RawMessage

// liveEvery is the time between two looks at a topic, and between two beats.
const liveEvery = time.Second

// fetched are the topics that other services answer: one key for each member of the
// answer.
var fetched = map[string]struct{ service, path string }{
	"storage":   {"data-storage-service", "/api/v1/storage/status"},
	"collector": {"market-data-collector", "/api/v1/status"},
	"quality":   {"market-data-collector", "/api/v1/quality"},
	"broker":    {"message-broker-service", "/api/v1/status"},
	"scheduler": {"scheduler-service", "/api/v1/scheduler/status"},
	"gateway":   {"api-gateway-service", "/api/v1/gateway/stats"},
}

// The topics of this service itself.
const (
	topicOverview = "overview"
	topicServices = "services"
	topicSystem   = "system"
	topicActors   = "actors"
	topicAlerts   = "alerts"
)

// liveTopics lists all topics.
func liveTopics() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for _, t := range []string{topicOverview, topicServices, topicSystem, topicActors, topicAlerts} {
			if !yield(t) {
				return
			}
		}
		for t := range fetched {
			if !yield(t) {
				return
			}
		}
	})
}

// look is what a topic said last, shared by all who follow it.
type look struct {
	mu     sync.Mutex
	at     time.Time
	values values
	err    error
}

// pages keeps the last look at each topic.
type pages struct{ looks map[string]*look }

func newPages() pages {
	p := pages{looks: map[string]*look{}}
	for _, t := range liveTopics() {
		p.looks[t] = &look{}
	}
	return p
}

// snapshotEvent is everything of the topics that are followed.
type snapshotEvent struct {
	Seq    uint64            `json:"seq" required:"true"`
	Time   time.Time         `json:"time" required:"true"`
	Topics map[string]values `json:"topics" required:"true" doc:"by topic, by key"`
	Errors map[string]string `json:"errors" required:"true" doc:"by topic: why it says nothing"`
}

// diffEvent is what is another since the event before.
type diffEvent struct {
	Seq    uint64              `json:"seq" required:"true"`
	Time   time.Time           `json:"time" required:"true"`
	Set    map[string]values   `json:"set" required:"true"`
	Del    map[string][]string `json:"del" required:"true"`
	Errors map[string]string   `json:"errors" required:"true"`
}

// beatEvent says that nothing is another.
type beatEvent struct {
	Seq  uint64    `json:"seq" required:"true"`
	Time time.Time `json:"time" required:"true"`
}

func (f *service) liveRoutes() []chassis.Route {
	return []chassis.Route{{
		Method: http.MethodGet, Path: base + "ui/live", ID: "uiLive", Tag: tagProgram, Summary: "What a dashboard shows, as server-sent events",
		Description: "First `snapshot` with all values of the topics by key, then `diff` {seq, set, del} whenever something is another, at most once a " +
			"second, and `beat` when nothing is. A client that is too slow gets fewer diffs, never a backlog. Topics: " + strings.Join(liveTopics(), ", ") + ".",
		Params:    []chassis.Param{{Name: "topics", Doc: "Comma-separated.", Default: topicOverview, Example: "overview,services"}},
		Responses: []chassis.Response{{Media: chassis.MediaEvents, Body: ""}},
		Live:      true, Handler: f.live,
	}}
}

func (f *service) live(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	topics := q.List("topics")
	if len(topics) == 0 {
		topics = []string{topicOverview}
	}
	slices.Sort(topics)
	topics = slices.Compact(topics)
	for _, t := range topics {
		if f.pages.looks[t] == nil {
			q.Refuse("topics", "%.40q is none of %s", t, strings.Join(liveTopics(), ", "))
		}
	}
	if err := q.Err(); err != nil {
		return err
	}
	s, err := chassis.NewEvents(w, r)
	if err != nil {
		return err
	}
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	last, errs := f.lookAt(r.Context(), topics)
	seq := uint64(1)
	if err := s.Send("1", "snapshot", snapshotEvent{seq, f.Now().UTC(), last, errs}); err != nil {
		return err
	}
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-tick.C:
		}
		now, errs := f.lookAt(r.Context(), topics)
		seq++
		d := difference(last, now)
		d.Seq, d.Time, d.Errors = seq, f.Now().UTC(), errs
		id := strconv.FormatUint(seq, 10)
		if len(d.Set)+len(d.Del)+len(errs) == 0 {
			err = s.Send(id, "beat", beatEvent{seq, d.Time})
		} else {
			err = s.Send(id, "diff", d)
		}
		if err != nil {
			return err
		}
		last = now
	}
}

// lookAt looks at topics. One that cannot be looked at keeps nothing, and says why.
func (f *service) lookAt(ctx context.Context, topics []string) (map[string]values, map[string]string) {
	all, errs := map[string]values{}, map[string]string{}
	for _, t := range topics {
		v, err := f.pages.look(ctx, t, f.say)
		if err != nil {
			errs[t] = err.Error()
			v = values{}
		}
		all[t] = v
	}
	return all, errs
}

// look looks, unless somebody has just done so.
func (p *pages) look(ctx context.Context, topic string, say func(context.Context, string) (values, error)) (values, error) {
	l := p.looks[topic]
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) > liveEvery*3/4 {
		l.values, l.err = say(ctx, topic)
		if ctx.Err() == nil { // one who left is no reason for the others
			l.at = time.Now()
		}
	}
	return l.values, l.err
}

// say is what a topic says now.
func (f *service) say(ctx context.Context, topic string) (values, error) {
	switch topic {
	case topicOverview:
		return members(f.makeOverview(ctx))
	case topicServices:
		return members(shownAll(f.Branch.Standings()))
	case topicSystem:
		s, _ := f.Branch.Host()
		return members(s)
	case topicActors:
		return actorValues(f.Tree.Snapshot())
	case topicAlerts:
		v := values{}
		for _, a := range f.activeAlerts(ctx) {
			text, err := json.Marshal(reportAlert{Rule: a.Name, Severity: a.Severity, Description: a.Description, Since: a.Since, Value: a.Value})
			if err != nil {
				return nil, fmt.Errorf("encoding an alert: %w", err)
			}
			v[a.RuleID] = text
		}
		return v, nil
	}
	if f.Fetch == nil {
		return nil, fmt.Errorf("%s is not asked from here", fetched[topic].service)
	}
	text, err := f.Fetch(ctx, fetched[topic].service, fetched[topic].path)
	if err != nil {
		return nil, err
	}
	v := values{}
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", fetched[topic].service, err)
	}
	delete(v, "timestamp")
	return v, nil
}

// members are the members of an object, but for its time.
func members(object any) (values, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encoding a topic: %w", err)
	}
	v := values{}
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("encoding a topic: %w", err)
	}
	delete(v, "timestamp")
	return v, nil
}

// actorLine is one actor of the live tree: what changes often is rounded, so that it
// changes less often.
type actorLine struct {
	Order    int        `json:"order"` // in the tree: parents before children
	Kind     string     `json:"kind"`
	State    string     `json:"state"`
	Rate     float64    `json:"rate"`
	Depth    int        `json:"depth"`
	Wait     float64    `json:"wait_seconds"`
	Busy     float64    `json:"busy_ratio"`
	Restarts uint64     `json:"restarts"`
	Failures uint64     `json:"failures"`
	Left     *int       `json:"left,omitempty"` // of a supervisor's budget
	Backoff  *time.Time `json:"backoff_until,omitempty"`
	Note     string     `json:"note,omitempty"`
}

func actorValues(tree supervise.Snapshot) (values, error) {
	v := values{}
	for i := range tree.Actors {
		n := &tree.Actors[i]
		l := actorLine{
			Order: i, Kind: n.Kind, State: n.State.String(), Rate: rounded(n.Rate), Depth: n.Mailbox.Depth, Wait: rounded(n.Mailbox.WaitMean),
			Busy: math.Round(n.BusyRatio*100) / 100, Restarts: n.Restarts, Failures: n.Failures, Backoff: n.BackoffUntil, Note: n.Note,
		}
		if n.Budget != nil {
			l.Left = &n.Budget.Left
		}
		text, err := json.Marshal(l)
		if err != nil {
			return nil, fmt.Errorf("encoding an actor: %w", err)
		}
		v[n.ID] = text
	}
	return v, nil
}

// rounded keeps two digits.
func rounded(x float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(x)))-1)
	return math.Round(x/unit) * unit
}

// difference is what makes now of before.
func difference(before, now map[string]values) diffEvent {
	d := diffEvent{Set: map[string]values{}, Del: map[string][]string{}}
	for topic, v := range now {
		for key, text := range v {
			if old, ok := before[topic][key]; ok && bytes.Equal(old, text) {
				continue
			}
			if d.Set[topic] == nil {
				d.Set[topic] = values{}
			}
			d.Set[topic][key] = text
		}
		for _, key := range slices.Sorted(maps.Keys(before[topic])) {
			if _, ok := v[key]; !ok {
				d.Del[topic] = append(d.Del[topic], key)
			}
		}
	}
	return d
}
