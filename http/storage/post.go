package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
	"github.com/marketprism/marketprism/internal/market"
)

// Bounds of a write.
const (
	// maxBody is the largest body of a POST, in bytes.
	maxBody = 32 << 20
	// maxLine is the longest line of an NDJSON body, in bytes.
	maxLine = 1 << 20
	// linesRows and linesBytes bound what of an NDJSON body goes into one journal
	// message.
	linesRows  = 4096
	linesBytes = 1 << 20
)

// Headers of a write's answer.
const (
	// headerStored is how many lines of an NDJSON body were stored before the one
	// that was refused.
	headerStored = "X-Stored-Records"
	// headerPosition is where the records are in the journal: shard:sequence.
	headerPosition = "X-Journal-Position"
)

// post is one POST under way.
type post struct {
	f       *service
	records *chassis.Records
	now     int64
	known   map[instrumentKey]*market.Instrument
}

type instrumentKey struct{ exchange, market, symbol string }

// written is the answer of a write.
type written struct {
	Status    string    `json:"status" enum:"success" required:"true"`
	Message   string    `json:"message" required:"true" example:"stored 1 trade"`
	Timestamp time.Time `json:"timestamp" required:"true"`
	Stored    int       `json:"stored" minimum:"0" required:"true" doc:"records that the journal has, synced"`
	Visible   bool      `json:"visible" required:"true" doc:"whether reads see them already; false after two seconds, they will"`
}

// adder checks one record of a body and adds it to the batch, or adds nothing.
type adder func(p *post, r chassis.Record, into *market.Batch) error

// postRoute is the route that takes records of a kind.
func (f *service) postRoute(path, noun string, body any, add adder) chassis.Route {
	return chassis.Route{
		Method: http.MethodPost, Path: base + path, ID: "post" + strings.ToUpper(noun[:1]) + noun[1:], Tag: tagHot,
		Summary: "Store " + noun,
		Description: "One object, an array, or NDJSON (`application/x-ndjson`). An array is all or nothing: one bad row refuses it, " +
			"and the pointer of the error begins with the row's index. NDJSON is not atomic: the lines before the first bad one are stored, and " +
			headerStored + " says how many. Members that are not listed are ignored.",
		Request: body, Accepts: chassis.MediaRecords(), BodyLimit: maxBody, Timeout: time.Minute,
		Responses: []chassis.Response{{
			Doc: "the journal has the records, synced", Body: written{},
			Headers: map[string]string{headerPosition: "where they are in the journal, as shard:sequence"},
		}},
		Handler: func(w http.ResponseWriter, r *http.Request) error { return f.post(w, r, noun, add) },
	}
}

func (f *service) post(w http.ResponseWriter, r *http.Request, noun string, add adder) error {
	f.writes.Add(1)
	records, err := chassis.ReadRecords(r, maxLine)
	if err != nil {
		return err
	}
	p := &post{f: f, records: records, now: f.Now().UnixNano(), known: map[instrumentKey]*market.Instrument{}}
	store := p.whole
	if records.Form() == chassis.Lines {
		store = p.lines
	}
	got, err := store(r.Context(), add)
	if err != nil {
		if records.Form() == chassis.Lines {
			w.Header().Set(headerStored, strconv.Itoa(got.Stored))
			err = &partial{cause: facade.Refusal(refusal(err)), stored: got.Stored}
		}
		return err
	}
	if got.Stored > 0 {
		w.Header().Set(headerPosition, positionText(got.Shard, got.Seq))
	}
	return chassis.WriteJSON(w, r, http.StatusOK, written{
		Status: "success", Message: message(got.Stored, noun), Timestamp: f.Now(), Stored: got.Stored, Visible: got.Visible,
	})
}

func message(n int, noun string) string {
	if n == 1 {
		noun = strings.TrimSuffix(noun, "s")
	}
	return fmt.Sprintf("stored %d %s", n, noun)
}

