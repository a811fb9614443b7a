package limit_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/gateway/limit"
)

var start = time.Date(2026, 1, 2, 23, 59, 0, 0, time.UTC)

func TestRates(t *testing.T) {
	r := limit.NewRates(1000)
	k, rate := limit.Key{Rule: "address", Who: "10.0.0.1"}, limit.Rate{PerSecond: 2, Burst: 3}
	for i := range 3 {
		if v := r.Take(k, rate, start); !v.Allowed || v.Limit != 3 || v.Remaining != 2-i {
			t.Fatalf("request %d: %+v", i, v)
		}
	}
	v := r.Take(k, rate, start)
	if v.Allowed || v.Remaining != 0 || v.After != 500*time.Millisecond || v.Reset != 1500*time.Millisecond {
		t.Errorf("beyond the burst: %+v", v)
	}
	if v := r.Take(limit.Key{Rule: "address", Who: "10.0.0.2"}, rate, start); !v.Allowed {
		t.Error("another client pays for the first")
	}
	if v := r.Take(k, rate, start.Add(500*time.Millisecond)); !v.Allowed {
		t.Error("nothing has come back")
	}
	if v := r.Take(k, limit.Rate{PerSecond: 100, Burst: 200}, start.Add(time.Second)); !v.Allowed || v.Limit != 200 {
		t.Errorf("a rate that was changed: %+v", v)
	}
	if r.Refused() != 1 || r.Len() != 2 {
		t.Errorf("%d refused, %d clients", r.Refused(), r.Len())
	}
}

// TestRatesBounded: a flood of addresses does not fill the memory.
func TestRatesBounded(t *testing.T) {
	r := limit.NewRates(1280)
	rate := limit.Rate{PerSecond: 0.001, Burst: 2}
	for i := range 20_000 {
		r.Take(limit.Key{Rule: "address", Who: fmt.Sprint(i)}, rate, start.Add(time.Duration(i)))
	}
	if n := r.Len(); n > 1280 {
		t.Errorf("%d clients are remembered", n)
	}
	if r.Evicted() == 0 {
		t.Error("none was forgotten early")
	}
	// Full buckets go without being counted.
	before := r.Evicted()
	for i := range 5000 {
		r.Take(limit.Key{Rule: "b", Who: fmt.Sprint(i)}, limit.Rate{PerSecond: 1000, Burst: 1}, start.Add(time.Hour+time.Duration(i)*time.Second))
	}
	if n := r.Evicted() - before; n > 1280 {
		t.Errorf("%d clients were forgotten early, though their buckets were full", n)
	}
}

func TestQuotas(t *testing.T) {
	q := limit.NewQuotas(1000)
	for i := range 2 {
		if left, reset, ok := q.Take("desk", 2, start); !ok || left != int64(1-i) || reset != time.Minute {
			t.Fatalf("request %d: %d left, %v, %v", i, left, reset, ok)
		}
	}
	if _, _, ok := q.Take("desk", 2, start); ok {
		t.Error("a third of two")
	}
	if _, _, ok := q.Take("other", 2, start); !ok {
		t.Error("another client pays")
	}
	if _, _, ok := q.Take("desk", 2, start.Add(time.Minute)); !ok {
		t.Error("the next day has begun")
	}
}

func TestBudget(t *testing.T) {
	b := limit.NewBudget(0.5, 2)
	took := func(now time.Time) (n int) {
		for b.Withdraw(now) {
			n++
		}
		return n
	}
	if n := took(start); n != 2 {
		t.Errorf("%d without a request", n)
	}
	for range 10 {
		b.Deposit()
	}
	if n := took(start); n != 5 {
		t.Errorf("%d for ten requests", n)
	}
	if n := took(start.Add(500 * time.Millisecond)); n != 1 {
		t.Errorf("%d half a second later", n)
	}
	if n := took(start.Add(time.Hour)); n != 2 {
		t.Errorf("%d an hour later", n)
	}
	for range 10_000 {
		b.Deposit()
	}
	if n := took(start.Add(time.Hour)); n != 100 {
		t.Errorf("%d after a long good time", n)
	}
	if withdrew, refused := b.Counts(); withdrew != 110 || refused != 5 {
		t.Errorf("%d withdrawn, %d refused", withdrew, refused)
	}
}

func TestConcurrency(t *testing.T) {
	c := limit.NewConcurrency(50)
	var wg sync.WaitGroup
	var mu sync.Mutex
	in, most := 0, 0
	for range 200 {
		wg.Go(func() {
			if !c.Enter() {
				return
			}
			mu.Lock()
			in++
			most = max(most, c.Now())
			mu.Unlock()
		})
	}
	wg.Wait()
	if in != 50 || c.Now() != 50 || c.Refused() != 150 {
		t.Errorf("%d are in, %d counted, %d refused", in, c.Now(), c.Refused())
	}
	c.SetMost(10)
	c.Leave()
	if c.Enter() {
		t.Error("one more of a limit that was lowered")
	}
}

func TestConfig(t *testing.T) {
	if err := limit.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	bad := limit.DefaultConfig()
	bad.Address.PerSecond, bad.User.Burst, bad.PerDay, bad.Requests = 0, 0, -1, 0
	bad.Routes = []limit.RouteConfig{{Path: "x", PerSecond: 1, Burst: 1, Methods: []string{"FETCH"}}}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, key := range []string{"address.per_second", "user.burst", "per_day", "requests", "routes[0].path", "routes[0].methods"} {
		if !containsLine(err.Error(), key+": ") {
			t.Errorf("nothing is said of %s: %v", key, err)
		}
	}
}

func containsLine(text, prefix string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) >= len(prefix) && line[:len(prefix)] == prefix {
			return true
		}
	}
	return false
}

func BenchmarkTake(b *testing.B) {
	r := limit.NewRates(100_000)
	k, rate := limit.Key{Rule: "address", Who: "10.0.0.1"}, limit.Rate{PerSecond: 1e6, Burst: 1e6}
	b.ReportAllocs()
	for b.Loop() {
		r.Take(k, rate, start)
	}
}
