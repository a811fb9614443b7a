package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// say renders fires relative to noon.
func say(fires []ledger.Fire) (out []string) {
	for _, f := range fires {
		at := f.Time().Sub(noon).String()
		if f.Cause != "" {
			at += " " + f.Cause
		}
		if f.Skip != "" {
			at += " " + f.Skip
		}
		if f.Count > 0 {
			at += fmt.Sprintf(" x%d", f.Count)
		}
		out = append(out, at)
	}
	return out
}

func TestPlan(t *testing.T) {
	start, end := noon.Add(2*time.Minute), noon.Add(4*time.Minute)
	for _, tc := range []struct {
		name  string
		task  Task
		after time.Duration // from noon
		now   time.Duration
		want  []string
		next  string // from noon; "" never
	}{
		{"nothing yet", Task{Cron: "* * * * *"}, 0, 59 * time.Second, nil, "1m0s"},
		{"due right now", Task{Cron: "* * * * *"}, 0, time.Minute, []string{"1m0s"}, "2m0s"},
		{"late within the grace", Task{Cron: "*/20 * * * * *"}, 0, 61 * time.Second, []string{"20s", "40s", "1m0s"}, "1m20s"},
		{"missed, skip", Task{Cron: "* * * * *", Misfire: MisfireSkip}, 0, 10 * time.Minute, []string{"1m0s missed x8", "9m0s", "10m0s"}, "11m0s"},
		{"one missed, skip", Task{Cron: "*/5 * * * *", Misfire: MisfireSkip}, 0, 7 * time.Minute, []string{"5m0s missed"}, "10m0s"},
		{"missed, once", Task{Cron: "* * * * *", Misfire: MisfireOnce}, 0, 5*time.Minute + 30*time.Second, []string{"1m0s missed x3", "4m0s caught_up", "5m0s"}, "6m0s"},
		{"missed, all", Task{Cron: "* * * * *", Misfire: MisfireAll, MisfireLimit: 100}, 0, 4*time.Minute + 30*time.Second, []string{"1m0s caught_up", "2m0s caught_up", "3m0s caught_up", "4m0s"}, "5m0s"},
		{"missed, all, capped", Task{Cron: "* * * * *", Misfire: MisfireAll, MisfireLimit: 2}, 0, 6 * time.Minute, []string{"1m0s missed x2", "3m0s caught_up", "4m0s caught_up", "5m0s", "6m0s"}, "7m0s"},
		{"missed, all, in a window", Task{Cron: "* * * * *", Misfire: MisfireAll, MisfireLimit: 100, MisfireWindowSeconds: 150}, 0, 6 * time.Minute, []string{"1m0s missed x3", "4m0s caught_up", "5m0s", "6m0s"}, "7m0s"},
		{"missed, once, too old", Task{Cron: "0 0 1 6 *", Misfire: MisfireOnce, MisfireWindowSeconds: 3600}, -24 * time.Hour, 0, []string{"-12h0m0s missed"}, "8748h0m0s"},
		{"bounds", Task{Cron: "* * * * *", StartAt: &start, EndAt: &end}, 0, 10 * time.Minute, []string{"2m0s missed x2"}, ""},
		{"before its start", Task{Cron: "* * * * *", StartAt: &start}, 0, time.Minute, nil, "2m0s"},
		{"once", Task{Cron: "@at 2026-06-01T12:01:00Z"}, 0, time.Minute, []string{"1m0s"}, ""},
		{"once, over", Task{Cron: "@at 2026-06-01T12:01:00Z"}, time.Minute, time.Hour, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			task := tc.task.withDefaults()
			task.ID = "t"
			s, err := task.schedule()
			if err != nil {
				t.Fatal(err)
			}
			p := task.plan(s, noon.Add(tc.after), noon.Add(tc.now), time.Minute)
			next := ""
			if !p.next.IsZero() {
				next = p.next.Sub(noon).String()
			}
			if got := say(p.fires); !slices.Equal(got, tc.want) || next != tc.next {
				t.Errorf("got %q, next %s\nwant %q, next %s", got, next, tc.want, tc.next)
			}
		})
	}
}

