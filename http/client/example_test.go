package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/http/client"
)

// The examples ask a gateway that answers as one does: each path with what is written here.
// tests/documents asks a running one.

// Every record of an instrument, page by page: each once, in order, and an error when not
// all could be read.
func ExampleRows() {
	gateway := answering(map[string]http.HandlerFunc{
		"GET /api/v1/data-storage-service/storage/query/trade/binance/BTC-USDT": lines(
			`{"kind":"trade","exchange":"binance","symbol":"BTC-USDT","exchange_time_ns":1723161398701000000,"id":"1","price":"61000.10","amount":"0.5","side":"buy"}`,
			`{"kind":"trade","exchange":"binance","symbol":"BTC-USDT","exchange_time_ns":1723161398856000000,"id":"2","price":"61000.20","amount":"0.25","side":"sell"}`),
	})
	defer gateway.Close()

	c, err := client.New(client.Config{Gateways: []string{gateway.URL}, Key: "mp_of_an_example"})
	if err != nil {
		log.Fatal(err)
	}
	day := time.Date(2024, 8, 8, 0, 0, 0, 0, time.UTC)
	what := client.Query{Exchange: "binance", Symbol: "BTC-USDT", From: day, To: day.AddDate(0, 0, 1)}
	for trade, err := range client.Rows[client.Trade](context.Background(), c, what) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(trade.Time().Format("15:04:05.000"), trade.Side, trade.Amount, "at", trade.Price)
	}
	// Output:
	// 23:56:38.701 buy 0.5 at 61000.10
	// 23:56:38.856 sell 0.25 at 61000.20
}

// Trades as they come, over lost connections. A message of type reset would say that
// something was missed.
func ExampleCollector_Follow() {
	gateway := answering(map[string]http.HandlerFunc{
		"GET /api/v1/market-data-collector/stream": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "id: a-1\ndata: "+`{"type":"record","subscription":"s1","n":1,"data":{"kind":"trade","symbol":"BTC-USDT","price":"61000.10","amount":"0.5","side":"buy"}}`+"\n\n")
		},
	})
	defer gateway.Close()

	c, err := client.New(client.Config{Gateways: []string{gateway.URL}})
	if err != nil {
		log.Fatal(err)
	}
	for m, err := range c.Collector.Follow(context.Background(), client.Live{Kinds: []string{"trade"}, Symbols: []string{"BTC-USDT"}}) {
		switch {
		case err != nil:
			log.Fatal(err)
		case m.Type == client.LiveReset:
			fmt.Println("something was missed:", m.Reason)
		case m.Type == client.LiveRecord:
			trade, err := client.ParseRecord[client.Trade](m.Data)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(trade.Symbol, trade.Side, trade.Amount, "at", trade.Price)
			return // it would go on
		}
	}
	// Output: BTC-USDT buy 0.5 at 61000.10
}

