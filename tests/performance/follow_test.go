package performance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/tests/harness"
)

// followed is how many messages of 200 bytes the stream holds.
const followed = 50_000

// BenchmarkFollow reads what a stream holds, of the broker in a process of its own: by
// server-sent events, with one client and with sixteen at once, and in turn with them
// by NATS's own ordered consumer over TCP, which is the floor. Every client has to get
// every message once and in order.
func BenchmarkFollow(b *testing.B) {
	n := harness.Start(b, b.TempDir(), harness.Settings{harness.Broker + ".nats.port": freePort(b)}, harness.Broker)
	url := n.URL(harness.Broker, "/api/v1/broker/")
	fill(b, url)
	var one, many, floor, published time.Duration
	runs := 0
	for b.Loop() {
		one += events(b, url, 1)
		many += events(b, url, 16)
		floor += consumed(b, url)
		published += single(b, url)
		runs++
	}
	rate := func(messages int, took time.Duration) float64 { return float64(messages*runs) / took.Seconds() }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate(followed, one), "sse-1-msgs/s")
	b.ReportMetric(rate(16*followed, many), "sse-16-msgs/s")
	b.ReportMetric(rate(followed, floor), "nats-msgs/s")
	b.ReportMetric(rate(singles, published), "publishes/s")
}

// fill publishes what is read.
func fill(b *testing.B, url string) {
	b.Helper()
	pad := strings.Repeat("x", 180)
	for from := 0; from < followed; from += 1000 {
		type message struct {
			Subject string `json:"subject"`
			Message string `json:"message"`
		}
		var in struct {
			Messages []message `json:"messages"`
		}
		for i := range 1000 {
			in.Messages = append(in.Messages, message{"market.bench", fmt.Sprint(from+i, " ", pad)})
		}
		send(b, url+"batch", in)
	}
}

func send(b *testing.B, url string, in any) {
	body, err := json.Marshal(in)
	if err != nil {
		b.Error(err)
		return
	}
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Errorf("%s: %s", url, resp.Status)
	}
}

// singles are messages that are published one by one, by eight clients at a time.
const singles = 2000

func single(b *testing.B, url string) time.Duration {
	b.Helper()
	begin := time.Now()
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for i := range singles / 8 {
				send(b, url+"publish", map[string]any{"subject": "system.bench", "message": i})
			}
		})
	}
	clients.Wait()
	return time.Since(begin)
}

// events follows the stream with so many clients at once.
func events(b *testing.B, url string, clients int) time.Duration {
	b.Helper()
	begin := time.Now()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			if err := readEvents(b.Context(), url); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	return time.Since(begin)
}

// readEvents is one client: it wants the messages in order, by the sequence in their ids.
func readEvents(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"subscribe?subject=market.bench&from=first", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for want := 0; want < followed && lines.Scan(); {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte(`data: {"subject":"market.bench","stream":"MARKET_DATA","seq":`))
		if !ok {
			continue
		}
		want++
		if !bytes.HasPrefix(data, fmt.Appendf(nil, "%d,", want)) {
			return fmt.Errorf("message %d is %.80s", want, data)
		}
		if want == followed {
			return nil
		}
	}
	return fmt.Errorf("the stream of events ended: %w", lines.Err())
}

// consumed reads the same by a NATS client.
func consumed(b *testing.B, url string) time.Duration {
	b.Helper()
	var info struct {
		Server struct{ URL string } `json:"server_info"`
	}
	harness.GetJSON(b, url+"nats/info", &info)
	nc, err := nats.Connect(info.Server.URL)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	c, err := js.OrderedConsumer(b.Context(), "MARKET_DATA", jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	m, err := c.Messages()
	if err != nil {
		b.Fatal(err)
	}
	defer m.Stop()
	for range followed {
		if _, err := m.Next(jetstream.NextMaxWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(begin)
}
