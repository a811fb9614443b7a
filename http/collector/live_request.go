package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/internal/market"
)

// request is a message of a client.
type request struct {
	op           string
	id           json.RawMessage // repeated in the answer; nil is none
	subscription string
	live.Filter
}

// maxEcho is the longest id, in bytes.
const maxEcho = 128

// parseRequest reads a message. What can be told of its id is in the request even
// when it is refused; the error is a [*live.Refusal].
func parseRequest(text []byte) (request, error) {
	var r request
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return r, &live.Refusal{Code: "malformed", Message: "the message is not a JSON object"}
	}
	if id, ok := members["id"]; ok {
		var echo any
		if err := json.Unmarshal(id, &echo); err != nil || len(id) > maxEcho || !plainID(echo) {
			return r, &live.Refusal{Code: "invalid_field", Field: "id", Message: fmt.Sprintf("is a string or a number of at most %d bytes", maxEcho)}
		}
		r.id = id
	}
	fields := map[string]any{
		"op": &r.op, "subscription": &r.subscription,
		"kinds": &r.Kinds, "exchanges": &r.Exchanges, "markets": &r.Markets, "symbols": &r.Symbols,
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name == "id" {
			continue
		}
		into, known := fields[name]
		if !known {
			return r, &live.Refusal{Code: "unknown_field", Field: clip(name), Message: "no such member; there are id, " + strings.Join(slices.Sorted(maps.Keys(fields)), ", ")}
		}
		if err := json.Unmarshal(members[name], into); err != nil {
			return r, &live.Refusal{Code: "invalid_field", Field: name, Message: shapes[name]}
		}
	}
	return r, nil
}

// shapes say what a member has to be.
var shapes = map[string]string{
	"op": "is a string", "subscription": "is a string",
	"kinds": "is an array of strings", "exchanges": "is an array of strings", "markets": "is an array of strings", "symbols": "is an array of strings",
}

func plainID(v any) bool {
	switch v.(type) {
	case string, float64:
		return true
	}
	return false
}

func clip(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), 64)], "")
}

// answer carries out one message. The error says that the client is ended.
func (s *socketStream) answer(ctx context.Context, text []byte) error {
	if err := s.client.Await(ctx); err != nil {
		return err
	}
	r, err := parseRequest(text)
	if err != nil {
		return s.refuse(ctx, r.id, err)
	}
	switch r.op {
	case "subscribe":
		err = s.follow.subscribe(live.Asked{Filter: r.Filter, Echo: r.id})
	case "unsubscribe":
		err = s.follow.unsubscribe(r.subscription, r.id)
	case "ping":
		dst := appendID([]byte(`{"type":"pong",`), r.id)
		return s.client.Reply(ctx, fmt.Appendf(dst, `"time_ns":%d}`, time.Now().UnixNano()))
	case "":
		err = &live.Refusal{Code: "required", Field: "op", Message: "is subscribe, unsubscribe or ping"}
	default:
		err = &live.Refusal{Code: "unknown_op", Field: "op", Message: "is subscribe, unsubscribe or ping"}
	}
	if err != nil {
		return s.refuse(ctx, r.id, err)
	}
	return nil
}

// refuse tells the client what was wrong with a message; the connection goes on.
func (s *socketStream) refuse(ctx context.Context, id json.RawMessage, err error) error {
	var r *live.Refusal
	if !errors.As(err, &r) {
		return err
	}
	dst := appendID([]byte(`{"type":"error",`), id)
	dst = market.AppendJSONString(append(dst, `"code":`...), r.Code)
	dst = market.AppendJSONString(append(dst, `,"field":`...), r.Field)
	dst = market.AppendJSONString(append(dst, `,"message":`...), r.Message)
	return s.client.Reply(ctx, append(dst, '}'))
}

func appendID(dst []byte, id json.RawMessage) []byte {
	if len(id) == 0 {
		return dst
	}
	return append(append(append(dst, `"id":`...), id...), ',')
}

// allowance lets so many requests a second through, and as many at once.
type allowance struct {
	rate, left float64
	at         time.Time
}

func newAllowance(rate int) *allowance { return &allowance{rate: float64(rate), left: float64(rate)} }

func (b *allowance) take(now time.Time) bool {
	if !b.at.IsZero() {
		b.left = min(b.rate, b.left+b.rate*now.Sub(b.at).Seconds())
	}
	b.at = now
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
