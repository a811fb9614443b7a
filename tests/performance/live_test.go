package performance

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/marketprism/marketprism/tests/harness"
)

// BenchmarkLive is the time from a frame read from the exchange's socket to its
// record in a subscriber of the live plane, in another process, at an even 20,000
// frames a second for four seconds, the first one left out. In turn with it run
// two relays that do nothing but bring frames to a subscriber, one of them with a
// synced journal: the floor of this machine at this moment.
//
// Of each: p50 and p99 from the frame's reading on, wire-p99 from its writing on.
// cpu is that of its process, everything included.
// late-p99 is how late the exchange itself was, over all runs: it sleeps and
// writes, so that this is what the machine does to anyone who waits for a timer.
func BenchmarkLive(b *testing.B) {
	const rate, seconds = 20_000, 4
	var program, bare, synced, machine delays
	for b.Loop() {
		measure(b, &program, &machine, rate, seconds, func(x *paced, port int) (pid int, stop func()) {
			settings := x.settings()
			settings["message-broker-service.nats.port"] = port
			n := harness.Start(b, b.TempDir(), settings)
			return n.PID(), n.Stop
		})
		measure(b, &bare, &machine, rate, seconds, func(x *paced, port int) (int, func()) { return startRelay(b, x, port, "") })
		measure(b, &synced, &machine, rate, seconds, func(x *paced, port int) (int, func()) { return startRelay(b, x, port, b.TempDir()) })
	}
	b.ReportMetric(0, "ns/op") // starting processes, mostly
	for name, d := range map[string]*delays{"": &program, "relay-": &bare, "synced-relay-": &synced} {
		b.ReportMetric(at(d.read, 0.50), name+"p50-µs")
		b.ReportMetric(at(d.read, 0.99), name+"p99-µs")
		b.ReportMetric(at(d.wire, 0.99), name+"wire-p99-µs")
		b.ReportMetric(float64(d.cpu.Microseconds())/float64(d.records), name+"cpu-µs/record")
	}
	b.ReportMetric(at(machine.wire, 0.99), "late-p99-µs")
	b.ReportMetric(at(program.read, 0.99)/at(bare.read, 0.99), "p99/relay")
	b.ReportMetric(at(program.read, 0.99)/at(synced.read, 0.99), "p99/synced-relay")
}

// delays are how long records took: since their frames were read, and since they
// were written; and what CPU was taken for all of them.
type delays struct {
	read, wire []time.Duration
	cpu        time.Duration
	records    int
}

// at is a quantile in microseconds.
func at(all []time.Duration, quantile float64) float64 {
	slices.Sort(all)
	return float64(all[int(float64(len(all)-1)*quantile)].Nanoseconds()) / 1e3
}

// measure adds one run to d, and to late how late the exchange was.
func measure(b *testing.B, d, late *delays, rate, seconds int, start func(x *paced, port int) (pid int, stop func())) {
	b.Helper()
	exchange := newPaced(b, rate, rate*seconds)
	port := freePort(b)
	pid, stop := start(exchange, port)
	before := cpu(b, pid)
	runtime.GC()
	percent := debug.SetGCPercent(-1) // the measuring side is not to be measured
	seen := follow(b, exchange, port)
	debug.SetGCPercent(percent)
	d.cpu += cpu(b, pid) - before
	d.records += exchange.total
	stop()
	exchange.Close()
	for number := rate + 1; number <= rate*seconds; number++ {
		s := seen[number]
		if s.at == 0 {
			b.Fatalf("record %d did not come", number)
		}
		sent := exchange.sent[number].Load()
		d.read = append(d.read, time.Duration(s.at-s.read))
		d.wire = append(d.wire, time.Duration(s.at-sent))
		late.wire = append(late.wire, time.Duration(sent-exchange.due[number]))
	}
}

// sighting is when a record came, and when its frame had been read, Unix ns.
type sighting struct{ at, read int64 }

// follow takes every record from the live plane, by number.
func follow(b *testing.B, exchange *paced, port int) []sighting {
	b.Helper()
	nc, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", port))
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	seen := make([]sighting, exchange.total+1)
	ended := make(chan error, 1)
	left := exchange.total
	sub, err := nc.Subscribe("md.v1.trade.>", func(m *nats.Msg) {
		now := time.Now().UnixNano()
		id, err := numberAfter(m.Data, `"id":"`)
		if err == nil && (id < 1 || id > int64(exchange.total) || seen[id].at != 0) {
			err = fmt.Errorf("trade %d comes twice, or was never sent", id)
		}
		var read int64
		if err == nil {
			read, err = numberAfter(m.Data, `"receive_time_ns":`)
		}
		if err == nil {
			seen[id] = sighting{now, read}
			left--
		}
		if err != nil || left == 0 {
			select {
			case ended <- err:
			default:
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		b.Fatal(err)
	}
	if err := nc.Flush(); err != nil { // the server has the subscription
		b.Fatal(err)
	}
	close(exchange.begin)
	select {
	case err := <-ended:
		if err != nil {
			b.Fatal(err)
		}
	case <-time.After(time.Minute):
		b.Fatal("not all records came within a minute")
	}
	return seen
}

// numberAfter is the number behind the first key of a text.
func numberAfter(text []byte, key string) (int64, error) {
	_, rest, ok := bytes.Cut(text, []byte(key))
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	if !ok || n == 0 {
		return 0, fmt.Errorf("no %s in %s", key, text)
	}
	return strconv.ParseInt(string(rest[:n]), 10, 64)
}
