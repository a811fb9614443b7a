package monitoring

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/supervise"
	"github.com/marketprism/marketprism/http/chassis"
)

// Bounds of the history.
const (
	maxEvents   = 10_000
	eventBuffer = 256
)

// eventList is the answer of actors/events.
type eventList struct {
	Events []supervise.Event `json:"events" required:"true" doc:"oldest first"`
	Count  int               `json:"count" required:"true" doc:"of this answer"`
	Last   uint64            `json:"last_seq" required:"true" doc:"of the last event that was looked at: the next after"`
}

// maxFound is the most that actors/search lists.
const maxFound = 200

// foundList is the answer of actors/search.
type foundList struct {
	Actors []supervise.Found `json:"actors" required:"true" doc:"the shortest ids first"`
	Count  int               `json:"count" required:"true" doc:"of all that are like that"`
}

// actorAnswer is the answer of actors/{id}.
type actorAnswer struct {
	supervise.Node
	Operable bool `json:"operations_allowed" required:"true" doc:"whether who asks may restart and stop actors here"`
}

func (f *service) actorRoutes() []chassis.Route {
	return []chassis.Route{
		f.nodesRoute(),
		f.watchRoute(),
		{
			Method: http.MethodGet, Path: base + "actors/tree", ID: "actorTree", Tag: tagActors,
			Summary: "The supervision tree as it is", Description: "Parents before children, siblings in start order.",
			Params: f.nodeParam(), Responses: []chassis.Response{{Body: supervise.Snapshot{}}}, Handler: f.tree,
		},
		{
			Method: http.MethodGet, Path: base + "actors/search", ID: "searchActors", Tag: tagActors,
			Summary: "Actors by words of their ids and kinds", Description: "A short answer, however many actors there are.",
			Params: []chassis.Param{
				{Name: "q", Doc: "Words that an id or its kind has all of, whatever their case.", Example: "okx btc"},
				{Name: "limit", Type: 0, Default: 40, Min: 1, Max: maxFound},
			},
			Responses: []chassis.Response{{Body: foundList{}}}, Handler: f.search,
		},
		{
			Method: http.MethodGet, Path: base + "actors/{id}", ID: "actor", Tag: tagActors,
			Summary:   "One actor, with its messages by type",
			Params:    append([]chassis.Param{{Name: "id", In: "path", Doc: "As in the tree, its slashes escaped.", Example: "root/collector"}}, f.nodeParam()...),
			Responses: []chassis.Response{{Body: actorAnswer{}}}, Handler: f.actor,
		},
		{
			Method: http.MethodGet, Path: base + "actors/events", ID: "actorEvents", Tag: tagActors,
			Summary: "What happened to actors: history, or live as server-sent events",
			Description: "With `Accept: text/event-stream`, or `follow=true`, events are sent as they come, beginning behind `after` or `Last-Event-ID`, " +
				"or now. Otherwise the history is answered.",
			Params: []chassis.Param{
				{Name: "after", Type: uint64(0), Doc: "Only events with a higher sequence number."},
				{Name: "actor", Doc: "Only of this actor and of those below it.", Example: "root/collector"},
				{Name: "event", Doc: "Only of these kinds, comma-separated.", Example: "failed,backoff,restarted"},
				{Name: "limit", Type: 0, Default: 1000, Min: 1, Max: maxEvents},
				{Name: "follow", Type: false, Default: false},
			},
			Responses: []chassis.Response{{Body: eventList{}}, {Media: chassis.MediaEvents, Body: ""}},
			Live:      true, Handler: f.events,
		},
	}
}

func (f *service) tree(w http.ResponseWriter, r *http.Request) error {
	node, _, err := f.asked(r, "")
	if err != nil {
		return err
	}
	if node != "" {
		text, err := f.Nodes.Tree(r.Context(), node)
		if err != nil {
			return err
		}
		return chassis.WriteJSON(w, r, http.StatusOK, json.RawMessage(text))
	}
	return chassis.WriteJSON(w, r, http.StatusOK, f.Tree.Snapshot())
}

func (f *service) search(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	words, limit := strings.Fields(q.Text("q", "")), q.Limit(40, maxFound)
	if err := q.Err(); err != nil {
		return err
	}
	found, of := f.Tree.Find(words, limit)
	return chassis.WriteJSON(w, r, http.StatusOK, foundList{found, of})
}

