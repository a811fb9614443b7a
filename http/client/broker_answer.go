package client

import (
	"encoding/json"
	"time"
)

// Message is a message to be published.
type Message struct {
	Headers map[string]string `json:"headers,omitempty"`
	ID      string            `json:"id,omitempty"`      // the stream drops a second message with this id within its window; the header Idempotency-Key says the same
	Message any               `json:"message,omitempty"` // any JSON
	Subject string            `json:"subject"`
}

// Published is what came of publishing a message.
type Published struct {
	Duplicate bool   `json:"duplicate"`
	Error     string `json:"error,omitempty"`
	Seq       int64  `json:"seq"`
	Stream    string `json:"stream,omitempty"` // that has it; absent when none keeps the subject
	Success   bool   `json:"success"`
}

// Delivered is a message of a stream.
type Delivered struct {
	Data     json.RawMessage     `json:"data"`
	Encoding string              `json:"encoding"` // how data stands for the payload: JSON as it is, text, or bytes: json, text, base64
	Headers  map[string][]string `json:"headers,omitempty"`
	Position string              `json:"position,omitempty"`
	Seq      int64               `json:"seq"`
	Stream   string              `json:"stream,omitempty"` // that keeps it; absent when none does
	Subject  string              `json:"subject"`
	Time     time.Time           `json:"time"` // when the stream took it, or when it came
}

// Fetched is a message that a consumer was given; it comes again unless it is answered by its token.
type Fetched struct {
	Delivered
	Deliveries int64  `json:"deliveries"` // how often it has come, from 1
	Pending    int64  `json:"pending"`    // messages behind it
	Token      string `json:"token"`      // for ack, nak, term and progress; any process takes it, also after a restart
}

// NewConsumer is a consumer to be made, or changed.
type NewConsumer struct {
	AckWaitSeconds float64   `json:"ack_wait_seconds,omitempty"`
	BackoffSeconds []float64 `json:"backoff_seconds,omitempty"` // instead of ack_wait_seconds, a wait for each time; at most max_deliver of them
	FilterSubjects []string  `json:"filter_subjects,omitempty"` // none is the whole stream
	From           string    `json:"from,omitempty"`            // first, new, last
	FromSeq        int64     `json:"from_seq,omitempty"`
	FromTime       time.Time `json:"from_time,omitzero"`
	IdleSeconds    float64   `json:"idle_seconds,omitempty"` // without a reader for so long it is removed; 0 keeps it
	MaxAckPending  int64     `json:"max_ack_pending,omitempty"`
	MaxDeliver     int64     `json:"max_deliver,omitempty"` // deliveries after which a message is a dead letter; 0 is no end
	Name           string    `json:"name"`
}

// Consumer is a consumer of a stream.
type Consumer struct {
	AckWaitSeconds  float64   `json:"ack_wait_seconds"`
	AcknowledgedSeq int64     `json:"acknowledged_seq"`
	CreatedAt       time.Time `json:"created_at"`
	DeliveredSeq    int64     `json:"delivered_seq"`
	Durable         bool      `json:"durable"`
	FilterSubjects  []string  `json:"filter_subjects"`
	MaxDeliver      int64     `json:"max_deliver"` // -1 is no end
	Name            string    `json:"name"`
	Pending         int64     `json:"pending"`
	Redelivered     int64     `json:"redelivered"`
	Stream          string    `json:"stream"`
	Unacknowledged  int64     `json:"unacknowledged"`
	WaitingRequests int64     `json:"waiting_requests"`
}

// NewStream is a stream to be made, or changed.
type NewStream struct {
	Discard       string   `json:"discard,omitempty"`         // what a full stream gives up: old, new
	MaxAgeSeconds float64  `json:"max_age_seconds,omitempty"` // 0 keeps messages
	MaxBytes      int64    `json:"max_bytes,omitempty"`       // reserved at the server
	Name          string   `json:"name"`
	Replicas      int64    `json:"replicas,omitempty"`  // 1, 3 or 5; 0 is 3 where the broker has several nodes, else 1
	Retention     string   `json:"retention,omitempty"` // cannot change later: limits, workqueue, interest
	Storage       string   `json:"storage,omitempty"`   // cannot change later: file, memory
	Subjects      []string `json:"subjects"`
}

