package messages_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/brokertest"
	"github.com/marketprism/marketprism/actors/broker/messages"
)

// BenchmarkSettle acknowledges messages in batches of 500, as consumers/ack does: of a
// stream that keeps what is acknowledged, and of a work queue, which removes it.
func BenchmarkSettle(b *testing.B) {
	for _, retention := range []string{"limits", "workqueue"} {
		b.Run(retention, func(b *testing.B) {
			s := brokertest.New(b, nil).Start()
			d := must(messages.Open(testContext(b), messages.Options{Broker: s.Handle}))(b)
			defer d.Close()
			must(d.CreateStream(testContext(b), broker.StreamConfig{
				Name: "BENCH", Subjects: []string{"bench.>"}, Retention: retention, Storage: "file", Discard: "old", MaxBytes: 256 << 20, Replicas: 1,
			}))(b)
			must(d.CreateConsumer(testContext(b), "BENCH", messages.ConsumerConfig{Name: "desk", AckWait: 5 * time.Minute, MaxAckPending: 1 << 20}))(b)
			const batch = 500
			for at := 0; at < b.N; at += batch {
				b.StopTimer()
				n := min(batch, b.N-at)
				var all []messages.Message
				for i := range n {
					all = append(all, message("bench.a", fmt.Sprint(i)))
				}
				must(d.PublishAll(testContext(b), all))(b)
				var receipts []string
				for len(receipts) < n {
					for _, m := range must(d.Fetch(testContext(b), "BENCH", "desk", n-len(receipts), 10*time.Second))(b) {
						receipts = append(receipts, m.Receipt)
					}
				}
				b.StartTimer()
				for _, err := range d.SettleAll(testContext(b), receipts, messages.Ack, 0, "") {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acks/s")
		})
	}
}
