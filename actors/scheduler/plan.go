package scheduler

import (
	"time"

	"github.com/marketprism/marketprism/actors/scheduler/ledger"
	"github.com/marketprism/marketprism/internal/cron"
)

// planStep bounds how many times one look goes through; the next look follows at
// once.
const planStep = 200_000

// planned is what a look at the clock found.
type planned struct {
	fires []ledger.Fire // to be recorded, oldest first; overlaps are not judged yet
	next  time.Time     // when to look again, jitter included; zero: never
}

// plan lists what of a schedule is due after one nominal time, by now. Times within
// the grace are met; older ones are missed, and the task says what that means.
func (t *Task) plan(s *cron.Schedule, after, now time.Time, grace time.Duration) planned {
	delay := t.delay()
	if t.StartAt != nil && after.Before(*t.StartAt) {
		after = t.StartAt.Add(-time.Nanosecond)
	}
	var p planned
	var missed []time.Time // the latest ones
	count, first, last := 0, time.Time{}, time.Time{}
	at := s.Next(after)
	for step := 0; ; step++ {
		if at.IsZero() || t.EndAt != nil && !at.Before(*t.EndAt) {
			break
		}
		due := at.Add(delay)
		if due.After(now) || step == planStep {
			p.next = due
			break
		}
		if now.Sub(due) > grace {
			if count == 0 {
				first = at
			}
			count, last = count+1, at
			if missed = append(missed, at); len(missed) > 2*maxCatchUp {
				missed = append(missed[:0], missed[len(missed)-maxCatchUp:]...)
			}
		} else {
			p.fires = append(p.fires, ledger.Fire{Task: t.ID, Nominal: at.UnixMilli()})
		}
		at = s.Next(at)
	}
	if count > 0 {
		p.fires = append(t.caughtUp(missed, count, first, last, now), p.fires...)
	}
	return p
}

// caughtUp turns missed times into what is recorded of them.
func (t *Task) caughtUp(missed []time.Time, count int, first, last, now time.Time) []ledger.Fire {
	limit := 0
	switch t.Misfire {
	case MisfireOnce:
		limit = 1
	case MisfireAll:
		limit = t.MisfireLimit
	}
	missed = missed[max(0, len(missed)-limit):]
	if t.MisfireWindowSeconds > 0 {
		oldest := now.Add(-seconds(t.MisfireWindowSeconds, 0))
		for len(missed) > 0 && missed[0].Before(oldest) {
			missed = missed[1:]
		}
	}
	var fires []ledger.Fire
	if lost := count - len(missed); lost > 0 {
		f := ledger.Fire{Task: t.ID, Nominal: first.UnixMilli(), Skip: ledger.SkipMissed}
		if lost > 1 {
			f.Until, f.Count = t.lastLost(missed, last), lost
		}
		fires = append(fires, f)
	}
	for _, at := range missed {
		fires = append(fires, ledger.Fire{Task: t.ID, Nominal: at.UnixMilli(), Cause: ledger.CauseCatchUp})
	}
	return fires
}

// lastLost is the last missed time that is not made up for.
func (t *Task) lastLost(made []time.Time, last time.Time) int64 {
	if len(made) == 0 {
		return last.UnixMilli()
	}
	// The span ends before what is made up for; its exact end is of no meaning beside
	// the count.
	return made[0].UnixMilli() - 1
}

// admit judges what is due against the runs of the task: busy under way, waiting in
// its queue. It returns the fires as they are to be recorded. What somebody asked
// for, and what is made up for, is never skipped for an overlap: it waits.
func (t *Task) admit(fires []ledger.Fire, busy, waiting int) []ledger.Fire {
	for i := range fires {
		f := &fires[i]
		switch {
		case f.Skip != "":
			continue
		case t.Overlap == OverlapSkip && busy > 0 && f.Cause == ledger.CauseSchedule:
			f.Skip = ledger.SkipOverlap
			continue
		case t.Overlap != OverlapAllow && t.Overlap != OverlapReplace && busy > 0:
			if waiting >= maxQueued && f.Cause != ledger.CauseCatchUp { // those are bounded by the task's limit
				f.Skip = ledger.SkipQueue
				continue
			}
			waiting++
		}
		busy++
	}
	return fires
}
