package grafana

import "github.com/marketprism/marketprism/internal/catalogue"

func brokerPage() Page {
	var f filters
	return Page{
		UID: "marketprism-broker", Title: "MarketPrism / Broker and scheduler",
		About: "NATS JetStream, its streams and consumers; tasks by cron, and their runs.",
		Areas: []string{"Broker", "Scheduler"},
		Rows: []Row{
			{Title: "At a glance", Panels: []Panel{
				number("Broker can be used", "", f.value("min", catalogue.BrokerUp)).below(1),
				number("Connections", "", f.value("sum", catalogue.BrokerConnections)),
				number("Disk", "Of what JetStream may have.", f.value("max", catalogue.BrokerStore).over(f.value("max", catalogue.BrokerStoreLimit), "percentunit")).from(0.8),
				number("Leads the schedule", "Processes; one is right.", f.value("sum", catalogue.SchedulerLeader)).below(1),
				number("Tasks", "Of the schedule.", f.value("sum", catalogue.SchedulerTasks)),
				number("Runs failed in an hour", "", Query{
					Expr:   "sum(increase(" + f.selector(wanted(catalogue.SchedulerRuns, catalogue.Counter, nil), "", []string{`outcome!="succeeded"`}) + "[1h]))",
					Legend: "", Unit: "short", Uses: []catalogue.Name{catalogue.SchedulerRuns},
				}).from(1),
			}},
			{Title: "Broker", Panels: []Panel{
				lines("Messages", "Into and out of the embedded server.", f.rate(catalogue.BrokerMessages, "outcome")),
				lines("Bytes", "", f.rate(catalogue.BrokerBytes, "outcome")),
				lines("Streams by size", "", f.value("max", catalogue.BrokerStreamBytes, "stream").top(12)),
				lines("Not yet sent to consumers", "Messages.", f.value("max", catalogue.BrokerConsumerPending, "stream", "consumer").top(12)),
				lines("Not yet acknowledged", "Messages.", f.value("max", catalogue.BrokerConsumerUnacknowledged, "stream", "consumer").top(12)),
				lines("Slow connections that were closed", "", f.rate(catalogue.BrokerSlowConsumers)),
			}},
			{Title: "Scheduler", Panels: []Panel{
				lines("Due times recorded", "By what was decided.", f.rate(catalogue.SchedulerFires, "outcome")),
				lines("Runs that are over", "", f.rate(catalogue.SchedulerRuns, "outcome")),
				lines("Late", "From when a run was due until it began.", f.quantile(0.5, catalogue.SchedulerLateness).called("half"), f.quantile(0.99, catalogue.SchedulerLateness).called("1 in 100")),
			}},
		},
	}
}

func httpPage() Page {
	f := filters{"service"}
	failed := []string{`code=~"5.."`}
	return Page{
		UID: "marketprism-http", Title: "MarketPrism / HTTP", Filters: f,
		About: "Rate, errors and duration of every service; the gateway in front of them, and whom it lets in.",
		Areas: []string{"HTTP", "Gateway", "Access"},
		Rows: []Row{
			{Title: "At a glance", Panels: []Panel{
				number("Requests", "", f.rate(catalogue.HTTPRequests)),
				number("Under way", "Event streams and WebSockets included.", f.value("sum", catalogue.HTTPInFlight)),
				number("One in a hundred takes longer", "", f.quantile(0.99, catalogue.HTTPRequest)).from(5),
				number("Panics in an hour", "", f.increase(catalogue.HTTPPanics, "1h")).from(1),
				number("Breakers not closed", "Of the gateway.", f.value("sum", catalogue.GatewayBreakers)).from(1),
				number("Clients", "Whose rate is remembered.", f.value("sum", catalogue.GatewayClients)),
			}},
			{Title: "Services", Panels: []Panel{
				lines("Requests", "", f.rate(catalogue.HTTPRequests, "service")),
				lines("Answers by status", "", f.rate(catalogue.HTTPRequests, "code")),
				lines("Failures", "Answered with 5xx.", f.rateOf(catalogue.HTTPRequests, failed, "service").orNone(f.rate(catalogue.HTTPRequests, "service"))),
				lines("Duration", "One in a hundred takes longer.", f.quantile(0.99, catalogue.HTTPRequest, "service")),
				lines("Busiest routes", "", f.rate(catalogue.HTTPRequests, "service", "route").top(10)),
				lines("Slowest routes", "One in a hundred takes longer.", f.quantile(0.99, catalogue.HTTPRequest, "service", "route").top(10)),
			}},
			{Title: "Gateway", Panels: []Panel{
				lines("Sent on", "By what became of it.", f.rate(catalogue.GatewayRequests, "outcome")),
				lines("Until the answer begins", "One in a hundred takes longer.", f.quantile(0.99, catalogue.GatewayUpstream, "service")),
				lines("Refused", "By why.", f.rate(catalogue.GatewayRefused, "outcome")),
				lines("Instances", "By how they are.", f.value("sum", catalogue.GatewayInstances, "service", "outcome")),
				lines("Credentials", "By what became of them.", f.rate(catalogue.AuthAttempts, "outcome")),
				lines("Streams", "WebSockets and event streams through the gateway.", f.value("sum", catalogue.GatewayStreams)),
			}},
		},
	}
}

func clusterPage() Page {
	var f filters
	return Page{
		UID: "marketprism-cluster", Title: "MarketPrism / Cluster and Go runtime",
		About: "Members, who collects what, and the processes themselves.",
		Areas: []string{"Cluster", "Built-in metrics store, queries and rules"},
		Rows: []Row{
			{Title: "Cluster", Panels: []Panel{
				lines("Members", "By service, as the node that knows most of them.", f.value("max", catalogue.ConsulMembers, "service")),
				lines("Streams", "Recording, or waiting for their owner to let go.", f.value("max", catalogue.PlacementStreams, "instance", "outcome")),
				lines("Leases held", "", f.value("max", catalogue.LeaseHeld, "instance", "job")),
				lines("Handoffs", "", f.rate(catalogue.PlacementHandoffs, "outcome")),
				lines("Plan that is followed", "Its revision; nodes that differ for long are cut off.", f.value("max", catalogue.PlacementRevision, "instance")),
				lines("Heartbeats", "", f.rate(catalogue.ConsulHeartbeats, "outcome")),
			}},
			{Title: "Processes", Panels: []Panel{
				lines("Processors", "1 is one processor.", runtime("rate(process_cpu_seconds_total%s["+window+"])", "short")),
				lines("Resident memory", "", runtime("process_resident_memory_bytes%s", "bytes")),
				lines("Open files", "", runtime("process_open_fds%s", "short")),
				lines("Goroutines", "", runtime("go_goroutines%s", "short")),
				lines("Heap in use", "", runtime("go_memstats_heap_inuse_bytes%s", "bytes")),
				lines("Allocated", "", runtime("rate(go_memstats_alloc_bytes_total%s["+window+"])", "Bps")),
				lines("Pauses of the collector", "The longest of late.", runtime("max by (instance) (go_gc_duration_seconds%s)", "s")),
				lines("Collections", "", runtime("rate(go_gc_duration_seconds_count%s["+window+"])", "cps")),
				lines("Running since", "", runtime("time() - process_start_time_seconds%s", "s")),
			}},
		},
	}
}
