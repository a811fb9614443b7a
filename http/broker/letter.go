package broker

import (
	"net/http"

	"github.com/marketprism/marketprism/actors/broker/deadletters"
	"github.com/marketprism/marketprism/http/chassis"
)

const tagLetters = "dead letters"

type letterList struct {
	Letters    []deadletters.Letter `json:"dead_letters" required:"true" doc:"the oldest first"`
	Count      int                  `json:"count" required:"true" doc:"of this page"`
	Total      uint64               `json:"total" required:"true" doc:"of all, whatever is asked for"`
	NextCursor string               `json:"next_cursor,omitempty" doc:"for the page that follows; absent on the last"`
}

// letterDetail is a letter with its message.
type letterDetail struct {
	deadletters.Letter
	Headers map[string][]string `json:"headers" required:"true" doc:"of the message"`
	payload
}

type replayed struct {
	Success   bool   `json:"success" required:"true"`
	Stream    string `json:"stream" required:"true" doc:"that has the message now"`
	Seq       uint64 `json:"seq" required:"true" doc:"in that stream"`
	Duplicate bool   `json:"duplicate,omitempty" doc:"the stream had the message already; seq is that one's"`
}

type replayedAll struct {
	Success  bool     `json:"success" required:"true" doc:"all of them"`
	Replayed int      `json:"replayed" required:"true" doc:"how many were"`
	Failed   []failed `json:"failed" required:"true" doc:"those that were not"`
}

type failed struct {
	ID    uint64 `json:"id" required:"true" doc:"of the letter"`
	Error string `json:"error" required:"true" doc:"why it was not published again"`
}

func letterFilter() []chassis.Param {
	return []chassis.Param{
		{Name: "stream", Doc: "Only of messages of this stream."},
		{Name: "consumer", Doc: "Only of messages that this consumer gave up."},
	}
}

func (f *service) letterRoutes(prefix string) []chassis.Route {
	page := append(letterFilter(),
		chassis.Param{Name: "limit", Type: 0, Default: 100, Min: 1, Max: 500}, chassis.Param{Name: "cursor", Doc: "next_cursor of the page before"})
	return []chassis.Route{
		{Method: http.MethodGet, Path: prefix + "dlq", Tag: tagLetters, Summary: "List dead letters, the oldest first", Params: page,
			Responses: []chassis.Response{{Body: letterList{}}}, Handler: f.letters},
		{Method: http.MethodGet, Path: prefix + "dlq/{id}", Tag: tagLetters, Summary: "One dead letter with its message",
			Responses: []chassis.Response{{Body: letterDetail{}}}, Handler: f.letter},
		{Method: http.MethodPost, Path: prefix + "dlq/{id}/replay", Tag: tagLetters, Summary: "Publish the message of a dead letter again",
			Description: "Where it was, with why it died in its headers `Dead-Letter-…`. The letter goes.",
			Responses:   []chassis.Response{{Body: replayed{}}}, Handler: f.replay},
		{Method: http.MethodPost, Path: prefix + "dlq/replay", Tag: tagLetters, Summary: "Publish the messages of dead letters again",
			Params:    append(letterFilter(), chassis.Param{Name: "limit", Type: 0, Default: 100, Min: 1, Max: 500}),
			Responses: []chassis.Response{{Body: replayedAll{}}}, Handler: f.replayAll},
		{Method: http.MethodDelete, Path: prefix + "dlq/{id}", Tag: tagLetters, Summary: "Remove a dead letter",
			Responses: []chassis.Response{{Body: done{}}}, Handler: f.removeLetter},
		{Method: http.MethodDelete, Path: prefix + "dlq", Tag: tagLetters, Summary: "Remove dead letters", Params: letterFilter(),
			Responses: []chassis.Response{{Body: purged{}}}, Handler: f.purgeLetters},
	}
}

func filterOf(q *chassis.Query) deadletters.Filter {
	return deadletters.Filter{Stream: q.Text("stream", ""), Consumer: q.Text("consumer", "")}
}

func (f *service) letters(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	filter, limit := filterOf(q), q.Limit(100, 500)
	scope := "dlq " + filter.Stream + " " + filter.Consumer
	var after uint64
	q.Cursor(scope, &after)
	if err := q.Err(); err != nil {
		return err
	}
	all, more, err := f.Letters.List(r.Context(), filter, after, limit)
	if err != nil {
		return err
	}
	out := letterList{Letters: all, Count: len(all)}
	if out.Total, err = f.Letters.Count(r.Context()); err != nil {
		return err
	}
	if more {
		if out.NextCursor, err = chassis.EncodeCursor(scope, all[len(all)-1].ID); err != nil {
			return err
		}
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) letter(w http.ResponseWriter, r *http.Request) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	l, err := f.Letters.Get(r.Context(), id)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, letterDetail{l, l.Header, payloadOf(l.Data)})
}

func (f *service) replay(w http.ResponseWriter, r *http.Request) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	receipt, err := f.Letters.Replay(r.Context(), id)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, replayed{true, receipt.Stream, receipt.Seq, receipt.Duplicate})
}

func (f *service) replayAll(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	filter, limit := filterOf(q), q.Limit(100, 500)
	if err := q.Err(); err != nil {
		return err
	}
	all, _, err := f.Letters.List(r.Context(), filter, 0, limit)
	if err != nil {
		return err
	}
	out := replayedAll{Success: true, Failed: []failed{}}
	for _, l := range all {
		if _, err := f.Letters.Replay(r.Context(), l.ID); err != nil {
			out.Success = false
			out.Failed = append(out.Failed, failed{l.ID, shown(err)})
			continue
		}
		out.Replayed++
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) removeLetter(w http.ResponseWriter, r *http.Request) error {
	id, err := number(r, "id")
	if err != nil {
		return err
	}
	if err := f.Letters.Remove(r.Context(), id); err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, done{true})
}

func (f *service) purgeLetters(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	filter := filterOf(q)
	if err := q.Err(); err != nil {
		return err
	}
	n, err := f.Letters.Purge(r.Context(), filter)
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, purged{true, n})
}
