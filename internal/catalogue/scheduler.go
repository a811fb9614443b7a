package catalogue

// Metrics of actors/scheduler.
const (
	SchedulerLeader         Name = "mp_scheduler_leader"
	SchedulerTasks          Name = "mp_scheduler_tasks"
	SchedulerActive         Name = "mp_scheduler_active_runs"
	SchedulerFires          Name = "mp_scheduler_fires_total"
	SchedulerRuns           Name = "mp_scheduler_runs_total"
	SchedulerLateness       Name = "mp_scheduler_lateness_seconds"
	SchedulerRecordLateness Name = "mp_scheduler_record_lateness_seconds"
	SchedulerRunSeconds     Name = "mp_scheduler_run_seconds"
	SchedulerAppend         Name = "mp_scheduler_ledger_append_seconds"
	SchedulerAppendFailures Name = "mp_scheduler_ledger_failures_total"
)

func scheduler() Area {
	return Area{
		Title: "Scheduler",
		About: "Tasks, what was recorded of their schedules, and what became of the runs.",
		Metrics: []Metric{
			gauge(SchedulerLeader, Flag, "1 when this process leads and its ledger was read."),
			gauge(SchedulerTasks, Number, "Tasks by how they are: pending, running, completed, failed, cancelled or paused.", outcome),
			gauge(SchedulerActive, Number, "Runs under way or waiting for their turn."),
			counter(SchedulerFires, Number, "Due times that were recorded, as run, overlap, queue (both skipped) or missed.", outcome),
			counter(SchedulerRuns, Number, "Runs that are over: succeeded, failed, timed_out or cancelled.", outcome),
			histogram(SchedulerLateness, Seconds, Latency, "Time from when a run was due until it began, its record in the ledger included."),
			histogram(SchedulerRecordLateness, Seconds, Latency, "Time from when a run was due until the ledger had acknowledged its record."),
			histogram(SchedulerRunSeconds, Seconds, Task, "Time that a run took with all its attempts."),
			histogram(SchedulerAppend, Seconds, Commit, "Time until the ledger acknowledged a batch."),
			counter(SchedulerAppendFailures, Number, "Appends to the ledger that failed and were tried again, or ended the leadership."),
		},
	}
}
