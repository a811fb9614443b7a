package documents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/tests/harness"
)

// testClient: what docs/clients.md promises of the Go package holds at the real services,
// through the gateway and directly.
func testClient(t *testing.T, n *harness.Node) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // for a machine that has no time at all
	defer cancel()
	through, err := client.New(client.Config{Gateways: []string{nobody(t), n.URL(harness.Gateway, "")}})
	if err != nil {
		t.Fatal(err)
	}
	direct := map[string]string{}
	for _, service := range harness.Services {
		direct[service] = n.URL(service, "")
	}
	directly, err := client.New(client.Config{Services: direct})
	if err != nil {
		t.Fatal(err)
	}
	for how, c := range map[string]*client.Client{"gateway": through, "services": directly} {
		t.Run(how, func(t *testing.T) {
			t.Run("Dial", func(t *testing.T) { clientDial(ctx, t, c) })
			t.Run("Follow", func(t *testing.T) { clientFollow(ctx, t, c) })
			t.Run("Await", func(t *testing.T) { clientAwait(ctx, t, c, how) })
			t.Run("AwaitBackfill", func(t *testing.T) { clientBackfill(ctx, t, c) })
			t.Run("AwaitTask", func(t *testing.T) { clientTask(ctx, t, c, how) })
			t.Run("Consume", func(t *testing.T) { clientConsume(ctx, t, c, how) })
		})
	}
}

// nobody is an address at which nobody answers.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + at
}

// taken is what a goroutine has read of a WebSocket.
type taken struct {
	message client.LiveMessage
	err     error
}

// listen reads a WebSocket until it ends; the channel is closed then.
func listen(s *client.LiveSocket) <-chan taken {
	came := make(chan taken, 1<<16)
	go func() {
		defer close(came)
		for {
			m, err := s.Next()
			came <- taken{m, err}
			if err != nil {
				return
			}
		}
	}()
	return came
}

// next is the next message of a subscription.
func next(ctx context.Context, t *testing.T, came <-chan taken, subscription string) client.LiveMessage {
	t.Helper()
	for {
		select {
		case got, ok := <-came:
			if !ok || got.err != nil {
				t.Fatalf("the socket has ended: %v", got.err)
			}
			if got.message.Subscription == subscription {
				return got.message
			}
		case <-ctx.Done():
			t.Fatal("nothing comes of", subscription)
		}
	}
}

// clientDial: subscriptions come and go on one socket, each numbered without a hole; a book
// begins with the whole of it.
func clientDial(ctx context.Context, t *testing.T, c *client.Client) {
	s, err := c.Collector.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	came := listen(s)
	what := client.Live{Kinds: []string{"trade", "book_delta"}, Exchanges: []string{"binance"}, Markets: []string{"spot"}, Symbols: []string{"btcusdt"}}
	books, err := s.Subscribe(ctx, what)
	if err != nil || books.Streams != 1 || len(books.Waiting) > 0 {
		t.Fatalf("%+v, %v", books, err)
	}
	kinds, begun := map[string]int64{}, false
	var last int64
	for kinds["trade"] < 3 || kinds["book_delta"] < 3 {
		m := next(ctx, t, came, books.ID)
		if m.N != last+1 {
			t.Fatalf("message %d follows %d", m.N, last)
		}
		last = m.N
		switch kind := m.Kind(); {
		case m.Type == client.LiveState:
			if state, err := m.BookState(); err != nil || state.Symbol != "BTC-USDT" {
				t.Errorf("%+v, %v", state, err)
			}
		case kind == "book_delta":
			d, err := client.ParseRecord[client.BookDelta](m.Data)
			if err != nil || d.Symbol != "BTC-USDT" || !begun && !d.IsSnapshot {
				t.Fatalf("%s, %v", m.Data, err)
			}
			begun = true
			kinds[kind]++
		default:
			kinds[kind]++
		}
	}
	others, err := s.Subscribe(ctx, client.Live{Kinds: []string{"trade"}})
	if err != nil || others.ID == books.ID || others.Streams < 2 {
		t.Errorf("%+v, %v", others, err)
	}
	var refused *client.SocketError
	if _, err := s.Subscribe(ctx, client.Live{Kinds: []string{"colour"}}); !errors.As(err, &refused) || refused.Code != "unknown_kind" || refused.Field != "kinds[0]" {
		t.Errorf("a kind that there is not: %v", err)
	}
	if err := s.Ping(ctx); err != nil {
		t.Error(err)
	}
	messages, err := s.Unsubscribe(ctx, books.ID)
	if err != nil || messages < last {
		t.Errorf("it ended behind %d, and %d have come: %v", messages, last, err)
	}
	if _, err := s.Unsubscribe(ctx, books.ID); !errors.As(err, &refused) || refused.Code != "unknown_subscription" {
		t.Errorf("it can be ended twice: %v", err)
	}
	for last < messages {
		if m := next(ctx, t, came, books.ID); m.N != last+1 {
			t.Fatalf("message %d follows %d", m.N, last)
		}
		last++
	}
	if m := next(ctx, t, came, others.ID); m.Kind() != "trade" {
		t.Errorf("the other subscription gives %+v", m)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var end error
	for got := range came { // the reader ends
		end = got.err
	}
	if end == nil {
		t.Error("a socket that is closed goes on")
	}
	if err := s.Ping(ctx); err == nil {
		t.Error("a socket that is closed answers")
	}
}

func clientFollow(ctx context.Context, t *testing.T, c *client.Client) {
	trades := 0
	for m, err := range c.Collector.Follow(ctx, client.Live{Kinds: []string{"trade"}, Symbols: []string{"BTC-USDT"}}) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind() == "trade" {
			trades++
		}
		if trades == 3 {
			return
		}
	}
	t.Error("it ends by itself")
}

