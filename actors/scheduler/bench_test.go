package scheduler_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler"
)

// BenchmarkFires is what a fire costs from its timer to its recorded result, with a
// ledger in memory: by an actor's message, and by HTTP with the server in this
// process, which is about half of it.
func BenchmarkFires(b *testing.B) {
	for _, by := range []string{"message", "http"} {
		b.Run(by, func(b *testing.B) {
			for b.Loop() {
				fires, cpu := fire(b, by, 2000, 6*time.Second)
				b.ReportMetric(float64(cpu.Microseconds())/float64(fires), "cpu-µs/fire")
				b.ReportMetric(float64(fires)/6, "fires/s")
			}
		})
	}
}

func fire(b *testing.B, by string, tasks int, period time.Duration) (fires int64, cpu time.Duration) {
	b.Helper()
	var called atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called.Add(1) }))
	defer server.Close()
	o := options(memory(), nothing)
	o.Config.FlushInterval, o.Config.MaxConcurrentTasks = 10*time.Millisecond, 64
	o.Resolve = func(context.Context, string) ([]string, error) { return []string{server.URL}, nil }
	w := start(b, o)
	for i := range tasks {
		one := task(fmt.Sprint(i), "@every 2s")
		if by == "http" {
			one.TargetService, one.TargetEndpoint = "target-service", "/"
		}
		w.create(one)
	}
	count := func() (n int64) {
		for after, id := (time.Time{}), ""; ; {
			views, more, _ := w.h.Tasks(scheduler.Filter{}, after, id, 1000)
			for _, v := range views {
				n += int64(v.Runs)
				after, id = v.CreatedAt, v.ID
			}
			if !more {
				return n
			}
		}
	}
	before, used := count(), spent(b)
	<-time.After(period)
	cpu, fires = spent(b)-used, count()-before
	w.stop()
	if fires == 0 || by == "http" && called.Load() == 0 {
		b.Fatalf("%d fires, %d calls", fires, called.Load())
	}
	return fires, cpu
}

// spent is the CPU time of this process.
func spent(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
