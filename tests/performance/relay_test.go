package performance

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The relay is what any program on this machine needs at least to bring a frame
// from an exchange's socket to a subscriber: the same WebSocket library, the same
// message broker in the same process, the same number of bytes, and nothing else.
// With a journal it also publishes what has come since the last acknowledgement to
// a stream that is synced, as the program must before it may call a record stored.
const (
	relayExchange = "MARKETPRISM_RELAY_EXCHANGE" // the address of the exchange's socket
	relayPort     = "MARKETPRISM_RELAY_PORT"     // of the broker
	relayJournal  = "MARKETPRISM_RELAY_JOURNAL"  // the broker's directory; "": no journal
)

// startRelay starts a relay; it ends with the test, or by stop.
func startRelay(b *testing.B, exchange *paced, port int, journal string) (pid int, stop func()) {
	pid, _, stop = startFloor(b, "relay", relayExchange+"="+exchange.address(), relayPort+"="+strconv.Itoa(port), relayJournal+"="+journal)
	return pid, stop
}

// relay is the main function of the relay's process.
func relay() error {
	port, err := strconv.Atoi(os.Getenv(relayPort))
	if err != nil {
		return err
	}
	dir := os.Getenv(relayJournal)
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true,
		JetStream: dir != "", StoreDir: dir, SyncAlways: true, DisableJetStreamBanner: true,
	})
	if err != nil {
		return err
	}
	srv.Start()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("the broker does not start")
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv))
	if err != nil {
		return err
	}
	defer nc.Close()
	var record func([]byte)
	if dir != "" {
		if record, err = journalOf(nc); err != nil {
			return err
		}
	}
	ws, _, err := websocket.DefaultDialer.Dial(os.Getenv(relayExchange), nil)
	if err != nil {
		return err
	}
	defer ws.Close()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"id":1}`)); err != nil {
		return err
	}
	if _, _, err := ws.ReadMessage(); err != nil { // subscribed
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- pass(ws, nc, record) }() // ends with the process
	return await("", failed)
}

// pass hands on every frame, with what a subscriber looks for in front of it, and
// as long as the program's records are.
func pass(ws *websocket.Conn, nc *nats.Conn, record func([]byte)) error {
	out := make([]byte, 0, 1024)
	padding := bytes.Repeat([]byte{' '}, 120)
	for {
		_, frame, err := ws.ReadMessage()
		if err != nil {
			return err
		}
		now := time.Now().UnixNano()
		_, id, ok := bytes.Cut(frame, []byte(`"t":`))
		if !ok {
			return fmt.Errorf("no trade: %s", frame)
		}
		id, _, _ = bytes.Cut(id, []byte(","))
		out = append(append(append(out[:0], `{"id":"`...), id...), `","receive_time_ns":`...)
		out = append(append(strconv.AppendInt(out, now, 10), padding...), frame...)
		if err := nc.Publish("md.v1.trade.relay", out); err != nil {
			return err
		}
		if record != nil {
			record(out)
		}
	}
}

// journalOf makes a synced stream. One message is on its way, and the next takes
// all that has come meanwhile.
func journalOf(nc *nats.Conn) (record func([]byte), err error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	if _, err := nc.Request("$JS.API.STREAM.CREATE.JOURNAL", []byte(`{"name":"JOURNAL","subjects":["journal"],"storage":"file","retention":"limits","discard":"new","num_replicas":1}`), 10*time.Second); err != nil {
		return nil, err
	}
	records := make(chan []byte, 1<<16)
	go func() { // ends with the process
		var batch []byte
		for r := range records {
			batch = append(batch[:0], r...)
			for more := true; more && len(batch) < 1<<19; {
				select {
				case r := <-records:
					batch = append(batch, r...)
				default:
					more = false
				}
			}
			ack, err := js.PublishMsgAsync(&nats.Msg{Subject: "journal", Data: batch})
			if err != nil {
				panic(err)
			}
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				panic(err)
			}
		}
	}()
	return func(r []byte) { records <- bytes.Clone(r[:len(r)/8]) }, nil // what a sealed record takes, or more
}
