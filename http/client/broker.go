package client

import (
	"bytes"
	"context"
	"encoding/json"

	"iter"
	"net/http"
	"strconv"
	"time"
)

// Broker is the message-broker-service: streams of messages, consumers, queues of tasks,
// dead letters.
type Broker struct{ c *Client }

const brokerPath = "/api/v1/broker"

// keyHeader names the header whose value makes a message or a task the same.
const keyHeader = "Idempotency-Key"

// Publish publishes a message. With an ID it may be sent again: the stream drops what it
// has within its window.
func (b *Broker) Publish(ctx context.Context, m Message) (done Published, err error) {
	r, err := order(BrokerService, http.MethodPost, brokerPath+"/publish", m)
	if err != nil {
		return done, err
	}
	r.harmless = m.ID != ""
	return done, b.c.call(ctx, r, &done)
}

// PublishBytes publishes a body as it is, of a media type; key may be "".
func (b *Broker) PublishBytes(ctx context.Context, subject, media, key string, body []byte) (done Published, err error) {
	r := &request{service: BrokerService, method: http.MethodPost, path: join(brokerPath+"/publish", subject), body: body, media: media}
	if body == nil {
		r.body = []byte{}
	}
	if key != "" {
		r.header, r.harmless = http.Header{keyHeader: {key}}, true
	}
	return done, b.c.call(ctx, r, &done)
}

// PublishAll publishes messages: all are checked before the first is published, and each
// has its own result.
func (b *Broker) PublishAll(ctx context.Context, messages ...Message) ([]Published, error) {
	r, err := order(BrokerService, http.MethodPost, brokerPath+"/batch", map[string][]Message{"messages": messages})
	if err != nil {
		return nil, err
	}
	r.harmless = true
	for i := range messages {
		r.harmless = r.harmless && messages[i].ID != ""
	}
	var answer struct {
		Results []Published `json:"results"`
	}
	err = b.c.call(ctx, r, &answer)
	return answer.Results, err
}

// Request sends a body to whoever answers on a subject, and returns the first reply as it
// is. Nobody listening has the code no_responders, no reply in time no_reply.
func (b *Broker) Request(ctx context.Context, subject string, body []byte, timeout time.Duration) ([]byte, error) {
	var p parameters
	if timeout > 0 {
		p.set("timeout_ms", strconv.FormatInt(max(1, timeout.Milliseconds()), 10))
	}
	r := &request{service: BrokerService, method: http.MethodPost, path: join(brokerPath+"/request", subject), query: p.Values, body: bytes.Clone(body)}
	if r.body == nil {
		r.body = []byte{}
	}
	r.media = "application/octet-stream"
	res, err := b.c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	return readAll(res)
}

// Streams lists the streams.
func (b *Broker) Streams(ctx context.Context) ([]Stream, error) {
	var answer struct {
		Streams []Stream `json:"streams"`
	}
	err := b.c.call(ctx, get(BrokerService, brokerPath+"/streams", nil), &answer)
	return answer.Streams, err
}

// Stream is one stream.
func (b *Broker) Stream(ctx context.Context, name string) (s Stream, err error) {
	return s, b.c.call(ctx, get(BrokerService, join(brokerPath+"/streams", name), nil), &s)
}

// CreateStream makes a stream. The same again changes nothing; another one under the name
// has status 409.
func (b *Broker) CreateStream(ctx context.Context, s NewStream) (Stream, error) {
	return b.stream(ctx, http.MethodPost, brokerPath+"/streams", s)
}

// ChangeStream changes a stream.
func (b *Broker) ChangeStream(ctx context.Context, s NewStream) (Stream, error) {
	return b.stream(ctx, http.MethodPut, join(brokerPath+"/streams", s.Name), s)
}

func (b *Broker) stream(ctx context.Context, method, path string, s NewStream) (Stream, error) {
	var answer struct {
		Stream Stream `json:"stream"`
	}
	r, err := order(BrokerService, method, path, s)
	if err != nil {
		return answer.Stream, err
	}
	r.harmless = true
	err = b.c.call(ctx, r, &answer)
	return answer.Stream, err
}

// DeleteStream removes a stream with its messages.
func (b *Broker) DeleteStream(ctx context.Context, name string) error {
	return b.remove(ctx, join(brokerPath+"/streams", name))
}

func (b *Broker) remove(ctx context.Context, path string) error {
	r, err := order(BrokerService, http.MethodDelete, path, nil)
	if err != nil {
		return err
	}
	return b.c.call(ctx, r, nil)
}

// PurgeStream removes messages of a stream; "" is every subject.
func (b *Broker) PurgeStream(ctx context.Context, name, subject string) (purged int, err error) {
	var p parameters
	p.set("subject", subject)
	return b.purge(ctx, http.MethodPost, join(brokerPath+"/streams", name, "purge"), p)
}

func (b *Broker) purge(ctx context.Context, method, path string, p parameters) (int, error) {
	var answer struct {
		Purged int `json:"purged"`
	}
	err := b.c.call(ctx, &request{service: BrokerService, method: method, path: path, query: p.Values}, &answer)
	return answer.Purged, err
}

// Message is one message of a stream.
func (b *Broker) Message(ctx context.Context, stream string, seq int64) (m Delivered, err error) {
	return m, b.c.call(ctx, get(BrokerService, join(brokerPath+"/streams", stream, "messages", strconv.FormatInt(seq, 10)), nil), &m)
}

// Nodes tells on which nodes the broker runs.
func (b *Broker) Nodes(ctx context.Context) (n BrokerNodes, err error) {
	return n, b.c.call(ctx, get(BrokerService, brokerPath+"/nodes", nil), &n)
}

// RemoveNode takes a node that will not come back out of the broker.
func (b *Broker) RemoveNode(ctx context.Context, node string) error {
	return b.remove(ctx, join(brokerPath+"/nodes", node))
}

// LetterFilter says which dead letters are meant; "" is all.
type LetterFilter struct{ Stream, Consumer string }

func (f *LetterFilter) parameters() (p parameters) {
	p.set("stream", f.Stream)
	p.set("consumer", f.Consumer)
	return p
}

// DeadLetters goes through the dead letters, the oldest first.
func (b *Broker) DeadLetters(ctx context.Context, f LetterFilter) iter.Seq2[DeadLetter, error] {
	return list[DeadLetter](ctx, b.c, BrokerService, brokerPath+"/dlq", f.parameters(), "dead_letters")
}

// DeadLetter is one dead letter with its message.
func (b *Broker) DeadLetter(ctx context.Context, id int64) (d DeadLetterDetail, err error) {
	return d, b.c.call(ctx, get(BrokerService, join(brokerPath+"/dlq", strconv.FormatInt(id, 10)), nil), &d)
}

// Replay publishes the messages of dead letters again, at most limit of them; 0 is 100.
func (b *Broker) Replay(ctx context.Context, f LetterFilter, limit int) (done Replayed, err error) {
	p := f.parameters()
	p.number("limit", limit)
	return done, b.c.call(ctx, &request{service: BrokerService, method: http.MethodPost, path: brokerPath + "/dlq/replay", query: p.Values}, &done)
}

// DeleteDeadLetters removes dead letters.
func (b *Broker) DeleteDeadLetters(ctx context.Context, f LetterFilter) (removed int, err error) {
	return b.purge(ctx, http.MethodDelete, brokerPath+"/dlq", f.parameters())
}

// Payload reads the JSON of a message into a value.
func (d *Delivered) Payload(into any) error {
	return json.NewDecoder(bytes.NewReader(d.Data)).Decode(into)
}
