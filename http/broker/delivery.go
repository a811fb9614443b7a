package broker

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/marketprism/marketprism/actors/broker/messages"
)

// delivered is a message as clients get it.
type delivered struct {
	Subject  string              `json:"subject" required:"true"`
	Stream   string              `json:"stream,omitempty" doc:"that keeps it; absent when none does"`
	Seq      uint64              `json:"seq,omitempty" doc:"in the stream; absent when none keeps it"`
	Time     time.Time           `json:"time" required:"true" doc:"when the stream took it, or when it came"`
	Position string              `json:"position,omitempty" doc:"what to hand back as Last-Event-ID, or after, to go on behind it; absent when no stream keeps it"`
	Headers  map[string][]string `json:"headers,omitempty" doc:"absent without any"`
	payload
}

// payload is the data of a message in JSON.
type payload struct {
	Encoding string `json:"encoding" enum:"json,text,base64" required:"true" doc:"how data stands for the payload: JSON as it is, text, or bytes"`
	Data     any    `json:"data" required:"true" doc:"as encoding says"`
}

func payloadOf(data []byte) payload {
	switch {
	case len(data) > 0 && json.Valid(data):
		return payload{"json", json.RawMessage(data)}
	case utf8.Valid(data):
		return payload{"text", string(data)}
	}
	return payload{"base64", data}
}

func shownDelivery(d messages.Delivery) delivered {
	return delivered{
		Subject: d.Subject, Stream: d.Position.Stream, Seq: d.Position.Seq, Time: d.Time.UTC(), Position: d.Position.String(),
		Headers: d.Header, payload: payloadOf(d.Data),
	}
}
