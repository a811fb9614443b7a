package event

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// MediaType is that of an event in CloudEvents' JSON form.
const MediaType = "application/cloudevents+json"

// Event is a CloudEvent 1.0 in its JSON form
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
type Event struct {
	SpecVersion string `json:"specversion"` // 1.0
	// ID is random; with Source it names one event.
	ID string `json:"id"`
	// Source is /marketprism/<node>/<service>.
	Source string `json:"source"`
	// Type is that of a Kind.
	Type string `json:"type"`
	// Subject is what it happened to, such as an actor's id; "" is the service itself.
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"` // application/json
	// Data is of the Kind's type.
	Data any `json:"data"`

	// Topic is the NATS subject that it goes to.
	Topic string `json:"-"`
}

// Publisher takes events. It never blocks, and is safe for concurrent use.
type Publisher interface{ Publish(e Event) }

// Nowhere is a Publisher that forgets.
type Nowhere struct{}

// Publish implements Publisher.
func (Nowhere) Publish(Event) {}

// Source makes the events of one service of one node.
type Source struct {
	Node, Service string
	// Now is the time of events; nil is time.Now.
	Now func() time.Time
}

// New makes an event. data has to be of the kind's type.
func (s Source) New(k Kind, subject string, data any) Event {
	if got, want := fmt.Sprintf("%T", data), fmt.Sprintf("%T", k.Data); got != want {
		panic("event: " + k.Type + " carries a " + want + ", not a " + got)
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return Event{
		SpecVersion: "1.0", ID: rand.Text(), Source: "/marketprism/" + s.Node + "/" + s.Service, Type: k.Type, Subject: subject,
		Time: now().UTC(), DataContentType: "application/json", Data: data,
		Topic: "system." + s.Service + "." + strings.TrimPrefix(k.Type, typePrefix),
	}
}
