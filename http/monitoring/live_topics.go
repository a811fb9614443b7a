package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
)

// values are what a topic says, by key.
type values map[string]json.RawMessage

// The topics of this service itself.
const (
	topicOverview = "overview"
	topicServices = "services"
	topicSystem   = "system"
	topicActors   = "actors"
	topicEvents   = "events"
	topicAlerts   = "alerts"
)

// topic is one that pages follow.
type topic struct {
	// every is the time between two looks.
	every time.Duration
	// service and path are what is asked for it; "": this service knows.
	service, path string
	// rows are the members of its lists by which each entry has a key of its own.
	rows []string
}

const (
	often  = 250 * time.Millisecond
	usual  = time.Second
	seldom = 2 * time.Second // where the answer is long
)

// topics are all there are. Of another service's answer each member is a key, and where
// a member is a list of objects that rows name, each entry is: streams/binance/spot/BTC-USDT.
var topics = map[string]topic{
	topicOverview: {every: usual},
	topicServices: {every: usual},
	topicSystem:   {every: usual},
	topicActors:   {every: usual},
	topicEvents:   {every: often},
	topicAlerts:   {every: usual},
	"storage":     {usual, "data-storage-service", "/api/v1/storage/status", []string{"shard"}},
	"collector":   {usual, "market-data-collector", "/api/v1/status", nil},
	"exchanges":   {usual, "market-data-collector", "/api/v1/exchanges", nil},
	"books":       {usual, "market-data-collector", "/api/v1/orderbook/health", nil},
	"quality":     {seldom, "market-data-collector", "/api/v1/quality", []string{"exchange", "market", "symbol"}},
	"streams":     {seldom, "market-data-collector", "/api/v1/quality?channels=false", []string{"exchange", "market", "symbol"}},
	"broker":      {usual, "message-broker-service", "/api/v1/status", []string{"name"}},
	"scheduler":   {usual, "scheduler-service", "/api/v1/scheduler/status", nil},
	"tasks":       {usual, "scheduler-service", "/api/v1/scheduler/tasks", []string{"task_id"}},
	"gateway":     {usual, "api-gateway-service", "/api/v1/gateway/stats", nil},
}

