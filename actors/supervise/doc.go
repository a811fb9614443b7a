// Package supervise is the ground every actor of MarketPrism stands on: a
// supervision tree over protoactor-go's local core, with bounded mailboxes,
// credits, a base actor that measures and reports, and one registry of all that
// lives.
//
// # Authority
//
// A [System] owns one protoactor system and the root of the tree. A branch (see
// [Branch]) owns its children: it alone starts, restarts and stops them. An
// actor owns its goroutines, timers and operations in flight: none outlives the
// incarnation that began it. The [Tree] only watches; it decides nothing.
//
// # States of an actor
//
//	            start              ready
//	(spec) ──────────────▶ starting ─────▶ running ◀───────────────┐
//	                          │               │ panic              │ ready
//	                          │ panic, or     ▼                    │
//	                          └ start ──▶  backoff ──timer──▶ restarting
//	                            timeout       │
//	        stop: drain, then deadline        │ intensity exceeded
//	any ─────────────▶ stopping ──▶ stopped   └──▶ failed ──▶ the parent's failure
//
// A restart makes a new instance from Spec.New, keeps the PID and the mailbox and
// drops the message that failed. It happens after min(cap, base·2ⁿ) ± jitter; n
// falls back to 0 once the child has run for Backoff.ResetAfter. A branch allows
// Strategy.Restarts restarts in Strategy.Within over all its children. With one
// more it stops its children in reverse order and fails itself, so its parent
// restarts it as a whole. The root has no parent: [System.Fatal] closes,
// [System.Ready] turns false, and the process is expected to stop the system and
// exit non-zero, so that the orchestrator starts it afresh.
//
// # Failure
//
// Any panic in Receive, in a goroutine of [Context.Go] or in an operation of
// [InFlight] is a failure of the actor, never of the process; goroutines that such a
// goroutine begins itself are a [Crew], which hands their panics to it. A panic in
// Stopping, Stopped or Restarting is recorded and does not hinder the stop. An
// ordinary actor that spawns children of its own shares their failures: when one
// fails, so does it. An actor that does not answer to its stop is abandoned after
// twice its ShutdownTimeout, counted and named by [System.Stop]: Go cannot end a
// goroutine, only the process can.
//
// # Queues
//
// Every mailbox is bounded (see [Mailbox]) and never blocks its sender.
// Lifecycle, the results of operations, timers and failures travel on lanes of
// their own and are never dropped; their number is bounded by what an actor
// itself has begun. Bytes are bounded by [Credits].
//
// # A branch and a child that crashes
//
//	type ticker struct{ seen int }
//
//	func (t *ticker) Receive(c *supervise.Context) {
//		switch m := c.Message().(type) {
//		case *actor.Started:
//			c.Go(func(ctx context.Context) { t.read(ctx) }) // ends with this incarnation
//			c.Every(time.Second, beat{})
//		case tick:
//			t.seen++
//			if m.Price <= 0 {
//				panic("tick without a price") // the branch restarts us with backoff
//			}
//		case statusRequest:
//			c.Respond(status{Seen: t.seen})
//		}
//	}
//
//	collector := supervise.Branch("collector", supervise.DefaultStrategy(),
//		supervise.Spec{
//			Name: "session", Kind: "session", Exchange: "binance",
//			New:        func() supervise.Actor { return newSession(cfg) },
//			AwaitReady: true, // ticker starts once session has called c.Ready()
//		},
//		supervise.Spec{
//			Name: "ticker", Kind: "ticker",
//			New:     func() supervise.Actor { return &ticker{} },
//			Mailbox: supervise.Mailbox{Capacity: 4096, Overflow: supervise.DropOldest},
//		},
//	)
//
//	sys, err := supervise.NewSystem(ctx, supervise.Options{Logger: log, Registerer: reg})
//	...
//	err = sys.Start(ctx, collector)                  // returns once all are ready
//	pid, _ := sys.Lookup("root/collector/ticker")
//	st, err := supervise.Ask[status](ctx, sys, pid, statusRequest{})
//	err = sys.StartChild(ctx, "root/collector", spec) // children come and go
//	select { case <-sys.Fatal(): exit = 1; case <-signals: }
//	err = sys.Stop(ctx)                              // reverse order, complete, idempotent
//
// An operation that may block (a flush, a snapshot request) runs beside the
// actor, one at a time, and its result comes back as a message:
//
//	if !w.flush.Start(c, func(ctx context.Context) any {
//		return flushed{rows: n, err: store.Write(ctx, batch)}
//	}) {
//		// one is in flight already; wait for its flushed{}
//	}
package supervise