// clientAwait: what was written is applied, read, and archived.
func clientAwait(ctx context.Context, t *testing.T, c *client.Client, how string) {
	trade := client.NewTrade{Timestamp: time.Now().UTC().Truncate(time.Millisecond), Exchange: "lab-" + how, Symbol: "BTC-USDT", TradeID: "1", Price: "61000.10", Amount: "0.50", Side: "buy"}
	stored, err := c.Storage.StoreTrades(ctx, trade)
	if err != nil || stored.Stored != 1 || stored.Position == "" {
		t.Fatalf("%+v, %v", stored, err)
	}
	journal, err := c.Storage.Journal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := c.Storage.AwaitApplied(ctx, journal.JournalID, stored.Position); err != nil || !a.Reached {
		t.Fatalf("%+v, %v", a, err)
	}
	q := client.Query{Exchange: trade.Exchange, Symbol: trade.Symbol, Market: "spot"}
	rows, err := client.Collect(client.Rows[client.Trade](ctx, c, q))
	if err != nil || len(rows) != 1 || rows[0].Price != "61000.10" || rows[0].Amount != "0.50" || !rows[0].Time().Equal(trade.Timestamp) {
		t.Errorf("%+v, %v", rows, err)
	}
	begun, err := c.Storage.Archive(ctx, 0, "trade")
	if err != nil {
		t.Fatal(err)
	}
	looks := 0
	op, err := c.Storage.Await(ctx, begun.OperationID, func(client.Operation) { looks++ })
	if err != nil || op.State != client.OperationSucceeded || looks == 0 {
		t.Errorf("%+v after %d looks: %v", op, looks, err)
	}
	q.Tier = "cold"
	if rows, err = client.Collect(client.Rows[client.Trade](ctx, c, q)); err != nil || len(rows) != 1 {
		t.Errorf("of the cold store: %+v, %v", rows, err)
	}
	if _, err := c.Storage.Await(ctx, "nothing", nil); client.StatusOf(err) != 404 {
		t.Errorf("an operation that there is not: %v", err)
	}
	readers, err := c.Storage.Readers(ctx)
	if err != nil || len(readers) != 1 || !readers[0].Own || !readers[0].FullCopy {
		t.Errorf("%+v, %v", readers, err)
	}
	if _, err := c.Storage.RetireReader(ctx, readers[0].Reader); client.CodeOf(err) != "reader_in_use" {
		t.Errorf("a reader that is in use: %v", err)
	}
}