// liveTopics lists their names.
func liveTopics() []string {
	var names []string
	for name := range topics {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// say is what a topic says now.
func (f *service) say(ctx context.Context, name string) (values, error) {
	switch name {
	case topicOverview:
		return members(f.makeOverview(ctx))
	case topicServices:
		return members(shownAll(f.Branch.Standings()))
	case topicSystem:
		s, _ := f.Branch.Host()
		return members(s)
	case topicActors:
		return actorValues(f.Tree.Snapshot())
	case topicEvents:
		return eventValues(f.Tree.Recent(liveEvents))
	case topicAlerts:
		return f.alertValues(ctx)
	}
	return f.ask(ctx, topics[name])
}

// ask is what another service says.
func (f *service) ask(ctx context.Context, t topic) (values, error) {
	if f.Fetch == nil {
		return nil, fmt.Errorf("%s is not asked from here", t.service)
	}
	text, err := f.Fetch(ctx, t.service, t.path)
	if err != nil {
		return nil, err
	}
	answer := values{}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", t.service, err)
	}
	delete(answer, "timestamp")
	if inner := answer["data"]; len(inner) > 0 && inner[0] == '{' { // in its envelope
		answer = values{}
		if err := json.Unmarshal(inner, &answer); err != nil {
			return nil, fmt.Errorf("reading the answer of %s: %w", t.service, err)
		}
		delete(answer, "timestamp")
	}
	if len(t.rows) == 0 {
		return answer, nil
	}
	for name, list := range answer {
		rows, ok := keyed(name, list, t.rows)
		if !ok {
			continue
		}
		delete(answer, name)
		for key, row := range rows {
			answer[key] = row
		}
	}
	return answer, nil
}

// keyed gives each entry of a list a key: its name and the members that make it one of
// its kind. What is no list of objects that have them is left as it is.
func keyed(name string, list json.RawMessage, by []string) (values, bool) {
	if len(list) == 0 || list[0] != '[' {
		return nil, false
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(list, &rows); err != nil {
		return nil, false
	}
	out := values{}
	for _, row := range rows {
		var entry map[string]json.RawMessage
		if err := json.Unmarshal(row, &entry); err != nil {
			return nil, false
		}
		parts := []string{name}
		for _, member := range by {
			word, ok := entry[member]
			if !ok {
				return nil, false
			}
			parts = append(parts, strings.Trim(string(word), `"`))
		}
		out[strings.Join(parts, "/")] = row
	}
	return out, true
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

// liveAlert is what fires, with its rule.
type liveAlert struct {
	ID string `json:"rule_id"`
	reportAlert
}

func (f *service) alertValues(ctx context.Context) (values, error) {
	v := values{}
	for _, a := range f.firing(ctx) {
		text, err := json.Marshal(liveAlert{a.RuleID, reportAlert{Rule: a.RuleName, Severity: a.Severity, Description: a.Description, Since: a.StartTime, Value: a.Value}})
		if err != nil {
			return nil, fmt.Errorf("encoding an alert: %w", err)
		}
		v[a.Fingerprint] = text // a rule may fire for many at once
	}
	return v, nil
}

// actorLine is one actor of the live tree: what changes often is rounded, so that it
// changes less often, and what is 0 or empty is left out, since there may be very many.
type actorLine struct {
	Order      uint64     `json:"order"` // of starting: parents before children
	Kind       string     `json:"kind"`
	State      string     `json:"state"`
	Supervisor bool       `json:"supervisor,omitempty"`
	Rate       float64    `json:"rate,omitempty"`
	Depth      int        `json:"depth,omitempty"`
	Capacity   int        `json:"capacity,omitempty"`
	Wait       float64    `json:"wait_seconds,omitempty"`
	WaitP99    float64    `json:"wait_p99_seconds,omitempty"`
	Oldest     float64    `json:"oldest_seconds,omitempty"`
	Busy       float64    `json:"busy_ratio,omitempty"`
	Restarts   uint64     `json:"restarts,omitempty"`
	Failures   uint64     `json:"failures,omitempty"`
	Letters    uint64     `json:"dead_letters,omitempty"`
	Dropped    uint64     `json:"dropped,omitempty"`
	Budget     int        `json:"budget,omitempty"` // restarts that a supervisor may spend
	Left       *int       `json:"left,omitempty"`   // of them
	Started    time.Time  `json:"started_at"`
	Backoff    *time.Time `json:"backoff_until,omitempty"`
	Failed     *time.Time `json:"failed_at,omitempty"`
	Reason     string     `json:"reason,omitempty"` // of the last failure
	Note       string     `json:"note,omitempty"`
}

func actorValues(tree supervise.Snapshot) (values, error) {
	v := make(values, len(tree.Actors))
	for i := range tree.Actors {
		text, err := json.Marshal(lineOf(&tree.Actors[i]))
		if err != nil {
			return nil, fmt.Errorf("encoding an actor: %w", err)
		}
		v[tree.Actors[i].ID] = text
	}
	return v, nil
}

func lineOf(n *supervise.Node) actorLine {
	l := actorLine{
		Order: n.Order, Kind: n.Kind, State: n.State.String(), Supervisor: n.Supervisor, Rate: rounded(n.Rate),
		Depth: n.Mailbox.Depth, Capacity: n.Mailbox.Capacity, Dropped: n.Mailbox.Dropped, Oldest: rounded(n.Mailbox.OldestFor),
		Wait: rounded(n.Mailbox.WaitMean), WaitP99: rounded(n.Mailbox.WaitP99), Busy: math.Round(n.BusyRatio*100) / 100,
		Restarts: n.Restarts, Failures: n.Failures, Letters: n.DeadLetters, Started: n.StartedAt.Truncate(time.Millisecond), Backoff: n.BackoffUntil, Note: n.Note,
	}
	if n.Budget != nil {
		l.Budget, l.Left = n.Budget.Restarts, &n.Budget.Left
	}
	if f := n.LastFailure; f != nil {
		l.Failed, l.Reason = &f.Time, f.Reason
	}
	return l
}

// liveEvents is how many of the last events of actors a page gets; actors/events has
// more of them, and their stacks.
const liveEvents = 500

// eventValues are events by their number, written so that keys sort as they happened.
func eventValues(events []supervise.Event) (values, error) {
	v := values{}
	for _, e := range events {
		if e.Failure != nil {
			short := *e.Failure
			short.Stack = ""
			e.Failure = &short
		}
		text, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("encoding an event: %w", err)
		}
		v[fmt.Sprintf("%020d", e.Seq)] = text
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
