package live_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/collector/live"
	"github.com/marketprism/marketprism/internal/market"
)

// BenchmarkFanOut is the way of one trade from the stream's actor into the queues
// of clients and out of them, without sockets. One client in a thousand, where
// there are so many, never takes.
func BenchmarkFanOut(b *testing.B) {
	for _, clients := range []int{0, 1, 10, 1000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			w := newWorld(b, func(c *live.Config) { c.QueueRecords, c.RelayRecords = 1<<20, 1<<20 }, "BTC-USDT")
			a := w.actor(0)
			a.tick("1")
			var takers sync.WaitGroup
			for n := range clients {
				f := w.subscribed(live.WebSocket, live.Filter{Kinds: []string{"trade", "ticker"}})
				f.begun()
				if n == 0 && clients >= 1000 {
					continue
				}
				takers.Go(func() { drain(f.client, b.N) })
			}
			trade := &market.Trade{Header: market.Header{Instrument: a.i, ReceiveTime: time.Now().UnixNano(), Seq: market.Int(1)},
				ID: market.NumID(1), Price: market.MustDecimal("61800.01"), Amount: market.MustDecimal("0.5"), Side: market.Buy}
			text := a.form.Append(nil, trade)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				a.source.Publish(trade, text)
				a.source.Stepped(a)
			}
			takers.Wait()
		})
	}
}

func drain(c *live.Client, count int) {
	var out []byte
	for count > 0 {
		<-c.Ready()
		messages, err := c.Take()
		if err != nil {
			return
		}
		for i := range messages {
			out = messages[i].AppendTo(out[:0])
		}
		count -= len(messages)
	}
}
