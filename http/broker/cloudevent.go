package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/http/chassis"
)

// CloudEvents 1.0 over HTTP
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md)
// and over NATS (…/bindings/nats-protocol-binding.md): structured mode is the JSON form
// with its content type; binary mode has the attributes as ce- headers.
const (
	mediaEvent  = "application/cloudevents+json"
	mediaEvents = "application/cloudevents-batch+json"
	eventPrefix = "ce-"
)

// requiredAttributes are those of every event, not empty.
var requiredAttributes = []string{"specversion", "id", "source", "type"}

// structured is an event in structured mode.
func structured(subject string, body []byte) (messages.Message, error) {
	if err := chassis.CheckJSON(body); err != nil {
		return messages.Message{}, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return messages.Message{}, notAnEvent("", "is not a JSON object")
	}
	attributes := map[string]string{}
	for name, raw := range members {
		if name == "data" || name == "data_base64" {
			continue
		}
		var text string
		if err := json.Unmarshal(raw, &text); err == nil {
			attributes[name] = text
		} else if raw[0] == '{' || raw[0] == '[' {
			return messages.Message{}, notAnEvent(name, "is not an attribute's value")
		}
	}
	if members["data"] != nil && members["data_base64"] != nil {
		return messages.Message{}, notAnEvent("data_base64", "stands beside data")
	}
	id, err := checkEvent(attributes)
	return messages.Message{Subject: subject, Data: body, ID: id, Header: map[string][]string{"Content-Type": {mediaEvent}}}, err
}

// structuredBatch are events in batched mode; each becomes a message of its own.
func structuredBatch(subject string, body []byte) ([]messages.Message, error) {
	if err := chassis.CheckJSON(body); err != nil {
		return nil, err
	}
	var events []json.RawMessage
	if err := json.Unmarshal(body, &events); err != nil || len(events) > 1000 {
		return nil, notAnEvent("", "is not an array of at most 1000 events")
	}
	all := make([]messages.Message, len(events))
	for i, e := range events {
		var err error
		if all[i], err = structured(subject, e); err != nil {
			return nil, chassis.Under("/"+strconv.Itoa(i), err)
		}
	}
	return all, nil
}

// binary is a body as it is, which is an event if its headers say so.
func binary(subject string, h http.Header, body []byte) (messages.Message, error) {
	m := messages.Message{Subject: subject, Data: body, Header: map[string][]string{}}
	if media := h.Get("Content-Type"); media != "" {
		m.Header["Content-Type"] = []string{media}
	}
	attributes := map[string]string{}
	for name, values := range h {
		name = strings.ToLower(name)
		if attribute, ok := strings.CutPrefix(name, eventPrefix); ok {
			attributes[attribute] = values[0]
			m.Header[name] = values[:1]
		}
	}
	if len(attributes) == 0 {
		return m, nil
	}
	var err error
	m.ID, err = checkEvent(attributes)
	return m, err
}

// checkEvent checks the attributes of an event, and returns the id that its message
// shares with its duplicates: source and id are one event's.
func checkEvent(attributes map[string]string) (string, error) {
	for _, name := range requiredAttributes {
		if attributes[name] == "" {
			return "", notAnEvent(name, "is required, and is text that is not empty")
		}
	}
	if v := attributes["specversion"]; v != "1.0" {
		return "", notAnEvent("specversion", "is 1.0 here")
	}
	if at := attributes["time"]; at != "" {
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			return "", notAnEvent("time", "is not in the form of RFC 3339")
		}
	}
	for name := range attributes {
		if strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
			return "", notAnEvent(name, "is not an attribute's name: lower-case letters and digits")
		}
	}
	sum := sha256.Sum256([]byte(attributes["source"] + "\x00" + attributes["id"]))
	return "ce-" + hex.EncodeToString(sum[:16]), nil
}

func notAnEvent(attribute, why string) error {
	pointer := ""
	if attribute != "" {
		pointer = "/" + attribute
	}
	name := strings.TrimPrefix(pointer, "/")
	if name == "" {
		name = "the body"
	}
	return chassis.BadRequest("not a CloudEvent 1.0: %s %s", name, why).WithCode("not_a_cloudevent").WithFields(chassis.Field(pointer, "%s", why))
}
