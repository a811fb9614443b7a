package journal

import (
	"testing"

	"github.com/marketprism/marketprism/internal/market"
)

// TestRecordsThroughTheJournal takes records of every kind through encoder,
// recorder, a broker restart, reader and decoder.
func TestRecordsThroughTheJournal(t *testing.T) {
	b := startBroker(t)
	j := b.openJournal(testConfig())
	rec, e := newRecorder(t, j), NewEncoder()
	const batches = 20
	for seed := range uint64(batches) {
		e.Reset()
		if err := e.AddBatch(randomBatch(seed, 200)); err != nil {
			t.Fatal(err)
		}
		if _, err := rec.Seal(e.Payload(), e.Rows()); err != nil {
			t.Fatal(err)
		}
		if seed == batches/2 {
			b.stop()
			b.start()
		}
		if _, err := rec.Deliver(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	b.stop()
	b.start()
	j = b.openJournal(testConfig())
	r, d := newReader(t, j, start(t, j)), NewDecoder()
	var got market.Batch
	for seed := range uint64(batches) {
		m, err := r.Next(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		got.Reset()
		n, err := d.Decode(m.Payload, &got)
		if err != nil || n != m.Rows {
			t.Fatalf("%d records, the batch says %d: %v", n, m.Rows, err)
		}
		wantEqual(t, &got, randomBatch(seed, 200))
	}
}