func (f *service) actor(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	other, _, err := f.asked(r, id)
	if err != nil {
		return err
	}
	if other != "" {
		text, err := f.Nodes.Actor(r.Context(), other, id)
		if err != nil {
			return err
		}
		return chassis.WriteJSON(w, r, http.StatusOK, json.RawMessage(text))
	}
	node, ok := f.Tree.Node(id)
	if !ok {
		return chassis.NotFound("no actor %q; GET %sactors/tree lists those there are", id, base)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, actorAnswer{node, f.permitted(r.Context()) == nil})
}

func (f *service) events(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	limit := q.Limit(1000, maxEvents)
	after, given := sequence(q, r)
	wanted := chosenEvents(q)
	follow := q.Bool("follow", strings.Contains(r.Header.Get("Accept"), chassis.MediaEvents))
	if err := q.Err(); err != nil {
		return err
	}
	if follow {
		return f.follow(w, r, after, given, wanted)
	}
	list := eventList{Events: []supervise.Event{}, Last: after}
	for _, e := range f.Tree.Events(after, maxEvents) {
		if len(list.Events) == limit {
			break
		}
		if list.Last = e.Seq; wanted(&e) {
			list.Events = append(list.Events, e)
		}
	}
	list.Count = len(list.Events)
	return chassis.WriteJSON(w, r, http.StatusOK, list)
}

// eventKinds are all kinds of events.
var eventKinds = []supervise.EventKind{
	supervise.EventStarted, supervise.EventReady, supervise.EventFailed, supervise.EventBackoff, supervise.EventRestarted,
	supervise.EventStopping, supervise.EventStopped, supervise.EventEscalated, supervise.EventAbandoned,
}

// chosenEvents reads ?actor= and ?event=.
func chosenEvents(q *chassis.Query) func(*supervise.Event) bool {
	actor := q.Text("actor", "")
	kinds := map[supervise.EventKind]bool{}
	for _, word := range q.List("event") {
		kind := supervise.EventKind(word)
		if !slices.Contains(eventKinds, kind) {
			q.Refuse("event", "%.40q is none of %v", word, eventKinds)
		}
		kinds[kind] = true
	}
	return func(e *supervise.Event) bool {
		return (actor == "" || e.ID == actor || strings.HasPrefix(e.ID, actor+"/")) && (len(kinds) == 0 || kinds[e.Kind])
	}
}

// sequence reads ?after=, or where a follower left off.
func sequence(q *chassis.Query, r *http.Request) (after uint64, given bool) {
	text := q.Text("after", r.Header.Get("Last-Event-ID"))
	if text == "" {
		return 0, false
	}
	after, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		q.Refuse("after", "must be a sequence number")
	}
	return after, true
}

// follow sends events until the client leaves or the server drains.
func (f *service) follow(w http.ResponseWriter, r *http.Request, after uint64, given bool, wanted func(*supervise.Event) bool) error {
	live, cancel := f.Tree.Subscribe(eventBuffer)
	defer cancel()
	s, err := chassis.NewEvents(w, r)
	if err != nil {
		return err
	}
	last := after
	if given {
		if last, err = f.catchUp(s, after, wanted); err != nil {
			return err
		}
	}
	beat := time.NewTicker(f.Beat)
	defer beat.Stop()
	for {
		select {
		case e := <-live:
			switch {
			case last == 0 && !given: // the first: history is not asked for
			case e.Seq <= last:
				continue
			case e.Seq > last+1: // too slow, or it came between: the history has it
				if last, err = f.catchUp(s, last, wanted); err != nil {
					return err
				}
				continue
			}
			if last = e.Seq; !wanted(&e) {
				continue
			}
			if err := send(s, e); err != nil {
				return err
			}
		case <-beat.C:
			if err := s.Beat(); err != nil {
				return err
			}
		case <-r.Context().Done():
			return nil
		}
	}
}

// catchUp sends the history after a sequence number, and returns the last one
// that was sent.
func (f *service) catchUp(s *chassis.Events, after uint64, wanted func(*supervise.Event) bool) (uint64, error) {
	for {
		missed := f.Tree.Events(after, eventBuffer)
		for _, e := range missed {
			if after = e.Seq; !wanted(&e) {
				continue
			}
			if err := send(s, e); err != nil {
				return after, err
			}
		}
		if len(missed) < eventBuffer {
			return after, nil
		}
	}
}

func send(s *chassis.Events, e supervise.Event) error {
	return s.Send(strconv.FormatUint(e.Seq, 10), string(e.Kind), e)
}
