package catalogue

// Metrics of actors/supervise.
const (
	ActorMessages      Name = "mp_actor_messages_total"
	ActorHandle        Name = "mp_actor_handle_seconds"
	ActorBusy          Name = "mp_actor_busy_seconds_total"
	ActorMailboxWait   Name = "mp_actor_mailbox_wait_seconds"
	ActorMailboxDepth  Name = "mp_actor_mailbox_depth_max"
	ActorMailboxDrops  Name = "mp_actor_mailbox_dropped_total"
	ActorDeadLetters   Name = "mp_actor_dead_letters_total"
	ActorsAlive        Name = "mp_actor_alive"
	ActorsStarted      Name = "mp_actor_started_total"
	ActorsStopped      Name = "mp_actor_stopped_total"
	ActorsRestarted    Name = "mp_actor_restarted_total"
	ActorFailures      Name = "mp_actor_failures_total"
	ActorsEscalated    Name = "mp_actor_escalated_total"
	ActorsAbandoned    Name = "mp_actor_abandoned_total"
	ActorStaleOutcomes Name = "mp_actor_stale_results_total"
)

func actors() Area {
	return Area{
		Title: "Actors",
		About: "By kind of actor. What one actor does is in the supervision tree, `/api/v1/actors/tree`.",
		Metrics: []Metric{
			counter(ActorMessages, Number, "Messages handled, by type.", kind, exchange, message),
			histogram(ActorHandle, Seconds, Handling, "Time to handle a message, one in 64.", kind, message),
			counter(ActorBusy, Seconds, "Time actors spent handling messages.", kind, exchange),
			histogram(ActorMailboxWait, Seconds, Handling, "Time a message waited in its mailbox, one in 64.", kind),
			gauge(ActorMailboxDepth, Number, "Messages in the deepest mailbox of the kind now.", kind, exchange),
			counter(ActorMailboxDrops, Number, "Messages given up by full mailboxes.", kind, exchange),
			counter(ActorDeadLetters, Number, "Messages that reached no actor, by the kind addressed.", kind, message),
			gauge(ActorsAlive, Number, "Actors alive.", kind, exchange),
			counter(ActorsStarted, Number, "Actors started, restarts not included.", kind, exchange),
			counter(ActorsStopped, Number, "Actors stopped.", kind, exchange),
			counter(ActorsRestarted, Number, "Restarts of actors by their supervisors.", kind, exchange),
			counter(ActorFailures, Number, "Failures of actors: panics, missed start deadlines, unexpected ends.", kind, exchange),
			counter(ActorsEscalated, Number, "Supervisors that gave up because their children failed too often.", kind, exchange),
			counter(ActorsAbandoned, Number, "Actors and goroutines left behind because they did not stop in time.", kind, exchange),
			counter(ActorStaleOutcomes, Number, "Results and timers of ended incarnations that were dropped.", kind, exchange),
		},
	}
}
