package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// What an archive and a cleanup do when the request does not say.
const (
	defaultCutoff    = 24 // hours
	defaultRetention = 72 // hours
	maxHours         = 876_000
)

// maxOperations is how many operations are known.
const maxOperations = 200

// archiveRequest is the body of cold/archive.
type archiveRequest struct {
	DataType string   `json:"data_type" doc:"trades, tickers, orderbooks, any other kind or table, several with commas, or all" example:"all"`
	Cutoff   *float64 `json:"cutoff_hours" minimum:"0" maximum:"876000" doc:"age at which rows are archived, counted from when they arrived; 24 when absent"`
}

// archiveAnswer is its answer.
type archiveAnswer struct {
	success
	Message   string           `json:"message" required:"true"`
	DataType  string           `json:"data_type" required:"true" doc:"as asked for"`
	Cutoff    time.Time        `json:"cutoff_time" required:"true" doc:"rows that arrived before it are archived now"`
	Archived  int64            `json:"archived_count" required:"true" doc:"rows that were copied into the cold store and verified there"`
	Timestamp time.Time        `json:"timestamp" required:"true"`
	Operation string           `json:"operation_id" required:"true"`
	Joined    bool             `json:"joined" required:"true" doc:"whether the operation was under way already; then the rest is said of that one"`
	ByTable   map[string]int64 `json:"by_table" required:"true" doc:"rows that were archived, by table"`
	Files     int              `json:"files" required:"true" doc:"of the cold store, that have these rows"`
}

// cleanupRequest is the body of lifecycle/cleanup.
type cleanupRequest struct {
	Retention *float64 `json:"retention_hours" minimum:"0" maximum:"876000" doc:"age up to which rows stay in the hot store, counted from when they arrived; 72 when absent"`
}

// cleanupAnswer is its answer.
type cleanupAnswer struct {
	success
	Message   string    `json:"message" required:"true"`
	Cutoff    time.Time `json:"cutoff_time" required:"true" doc:"rows that arrived before it are removed"`
	Cleaned   int64     `json:"cleaned_count" required:"true" doc:"rows that left the hot store; the cold one has them"`
	Timestamp time.Time `json:"timestamp" required:"true"`
	Operation string    `json:"operation_id" required:"true"`
	Joined    bool      `json:"joined" required:"true" doc:"whether the operation was under way already; then the rest is said of that one"`
	Kept      int64     `json:"kept_count" required:"true" doc:"rows that are as old and stay, because they are not archived yet"`
}

// accepted is the answer when the client does not wait.
type accepted struct {
	Status    string           `json:"status" enum:"accepted" required:"true"`
	Message   string           `json:"message" required:"true"`
	Operation string           `json:"operation_id" required:"true" doc:"of GET operations/{id}"`
	Joined    bool             `json:"joined" required:"true" doc:"whether it was under way already"`
	Timestamp time.Time        `json:"timestamp" required:"true"`
	Data      branch.Operation `json:"data" required:"true" doc:"as it is now"`
}

type operationAnswer struct {
	success
	Data      branch.Operation `json:"data" required:"true"`
	Timestamp time.Time        `json:"timestamp" required:"true"`
}

// operationOf is an operation, and which node runs it.
type operationOf struct {
	branch.Operation
	Node string `json:"node,omitempty" doc:"that runs it; absent where no other is known"`
}

type operationList struct {
	success
	Data []operationOf `json:"data" required:"true" doc:"newest first"`
	operationTail
}

type operationTail struct {
	Count     int       `json:"count" minimum:"0" required:"true" doc:"of this answer"`
	Timestamp time.Time `json:"timestamp" required:"true"`
	Missing   []string  `json:"missing_nodes,omitempty" doc:"nodes that did not say what they run"`
}

// preferAsync documents Prefer.
var preferAsync = chassis.Param{
	Name: "Prefer", In: "header",
	Doc: "`respond-async` answers 202 at once; `wait=N` with it waits so many seconds before. Without it the answer comes when the operation is over; it goes on when the client leaves.",
}