// Subscriptions that come and go on one WebSocket: one goroutine reads it.
func ExampleCollector_Dial() {
	gateway := answering(map[string]http.HandlerFunc{
		"GET /ws/market-data-collector/v1/stream": func(w http.ResponseWriter, r *http.Request) {
			socket, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err != nil {
				return
			}
			defer socket.Close()
			var asked struct{ ID int }
			for socket.ReadJSON(&asked) == nil {
				say := fmt.Sprintf(`{"type":"subscribed","id":%d,"subscription":"s1","streams":1,"waiting":[]}`, asked.ID)
				for _, text := range []string{say, `{"type":"state","subscription":"s1","n":1,"data":{"exchange":"binance","market":"spot","symbol":"BTC-USDT","state":"live","seq":7}}`} {
					if socket.WriteMessage(websocket.TextMessage, []byte(text)) != nil {
						return
					}
				}
			}
		},
	})
	defer gateway.Close()

	c, err := client.New(client.Config{Gateways: []string{gateway.URL}})
	if err != nil {
		log.Fatal(err)
	}
	socket, err := c.Collector.Dial(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	messages := make(chan client.LiveMessage)
	go func() {
		defer close(messages)
		for {
			m, err := socket.Next()
			if err != nil {
				return // closed
			}
			messages <- m
		}
	}()
	opened, err := socket.Subscribe(context.Background(), client.Live{Kinds: []string{"book_delta"}, Symbols: []string{"BTC-USDT"}})
	if err != nil {
		log.Fatal(err)
	}
	m := <-messages
	book, err := m.BookState()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(opened.Streams, "stream;", book.Symbol, "is", book.State)
	if err := socket.Close(); err != nil {
		log.Fatal(err)
	}
	for range messages { // until the reader has ended
	}
	// Output: 1 stream; BTC-USDT is live
}

// Records of one's own, read once they are visible.
func ExampleStorage_StoreTrades() {
	gateway := answering(map[string]http.HandlerFunc{
		"POST /api/v1/data-storage-service/storage/hot/trades": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Journal-Position", "0:1234")
			fmt.Fprint(w, `{"status":"success","message":"stored 1 trade","stored":1,"visible":false}`)
		},
		"GET /api/v1/data-storage-service/storage/journal": says(`{"data":{"journal_id":"j1","store_journal_id":"j1","shards":[]}}`),
		"GET /api/v1/data-storage-service/storage/applied": says(`{"reached":true}`),
	})
	defer gateway.Close()

	c, err := client.New(client.Config{Gateways: []string{gateway.URL}})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	stored, err := c.Storage.StoreTrades(ctx, client.NewTrade{
		Timestamp: time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), Exchange: "lab", Symbol: "BTC-USDT",
		TradeID: "1", Price: "61000.10", Amount: "0.50", Side: "buy",
	})
	if err != nil {
		log.Fatal(err)
	}
	journal, err := c.Storage.Journal(ctx)
	if err != nil {
		log.Fatal(err)
	}
	applied, err := c.Storage.AwaitApplied(ctx, journal.JournalID, stored.Position)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stored.Stored, "stored at", stored.Position+", to be read:", applied.Reached)
	// Output: 1 stored at 0:1234, to be read: true
}

// Messages of a durable consumer, each acknowledged; what is not comes again.
func ExampleBroker_Consume() {
	var fetched atomic.Bool
	gateway := answering(map[string]http.HandlerFunc{
		"POST /api/v1/message-broker-service/broker/streams/MARKET_DATA/consumers/desk/fetch": func(w http.ResponseWriter, _ *http.Request) {
			if fetched.Swap(true) {
				fmt.Fprint(w, `{"messages":[]}`)
				return
			}
			fmt.Fprint(w, `{"messages":[{"subject":"market.notes","data":{"note":"open"},"encoding":"json","seq":7,"deliveries":1,"token":"t7"}]}`)
		},
		"POST /api/v1/message-broker-service/broker/consumers/ack": says(`{"success":true,"settled":1,"failed":[]}`),
	})
	defer gateway.Close()

	c, err := client.New(client.Config{Gateways: []string{gateway.URL}})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for m, err := range c.Broker.Consume(ctx, "MARKET_DATA", "desk", 10) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.Seq, m.Subject, string(m.Data))
		if _, err := c.Broker.Ack(ctx, m.Token); err != nil {
			log.Fatal(err)
		}
		break // it would go on
	}
	// Output: 7 market.notes {"note":"open"}
}

// An answer that says no.
func ExampleError() {
	gateway := answering(map[string]http.HandlerFunc{
		"GET /api/v1/market-data-collector/orderbook/binance/BTC-EUR": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"status":404,"code":"unknown_symbol","detail":"binance has no book of BTC-EUR","request_id":"r1"}`)
		},
	})
	defer gateway.Close()

	c, err := client.New(client.Config{Gateways: []string{gateway.URL}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.Collector.Book(context.Background(), "binance", "BTC-EUR", "", 5)
	var refused *client.Error
	fmt.Println(client.StatusOf(err), client.CodeOf(err), errors.As(err, &refused))
	fmt.Println(refused.Detail, "("+refused.RequestID+")")
	// Output:
	// 404 unknown_symbol true
	// binance has no book of BTC-EUR (r1)
}

// answering is a gateway that has an answer to some requests.
func answering(routes map[string]http.HandlerFunc) *httptest.Server {
	mux := http.NewServeMux()
	for pattern, handle := range routes {
		mux.HandleFunc(pattern, handle)
	}
	return httptest.NewServer(mux)
}

// says is an answer of JSON.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// lines is an answer of records, which says at its end that it is complete.
func lines(records ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for _, record := range records {
			fmt.Fprintln(w, record)
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		w.Header().Set(http.TrailerPrefix+"X-Row-Count", fmt.Sprint(len(records)))
	}
}
