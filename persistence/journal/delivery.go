package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// delivery pulls the messages of one consumer: one pull request outstanding,
// bounded by messages and bytes, so that the broker never sends ahead more than
// one window. (The library's iterators either bound no bytes, or hold a channel
// of a million places.) Anything irregular is an error; the reader then makes a
// new consumer.
type delivery struct {
	nc     *nats.Conn
	sub    *nats.Subscription
	ch     chan *nats.Msg
	status chan nats.Status
	next   string // subject of the pull requests
	pull   []byte // the request
	window int    // its bytes

	messages, bytes int // left of the outstanding pull; messages 0: none
	alive           *time.Timer
}

// pullRequest is JetStream's CONSUMER.MSG.NEXT request
// (https://docs.nats.io/reference/reference-protocols/nats_api_reference).
type pullRequest struct {
	Expires   time.Duration `json:"expires"`
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

// Errors that end a delivery; the reader retries after them.
var (
	errSilent    = errors.New("the broker is silent")
	errConnEvent = errors.New("the connection was lost or is back")
	// errIdle ends nothing: the broker lives, and has nothing to deliver.
	errIdle       = errors.New("idle")
	errPassedOver = errors.New("the consumer has passed over messages")
)

func newDelivery(nc *nats.Conn, stream, consumer string, window int) (*delivery, error) {
	request, err := json.Marshal(pullRequest{Expires: readExpiry, Batch: readAheadMessages, MaxBytes: window, Heartbeat: readHeartbeat})
	if err != nil {
		return nil, fmt.Errorf("encoding a pull request: %w", err)
	}
	d := &delivery{
		nc: nc, next: "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer, pull: request, window: window,
		// A pull's messages, and heartbeats while nobody reads.
		ch:     make(chan *nats.Msg, 2*readAheadMessages),
		status: nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED, nats.CONNECTED),
		alive:  time.NewTimer(2 * readHeartbeat),
	}
	if d.sub, err = nc.ChanSubscribe(nc.NewInbox(), d.ch); err != nil {
		d.stop()
		return nil, fmt.Errorf("subscribing: %w", err)
	}
	return d, nil
}

func (d *delivery) stop() {
	d.alive.Stop()
	d.nc.RemoveStatusListener(d.status)
	if d.sub != nil {
		// It fails when the connection is closed, and then nothing is left to end.
		_ = d.sub.Unsubscribe()
	}
}

// take waits for the next message.
func (d *delivery) take(ctx context.Context) (*nats.Msg, error) {
	for {
		if d.messages <= 0 || d.bytes <= 0 {
			if err := d.nc.PublishRequest(d.next, d.sub.Subject, d.pull); err != nil {
				return nil, fmt.Errorf("asking for messages: %w", err)
			}
			d.messages, d.bytes = readAheadMessages, d.window
		}
		m, err := d.wait(ctx)
		if err != nil {
			return nil, err
		}
		if m.Header == nil || m.Header.Get("Status") == "" {
			d.messages--
			d.bytes -= len(m.Subject) + len(m.Reply) + len(m.Data) // as the broker counts
			return m, nil
		}
		if err := d.control(m); err != nil {
			return nil, err
		}
	}
}

// wait returns what comes next, a message or a status.
func (d *delivery) wait(ctx context.Context) (*nats.Msg, error) {
	select { // a message that is here needs no timer
	case m := <-d.ch:
		return m, nil
	default:
	}
	d.alive.Reset(2 * readHeartbeat)
	select {
	case m := <-d.ch:
		return m, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case s := <-d.status:
		return nil, fmt.Errorf("%w: %s", errConnEvent, s)
	case <-d.alive.C:
		return nil, fmt.Errorf("%w for %v", errSilent, 2*readHeartbeat)
	}
}

// control handles a status message: a heartbeat, the end of the pull, or an error.
func (d *delivery) control(m *nats.Msg) error {
	status, text := m.Header.Get("Status"), m.Header.Get("Description")
	switch {
	case status == "100": // heartbeat: nothing came for a while
		return errIdle
	case status == "408", status == "404",
		status == "409" && strings.Contains(strings.ToLower(text), "maxbytes"),
		status == "409" && strings.Contains(strings.ToLower(text), "batch completed"):
		d.messages = 0 // the pull ended
		return nil
	}
	return fmt.Errorf("the broker ended the delivery: %s %s", status, text)
}

// place is what the broker says of a delivered message in its reply subject.
type place struct {
	seq     uint64
	pending uint64
	time    time.Time
}

// parsePlace reads a reply subject:
//
//	$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<ns>.<pending>
//	$JS.ACK.<domain>.<account>.<stream>.… the same, maybe one token more
func parsePlace(reply string) (place, error) {
	rest, ok := strings.CutPrefix(reply, "$JS.ACK.")
	skip := 3 // stream, consumer, delivered
	if strings.Count(rest, ".") > 6 {
		skip += 2
	}
	for range skip {
		var more bool
		_, rest, more = strings.Cut(rest, ".")
		ok = ok && more
	}
	seq, rest, _ := strings.Cut(rest, ".")
	_, rest, _ = strings.Cut(rest, ".")
	ns, rest, _ := strings.Cut(rest, ".")
	pending, _, _ := strings.Cut(rest, ".")
	s, err1 := strconv.ParseUint(seq, 10, 64)
	t, err2 := strconv.ParseInt(ns, 10, 64)
	p, err3 := strconv.ParseUint(pending, 10, 64)
	if err := errors.Join(err1, err2, err3); !ok || err != nil {
		return place{}, fmt.Errorf("%w: a delivery with reply subject %q", errForeign, reply)
	}
	return place{seq: s, pending: p, time: time.Unix(0, t)}, nil
}

var errForeign = errors.New("not a JetStream delivery")