// However long nobody looked, each time is accounted for once, and looking goes on in
// bounded steps.
func TestPlanAccountsForEverything(t *testing.T) {
	task := (&Task{ID: "t", Cron: "* * * * * *", Misfire: MisfireAll, MisfireLimit: 7}).withDefaults()
	s, err := task.schedule()
	if err != nil {
		t.Fatal(err)
	}
	now, after, total, steps := noon.Add(5*24*time.Hour), noon, 0, 0
	for ; ; steps++ {
		p := task.plan(s, after, now, time.Minute)
		if len(p.fires) == 0 {
			break
		}
		last := int64(0)
		for _, f := range p.fires {
			if f.Nominal <= last {
				t.Fatalf("%v follows %v", f.Nominal, last)
			}
			total += f.Times()
			last = max(f.Nominal, f.Until)
		}
		after = time.UnixMilli(last)
	}
	if want := 5 * 24 * 3600; total != want || steps < 2 {
		t.Errorf("%d times in %d steps, want %d", total, steps, want)
	}
}

func TestAdmit(t *testing.T) {
	fires := func(causes ...string) (out []ledger.Fire) {
		for i, c := range causes {
			out = append(out, ledger.Fire{Nominal: noon.UnixMilli() + int64(i)*1000, Cause: c})
		}
		return out
	}
	for _, tc := range []struct {
		name, overlap string
		busy, waiting int
		fires         []ledger.Fire
		want          []string
	}{
		{"skip, idle", OverlapSkip, 0, 0, fires("", ""), []string{"0s", "1s overlap"}},
		{"skip, busy", OverlapSkip, 1, 0, fires(""), []string{"0s overlap"}},
		{"skip, asked for", OverlapSkip, 1, 0, fires("manual"), []string{"0s manual"}},
		{"skip, made up for", OverlapSkip, 1, 0, fires("caught_up", "caught_up"), []string{"0s caught_up", "1s caught_up"}},
		{"queue", OverlapQueue, 1, 98, fires("", "", ""), []string{"0s", "1s", "2s queue"}},
		{"replace", OverlapReplace, 1, 0, fires("", ""), []string{"0s", "1s"}},
		{"allow", OverlapAllow, 7, 0, fires("", ""), []string{"0s", "1s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			task := Task{Overlap: tc.overlap}
			if got := say(task.admit(tc.fires, tc.busy, tc.waiting)); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// The jitter of a task is always the same, and spreads over tasks.
func TestDelay(t *testing.T) {
	spread := map[int]int{}
	for i := range 5000 {
		task := Task{ID: fmt.Sprint("task-", i), JitterSeconds: 10}
		d := task.delay()
		if d < 0 || d > 10*time.Second || d != task.delay() {
			t.Fatalf("%s: %v", task.ID, d)
		}
		spread[int(d/time.Second)]++
	}
	for second := range 10 {
		if n := spread[second]; n < 350 || n > 650 {
			t.Errorf("%d of 5000 in second %d", n, second)
		}
	}
}

func TestRetryWait(t *testing.T) {
	r := Retry{BackoffSeconds: 1, MaxBackoffSeconds: 10}
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 200: 10 * time.Second} {
		if got := r.wait(n, 0, 0.5); got != want {
			t.Errorf("after attempt %d: %v, want %v", n, got, want)
		}
		if lo, hi := r.wait(n, 0, 0), r.wait(n, 0, 1); lo != want*8/10 || hi != want*12/10 {
			t.Errorf("after attempt %d: from %v to %v", n, lo, hi)
		}
	}
	if got := r.wait(1, 7*time.Second, 0.5); got != 7*time.Second {
		t.Errorf("asked for 7 s: %v", got)
	}
	if got := r.wait(1, time.Hour, 0.5); got != 10*time.Second {
		t.Errorf("asked for an hour: %v", got)
	}
}