// whole stores a body of one object or an array, in one journal message.
func (p *post) whole(ctx context.Context, add adder) (branch.Written, error) {
	batch := new(market.Batch)
	for {
		r, err := p.records.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = add(p, r, batch)
		}
		if err != nil {
			return branch.Written{}, err
		}
	}
	if batch.Len() == 0 {
		return branch.Written{Visible: true}, nil
	}
	return p.f.Branch.Write(ctx, batch)
}

// lines stores NDJSON, a message at a time. What it returns counts what the
// journal had when the error came; visible is said of the last message.
func (p *post) lines(ctx context.Context, add adder) (branch.Written, error) {
	all := branch.Written{Visible: true}
	for {
		batch := new(market.Batch)
		bad := p.fill(batch, add)
		if batch.Len() > 0 {
			got, err := p.f.Branch.Write(ctx, batch)
			if err != nil {
				return all, err
			}
			got.Stored += all.Stored
			all = got
		}
		switch {
		case errors.Is(bad, io.EOF):
			return all, nil
		case bad != nil:
			return all, bad
		}
	}
}

// fill adds lines to a batch until it is large enough, or returns why there are
// no more: io.EOF or the first bad line's error.
func (p *post) fill(batch *market.Batch, add adder) error {
	for size := 0; size < linesBytes && batch.Len() < linesRows; {
		r, err := p.records.Next()
		if err != nil {
			return err
		}
		if err := add(p, r, batch); err != nil {
			return err
		}
		size += len(r.Raw)
	}
	return nil
}

// decode reads a record into the posted form of its kind.
func (p *post) decode(r chassis.Record, into any) error {
	return p.records.DecodeRecord(r, into, chassis.Unknown)
}

// refuse answers for fields of a record.
func (p *post) refuse(r chassis.Record, fields ...chassis.FieldError) error {
	err := chassis.Unprocessable(fields...)
	if p.records.Form() == chassis.Single {
		return err
	}
	return chassis.Under("/"+strconv.Itoa(r.Index), err)
}

// instrument finds what a record is about; the fields are what is wrong with it.
func (p *post) instrument(h *head) (*market.Instrument, []chassis.FieldError) {
	key := instrumentKey{h.Exchange, h.Market, h.Symbol}
	if i := p.known[key]; i != nil {
		return i, nil
	}
	var fields []chassis.FieldError
	for _, name := range []struct{ pointer, text string }{{"/exchange", h.Exchange}, {"/symbol", h.Symbol}} {
		switch {
		case facade.Fold(name.text) == "" || strings.ContainsFunc(name.text, unicode.IsControl):
			fields = append(fields, chassis.Field(name.pointer, "must hold letters or digits, and no control characters"))
		case chassis.Climbs(name.text): // no path could ask for it
			fields = append(fields, chassis.Field(name.pointer, "must not have . or .. between slashes"))
		}
	}
	if fields != nil {
		return nil, fields
	}
	m, _ := market.ParseMarket(h.Market) // spot when absent; anything else was refused
	i, _, err := facade.Asked{Exchange: h.Exchange, Symbol: h.Symbol}.In(p.f.Catalogue, m)
	if err != nil {
		return nil, []chassis.FieldError{chassis.Field("/symbol", "%s", err.Error())}
	}
	p.known[key] = i
	return i, nil
}

// begin fills in what all records have in common.
func (p *post) begin(h *head, i *market.Instrument) market.Header {
	to := market.Header{Instrument: i, ExchangeTime: h.Timestamp.UnixNano(), ReceiveTime: p.now, Origin: market.External}
	if to.ExchangeTime > to.ReceiveTime {
		to.Flags |= market.FlagFuture
	}
	return to
}

// partial is an error over an NDJSON body of which something is stored.
type partial struct {
	cause  error
	stored int
}

func (e *partial) Error() string {
	return fmt.Sprintf("%s; %d lines before it were stored", e.cause.Error(), e.stored)
}

func (e *partial) Unwrap() error { return e.cause }

// ProblemDetail is what the client reads.
func (e *partial) ProblemDetail() string {
	detail := "the request failed"
	var own interface{ ProblemDetail() string }
	if errors.As(e.cause, &own) {
		detail = own.ProblemDetail()
	}
	return fmt.Sprintf("%s; %s", detail, message(e.stored, "lines before it"))
}