func (f *service) lifecycleRoutes() []chassis.Route {
	async := chassis.Response{Status: http.StatusAccepted, Doc: "it goes on; poll operations/{id}", Body: accepted{}, Headers: map[string]string{"Location": "of the operation"}}
	return []chassis.Route{
		{
			Method: http.MethodPost, Path: base + "cold/archive", ID: "archive", Tag: tagCold,
			Summary: "Copy hot records into the cold store",
			Description: "Age counts from when records arrived, never from the time that they are of: what was POSTed a moment ago of last January is young. " +
				"Records stay readable all the time, and are read once. One archive runs at a time; a call that one under way includes joins it.",
			Params: []chassis.Param{preferAsync}, Request: archiveRequest{}, Accepts: []string{"*/*"}, Optional: true,
			Responses: []chassis.Response{{Body: archiveAnswer{}}, async}, Timeout: chassis.NoTimeout, Handler: f.archive,
		},
		{
			Method: http.MethodPost, Path: base + "lifecycle/cleanup", ID: "cleanup", Tag: tagCold,
			Summary:     "Remove archived records from the hot store",
			Description: "Only what the cold store has; with `storage.lifecycle.archive: false` whatever is as old. Age counts from when records arrived.",
			Params:      []chassis.Param{preferAsync}, Request: cleanupRequest{}, Accepts: []string{"*/*"}, Optional: true,
			Responses: []chassis.Response{{Body: cleanupAnswer{}}, async}, Timeout: chassis.NoTimeout, Handler: f.cleanup,
		},
		{
			Method: http.MethodGet, Path: base + "operations/{id}", ID: "operation", Tag: tagCold,
			Summary: "How an operation is", Description: "The last 200 operations of each node are known, over any restart, and any node is asked for them. One that somebody asked for and the end of the process interrupted " +
				"is queued again by the next process, under the same id, at most three times: `resumed` counts them.",
			Responses: []chassis.Response{{Body: operationAnswer{}}}, Handler: f.operation,
		},
		{
			Method: http.MethodGet, Path: base + "operations", ID: "operations", Tag: tagCold,
			Summary: "The last operations", Description: "Of all nodes, each of which knows its last 200; an operation is run by one node.",
			Params: []chassis.Param{paramLimit(50, maxOperations), facade.ParamScope()}, Responses: []chassis.Response{{Body: operationList{}}}, Handler: f.operationList,
		},
	}
}

// kindsOf reads a data_type.
func kindsOf(word string) (kinds []market.Kind, ok bool) {
	for one := range strings.SplitSeq(word, ",") {
		one = strings.ToLower(strings.TrimSpace(one))
		switch one {
		case "all":
			return nil, true
		case "orderbooks", "orderbook":
			kinds = append(kinds, market.KindBookSnapshot, market.KindBookDelta)
			continue
		}
		k, ok := market.ParseKind(one)
		if !ok || k.Table() == "" {
			return nil, false
		}
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), true
}

// hoursOf is an age in hours, or the default.
func hoursOf(h *float64, byDefault float64) time.Duration {
	if h != nil {
		byDefault = *h
	}
	return time.Duration(min(byDefault, maxHours) * float64(time.Hour))
}

func (f *service) archive(w http.ResponseWriter, r *http.Request) error {
	body := archiveRequest{DataType: "all"}
	if err := chassis.Decode(r, &body, chassis.Empty, chassis.Unknown); err != nil {
		return err
	}
	if body.DataType == "" {
		body.DataType = "all"
	}
	kinds, ok := kindsOf(body.DataType)
	if !ok {
		return chassis.Unprocessable(chassis.Field("/data_type", "is %q; there are all, trades, tickers, orderbooks, %s", clip(body.DataType), strings.Join(storedKinds(), ", ")))
	}
	f.archives.Add(1)
	begun, joined, err := f.Branch.Archive(r.Context(), kinds, hoursOf(body.Cutoff, defaultCutoff))
	if err != nil {
		return err
	}
	o, over, err := f.await(w, r, begun, joined)
	if !over || err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, archiveAnswer{
		succeeded, fmt.Sprintf("archived %d rows in %d files", o.Rows, o.Files), body.DataType, o.Cutoff, o.Rows, f.Now(), o.ID, joined, o.ByTable, o.Files,
	})
}

