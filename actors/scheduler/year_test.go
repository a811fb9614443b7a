package scheduler_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/internal/cron"
)

// pass lets time pass in a bubble, until everything has settled.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// A year of several schedules: each nominal time is recorded once and run once.
func TestLargeSimulatedYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := make(map[string]int)
		var order []string
		do := func(name string) json.RawMessage { return json.RawMessage(`"` + name + `"`) }
		counted := make(chan string, 1<<16)
		store := memory()
		o := options(store, func(_ context.Context, payload json.RawMessage) (string, error) {
			counted <- string(payload)
			return "", nil
		})
		o.Config.ClockCheck = 24 * time.Hour
		o.Config.MaxConcurrentTasks = 4
		w := start(t, o)
		begin := time.Now()
		expressions := map[string]string{
			"quarter hourly": "*/15 * * * *", "hourly in Lord Howe": "0 * * * *", "daily in New York": "30 1,2 * * *",
			"weekdays in Tokyo": "0 9 * * MON-FRI", "last of the month": "59 23 L * *", "every": "@every 50m", "spread": "~ ~ * * *", "once": "@at 2000-06-01T12:00:00",
		}
		zones := map[string]string{"hourly in Lord Howe": "Australia/Lord_Howe", "daily in New York": "America/New_York", "weekdays in Tokyo": "Asia/Tokyo"}
		ids := map[string]string{}
		for name, expression := range expressions {
			one := task(name, expression)
			one.Timezone, one.Payload = zones[name], do(name)
			ids[name] = w.create(one).ID
			order = append(order, name)
		}
		end := begin.Add(365 * 24 * time.Hour)
		for time.Now().Before(end) {
			pass(12*time.Hour + time.Second)
			for len(counted) > 0 {
				var name string
				if err := json.Unmarshal([]byte(<-counted), &name); err != nil {
					t.Error(err)
				}
				runs[name]++
			}
		}
		recorded := map[string]map[int64]int{}
		for _, f := range store.Fires() {
			if f.Skip != "" || f.Cause != ledger.CauseSchedule {
				t.Errorf("recorded %+v", f)
			}
			if recorded[f.Task] == nil {
				recorded[f.Task] = map[int64]int{}
			}
			recorded[f.Task][f.Nominal]++
		}
		total := 0
		for _, name := range order {
			zone, err := cron.Zone(zones[name])
			if err != nil {
				t.Fatal(err)
			}
			s, err := cron.Parse(expressions[name], cron.Options{Zone: zone, Seed: ids[name]})
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			for at := s.Next(begin); !at.IsZero() && !at.After(time.Now()); at = s.Next(at) {
				want++
				if n := recorded[ids[name]][at.UnixMilli()]; n != 1 {
					t.Errorf("%s: %v was recorded %d times", name, at, n)
				}
			}
			if len(recorded[ids[name]]) != want || runs[name] != want || want == 0 {
				t.Errorf("%s: %d times recorded, %d runs, want %d", name, len(recorded[ids[name]]), runs[name], want)
			}
			total += want
		}
		t.Logf("%d times of %d tasks, %d batches", total, len(order), store.Batches())
		w.stop()
		pass(time.Second) // the library's own timers
	})
}