func clientBackfill(ctx context.Context, t *testing.T, c *client.Client) {
	now := time.Now().UTC()
	begun, err := c.Collector.Backfill(ctx, "binance", "BTC-USDT", "spot", client.BackfillRequest{From: now.Add(-time.Minute), To: now.Add(-30 * time.Second), Kinds: []string{"trade"}})
	if err != nil {
		t.Fatal(err)
	}
	looks := 0
	done, err := c.Collector.AwaitBackfill(ctx, begun.OperationID, func(client.Backfill) { looks++ })
	if err != nil || done.State != client.BackfillSucceeded || done.Records+done.Stored == 0 || looks == 0 {
		t.Errorf("%+v after %d looks: %v", done, looks, err)
	}
}

// clientTask: one waits for the end of a task that another one works on.
func clientTask(ctx context.Context, t *testing.T, c *client.Client, how string) {
	queue := "reports-" + how
	task, err := c.Broker.Submit(ctx, client.Submission{Queue: queue, Payload: map[string]int{"day": 7}, IdempotencyKey: "day-7-" + how})
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Broker.Submit(ctx, client.Submission{Queue: queue, Payload: map[string]int{"day": 7}, IdempotencyKey: "day-7-" + how})
	if err != nil || again.TaskID != task.TaskID || !again.Existing {
		t.Errorf("submitted again: %+v, %v", again, err)
	}
	worked := make(chan error, 1)
	go func() {
		claimed, err := c.Broker.Claim(ctx, queue, client.Claim{Max: 1, WaitSeconds: 20, Worker: "desk"})
		if err == nil && len(claimed) != 1 {
			err = fmt.Errorf("%d tasks are claimed", len(claimed))
		}
		if err == nil {
			_, err = c.Broker.Complete(ctx, &claimed[0], map[string]int{"rows": 42})
		}
		worked <- err
	}()
	done, err := c.Broker.AwaitTask(ctx, task.TaskID)
	if err = errors.Join(err, <-worked); err != nil || done.Status != client.TaskSucceeded {
		t.Fatalf("%+v, %v", done, err)
	}
	var result struct{ Rows int }
	text, err := c.Broker.Result(ctx, task.TaskID)
	if err == nil {
		err = json.Unmarshal(text, &result)
	}
	if err != nil || result.Rows != 42 {
		t.Errorf("%s, %v", text, err)
	}
}

// clientConsume: each message comes once when it is acknowledged, and again when it was
// given back.
func clientConsume(ctx context.Context, t *testing.T, c *client.Client, how string) {
	const stream = "MARKET_DATA"
	subject, name := "market.notes."+how, "desk-"+how
	if _, err := c.Broker.CreateConsumer(ctx, stream, client.NewConsumer{Name: name, FilterSubjects: []string{subject}, AckWaitSeconds: 600}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if p, err := c.Broker.Publish(ctx, client.Message{Subject: subject, ID: fmt.Sprint(how, i), Message: i}); err != nil || p.Stream != stream {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	acknowledged := map[string]int64{}
	for m, err := range c.Broker.Consume(ctx, stream, name, 2) {
		if err != nil {
			t.Fatal(err)
		}
		text := string(m.Data)
		if m.Subject != subject {
			t.Errorf("%q comes", m.Subject)
		}
		if text == "3" && m.Deliveries == 1 {
			if done, err := c.Broker.Nak(ctx, 0, m.Token); err != nil || done.Settled != 1 {
				t.Fatalf("%+v, %v", done, err)
			}
			continue
		}
		if done, err := c.Broker.Ack(ctx, m.Token); err != nil || done.Settled != 1 {
			t.Fatalf("%+v, %v", done, err)
		}
		if acknowledged[text]++; len(acknowledged) == 5 {
			break
		}
	}
	for text, times := range acknowledged {
		if times != 1 {
			t.Errorf("%s is acknowledged %d times", text, times)
		}
	}
	left, err := c.Broker.Consumer(ctx, stream, name)
	if err != nil || left.Pending != 0 || left.Unacknowledged != 0 {
		t.Errorf("%+v, %v", left, err)
	}
	if err := c.Broker.DeleteConsumer(ctx, stream, name); err != nil {
		t.Error(err)
	}
}