func (f *service) cleanup(w http.ResponseWriter, r *http.Request) error {
	var body cleanupRequest
	if err := chassis.Decode(r, &body, chassis.Empty, chassis.Unknown); err != nil {
		return err
	}
	f.cleanups.Add(1)
	begun, joined, err := f.Branch.Cleanup(r.Context(), hoursOf(body.Retention, defaultRetention))
	if err != nil {
		return err
	}
	o, over, err := f.await(w, r, begun, joined)
	if !over || err != nil {
		return err
	}
	message := fmt.Sprintf("removed %d rows from the hot store", o.Rows)
	if o.Kept > 0 {
		message += fmt.Sprintf("; %d as old stay until they are archived", o.Kept)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, cleanupAnswer{succeeded, message, o.Cutoff, o.Rows, f.Now(), o.ID, joined, o.Kept})
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// await waits for an operation as long as the client wants to; over says that it has
// ended well. An operation that goes on, or has failed, is answered here.
func (f *service) await(w http.ResponseWriter, r *http.Request, o branch.Operation, joined bool) (branch.Operation, bool, error) {
	ctx := r.Context()
	async, wait := preference(r.Header.Values("Prefer"))
	if async {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	now, err := f.Branch.Await(ctx, o.ID)
	switch {
	case err != nil && async && r.Context().Err() == nil && errors.Is(err, context.DeadlineExceeded):
		w.Header().Set("Location", base+"operations/"+o.ID)
		w.Header().Set("Preference-Applied", "respond-async")
		return now, false, chassis.WriteJSON(w, r, http.StatusAccepted, accepted{
			"accepted", "the operation goes on; GET " + base + "operations/" + o.ID + " tells how it is", o.ID, joined, f.Now(), now,
		})
	case err != nil:
		return now, false, err
	case now.State == branch.OperationInterrupted:
		return now, false, chassis.Unavailable(5*time.Second, "%s", now.Problem).WithCode("interrupted")
	case errors.Is(now.Err, persistence.ErrAway):
		return now, false, chassis.Unavailable(10*time.Second, "the cold store is out of reach; %d rows were archived before, and a later call goes on from there", now.Rows).WithCode("cold_unavailable").WithCause(now.Err)
	case now.Err != nil:
		return now, false, now.Err
	}
	return now, true, nil
}

// preference reads Prefer (RFC 7240): whether not to wait, and how long at first.
func preference(values []string) (async bool, wait time.Duration) {
	for word := range strings.SplitSeq(strings.Join(values, ","), ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		if word == "respond-async" {
			async = true
		}
		if n, ok := strings.CutPrefix(word, "wait="); ok {
			if seconds, err := strconv.Atoi(strings.Trim(n, `" `)); err == nil && seconds > 0 && seconds <= 600 {
				wait = time.Duration(seconds) * time.Second
			}
		}
	}
	return async, wait
}

func (f *service) operation(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err != nil {
		return err
	}
	o, err := f.Branch.Operation(id)
	if errors.Is(err, branch.ErrNoOperation) {
		return f.elsewhere(w, r, id, chassis.NotFound("there is no operation %q; the last %d are known", clip(id), maxOperations).WithCode("unknown_operation"))
	}
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, operationAnswer{succeeded, o, f.Now()})
}

func (f *service) operationList(w http.ResponseWriter, r *http.Request) error {
	q := chassis.QueryOf(r)
	limit := q.Limit(50, maxOperations)
	wide := q.OneOf("scope", facade.ScopeCluster, facade.ScopeCluster, facade.ScopeNode) == facade.ScopeCluster && f.Others != nil && !facade.Passed(r)
	if err := q.Err(); err != nil {
		return err
	}
	var all []operationOf
	for _, o := range f.Branch.Operations() {
		all = append(all, operationOf{Operation: o})
	}
	var missing []string
	if wide {
		all, missing = f.withOthers(r, all, limit)
	}
	s, err := chassis.NewArray(w, r, succeeded, "data")
	if err != nil {
		return err
	}
	defer s.Release()
	for _, o := range all[:min(limit, len(all))] {
		if err := s.Write(o); err != nil {
			return err
		}
	}
	return s.Close(operationTail{s.Rows(), f.Now().UTC().Round(time.Microsecond), missing})
}