// Stream is a stream of the broker.
type Stream struct {
	Bytes         int64     `json:"bytes"`
	ConsumerCount int64     `json:"consumer_count"`
	CreatedAt     time.Time `json:"created_at,omitzero"`
	Discard       string    `json:"discard,omitempty"`
	FirstSeq      int64     `json:"first_seq"`
	Internal      bool      `json:"internal"`
	LastSeq       int64     `json:"last_seq"`
	LastTime      time.Time `json:"last_time,omitzero"`
	Leader        string    `json:"leader,omitempty"`
	MaxAgeSeconds float64   `json:"max_age_seconds"`
	MaxBytes      int64     `json:"max_bytes"`
	Messages      int64     `json:"messages"`
	Name          string    `json:"name,omitempty"`
	Replicas      int64     `json:"replicas"`
	Retention     string    `json:"retention,omitempty"`
	Storage       string    `json:"storage,omitempty"`
	Subjects      []string  `json:"subjects,omitempty"`
}

// Settled is what came of answering messages.
type Settled struct {
	Failed  []RefusedToken `json:"failed"`
	Settled int64          `json:"settled"`
	Success bool           `json:"success"` // all of them
}

// RefusedToken is a token that was not taken.
type RefusedToken struct {
	Error string `json:"error"`
	Index int64  `json:"index"` // of the token
}

// DeadLetter is a message that a consumer gave up.
type DeadLetter struct {
	Consumer    string    `json:"consumer"`
	Deliveries  int64     `json:"deliveries"` // how often it came
	DiedAt      time.Time `json:"died_at"`
	ID          int64     `json:"id"`
	PayloadLost bool      `json:"payload_lost"`
	Reason      string    `json:"reason"`
	Replays     int64     `json:"replays"` // how often it was replayed before
	Seq         int64     `json:"seq"`
	Size        int64     `json:"size"` // bytes of the payload
	Stream      string    `json:"stream"`
	Subject     string    `json:"subject"`
}

// DeadLetterDetail is a dead letter with its message.
type DeadLetterDetail struct {
	DeadLetter
	Data     json.RawMessage     `json:"data"`
	Encoding string              `json:"encoding"` // how data stands for the payload: JSON as it is, text, or bytes: json, text, base64
	Headers  map[string][]string `json:"headers"`  // of the message
}

// Replayed is what came of replaying dead letters.
type Replayed struct {
	Failed   []NotReplayed `json:"failed"`
	Replayed int64         `json:"replayed"`
	Success  bool          `json:"success"`
}

// NotReplayed is a dead letter that could not be replayed.
type NotReplayed struct {
	Error string `json:"error"`
	ID    int64  `json:"id"`
}

// BrokerNodes is the nodes with the broker.
type BrokerNodes struct {
	Clustered bool         `json:"clustered"` // whether the broker runs on several nodes
	Expected  int64        `json:"expected"`  // on how many
	Leader    string       `json:"leader"`    // who decides which streams there are; empty without a majority, and where the broker stands alone
	Nodes     []BrokerNode `json:"nodes"`     // none where the broker stands alone
}

// BrokerNode is one node with the broker.
type BrokerNode struct {
	Behind []string `json:"behind,omitempty"`
	Node   string   `json:"node,omitempty"`
	Online bool     `json:"online"`
}

// fetchForm is what a consumer asks for.
type fetchForm struct {
	Max         int64   `json:"max,omitempty"`
	WaitSeconds float64 `json:"wait_seconds,omitempty"` // for the first message
}

// settleForm is an answer to messages.
type settleForm struct {
	DelaySeconds float64  `json:"delay_seconds,omitempty"` // nak: before it comes again
	Reason       string   `json:"reason,omitempty"`        // term: for the dead letter
	Tokens       []string `json:"tokens"`
}
