package client

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// The states of an [Operation].
const (
	OperationQueued      = "queued"
	OperationRunning     = "running"
	OperationSucceeded   = "succeeded"
	OperationFailed      = "failed"
	OperationInterrupted = "interrupted"
)

// Over reports whether an operation has ended. One that was interrupted may be taken up
// again by the next process.
func (o *Operation) Over() bool { return o.State != OperationQueued && o.State != OperationRunning }

// Begun is an operation that was asked for.
type Begun struct {
	Operation
	// Joined says that it was under way already.
	Joined bool
}

// Archive begins to copy rows that arrived before an age into the cold store, without
// waiting for the end; [Storage.Await] does. Without kinds it is all of them. An archive
// that another includes joins that one.
func (s *Storage) Archive(ctx context.Context, age time.Duration, kinds ...string) (Begun, error) {
	body := struct {
		Kinds string  `json:"data_type"`
		Hours float64 `json:"cutoff_hours"`
	}{words(kinds), age.Hours()}
	if len(kinds) == 0 {
		body.Kinds = "all"
	}
	return s.begin(ctx, "/cold/archive", body)
}

// Cleanup begins to remove archived rows that arrived before an age from the hot store.
func (s *Storage) Cleanup(ctx context.Context, age time.Duration) (Begun, error) {
	return s.begin(ctx, "/lifecycle/cleanup", map[string]float64{"retention_hours": age.Hours()})
}

func (s *Storage) begin(ctx context.Context, path string, body any) (b Begun, err error) {
	r, err := order(StorageService, http.MethodPost, storagePath+path, body)
	if err != nil {
		return b, err
	}
	r.header = http.Header{"Prefer": {"respond-async"}}
	r.harmless = true // a second one joins the first
	var answer struct {
		ID     string    `json:"operation_id"`
		Joined bool      `json:"joined"`
		Data   Operation `json:"data"`
	}
	err = s.c.call(ctx, r, &answer)
	b = Begun{answer.Data, answer.Joined}
	b.OperationID = answer.ID // of one that was over at once
	return b, err
}

// Operations lists the last operations of all nodes, newest first; 0 is 50 of them.
// missing are the nodes that did not say what they run.
func (s *Storage) Operations(ctx context.Context, limit int) (all []OperationOf, missing []string, err error) {
	var p parameters
	p.number("limit", limit)
	var answer struct {
		Data    []OperationOf `json:"data"`
		Missing []string      `json:"missing_nodes"`
	}
	err = s.c.call(ctx, get(StorageService, storagePath+"/operations", p.Values), &answer)
	return answer.Data, answer.Missing, err
}

// Operation tells how an operation is.
func (s *Storage) Operation(ctx context.Context, id string) (Operation, error) {
	var answer struct {
		Data Operation `json:"data"`
	}
	err := s.c.call(ctx, get(StorageService, join(storagePath+"/operations", id), nil), &answer)
	return answer.Data, err
}

// lookEvery is how often what is waited for is asked about.
const lookEvery = 500 * time.Millisecond

// Await waits for the end of an operation, and tells of each look at it; told may be nil.
// An operation that did not succeed is an error.
func (s *Storage) Await(ctx context.Context, id string, told func(Operation)) (Operation, error) {
	for {
		o, err := s.Operation(ctx, id)
		if err != nil {
			return o, err
		}
		if told != nil {
			told(o)
		}
		switch {
		case o.State == OperationSucceeded:
			return o, nil
		case o.Over() && o.State != OperationInterrupted:
			return o, fmt.Errorf("operation %s %s: %s", id, o.State, o.Problem)
		}
		if err := wait(ctx, lookEvery); err != nil {
			return o, err
		}
	}
}

// Journal tells whether the journal and the store belong together.
func (s *Storage) Journal(ctx context.Context) (JournalStanding, error) {
	var answer struct {
		Data JournalStanding `json:"data"`
	}
	err := s.c.call(ctx, get(StorageService, storagePath+"/journal", nil), &answer)
	return answer.Data, err
}

// The verdicts on a shard that [Storage.AdoptJournal] joins again.
const (
	JournalOther      = "other_journal" // it is another journal than the store was filled from
	JournalRolledBack = "rolled_back"   // it is an older copy
	JournalForked     = "forked"        // it is an older copy that has gone on by itself
)

// Adoptable reports whether [Storage.AdoptJournal] joins them again.
func (s *ShardStanding) Adoptable() bool {
	return s.Verdict == JournalOther || s.Verdict == JournalRolledBack || s.Verdict == JournalForked
}

// AdoptJournal joins a foreign or older journal to the store. What was acknowledged and is
// in neither is given up, and marked in the gap ledger. message says what came of it.
func (s *Storage) AdoptJournal(ctx context.Context) (shards []Adoption, message string, err error) {
	r, err := order(StorageService, http.MethodPost, storagePath+"/journal/adopt", map[string]bool{"accept_loss": true})
	if err != nil {
		return nil, "", err
	}
	var answer struct {
		Message string     `json:"message"`
		Shards  []Adoption `json:"shards"`
	}
	err = s.c.call(ctx, r, &answer)
	return answer.Shards, answer.Message, err
}

// Readers lists the stores that the journal is kept for, by shard and position.
func (s *Storage) Readers(ctx context.Context) ([]ReaderStanding, error) {
	var answer struct {
		Data []ReaderStanding `json:"data"`
	}
	err := s.c.call(ctx, get(StorageService, storagePath+"/journal/readers", nil), &answer)
	return answer.Data, err
}

// RetireReader has the journal keep nothing any more for a reader that nobody uses, and
// tells where it was, by shard. The codes reader_in_use and last_copy say why not.
func (s *Storage) RetireReader(ctx context.Context, reader string) ([]ReaderStanding, error) {
	r, err := order(StorageService, http.MethodDelete, join(storagePath+"/journal/readers", reader), nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data []ReaderStanding `json:"data"`
	}
	err = s.c.call(ctx, r, &answer)
	return answer.Data, err
}
