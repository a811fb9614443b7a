package grafana

import "github.com/marketprism/marketprism/internal/catalogue"

func overview() Page {
	var f filters
	firing := []string{`outcome="active"`}
	return Page{
		UID: "marketprism-overview", Title: "MarketPrism / Overview",
		About: "Is everything well, is the market complete, and how late is it.",
		Areas: []string{"Alerts", "Services and the machine"},
		Rows: []Row{
			{Title: "At a glance", Panels: []Panel{
				number("Services well", "Services that were healthy, or degraded, at their last check.", f.value("max", catalogue.ServiceStatus, "service_name").total()).below(6),
				number("Alerts that fire", "Neither silenced nor explained by another.", f.valueOf("max", catalogue.Alerts, firing)).from(1),
				number("Streams live", "Share of streams from which everything arrives, with a proven book.",
					f.value("sum", catalogue.StreamUp).over(f.value("count", catalogue.StreamUp), "percentunit")).below(0.99),
				number("Gaps in an hour", "Opened in the ledger; most are healed by a backfill.", f.increase(catalogue.StreamGaps, "1h")).from(1),
				number("Frames", "From all exchanges.", f.rate(catalogue.StreamMessages).in("cps")),
				number("Rows acknowledged", "By the journal: on the disk.", f.rate(catalogue.JournalRows)),
			}},
			{Title: "The way of a tick, one in a hundred is later", Panels: []Panel{
				lines("Exchange to socket", "By both clocks.", f.quantile(0.99, catalogue.StreamExchangeToReceive, "exchange")),
				lines("Socket to live plane", "Decoding, checking and publishing.", f.quantile(0.99, catalogue.StreamReceiveToPublish, "exchange")),
				lines("Journal to queries", "From the journal's taking of a batch to its being visible.", f.quantile(0.99, catalogue.StreamPublishToStore, "stream")),
			}},
			{Title: "Services and machines", Panels: []Panel{
				lines("Services", "1 is healthy or degraded, 0 unhealthy or unreachable.", f.value("max", catalogue.ServiceStatus, "service_name")),
				lines("Answer to a health check", "", f.value("max", catalogue.ServiceResponse, "service_name")),
				lines("Processors and memory in use", "Of the machine, from 0 to 100.",
					f.value("max", catalogue.SystemCPU, "instance").called("processors"), f.value("max", catalogue.SystemMemory, "instance").called("memory")),
				lines("Disks in use", "From 0 to 100, by file system that holds data.", f.value("max", catalogue.SystemDisk, "instance", "mountpoint")),
				lines("Alerts", "That fire, by whether somebody is told.", f.value("max", catalogue.Alerts, "outcome")),
				lines("Clock", "How far the exchanges' clocks are ahead of ours.", f.value("max", catalogue.StreamClockOffset, "exchange", "market")),
			}},
		},
	}
}

func actorsPage() Page {
	f := filters{"kind"}
	return Page{
		UID: "marketprism-actors", Title: "MarketPrism / Actors", Filters: f,
		About: "The supervision tree by kind of actor: load, waits, failures. What one actor does is in the dashboard of the program itself.",
		Areas: []string{"Actors"},
		Rows: []Row{
			{Title: "At a glance", Panels: []Panel{
				number("Alive", "", f.value("sum", catalogue.ActorsAlive)),
				number("Messages", "Handled.", f.rate(catalogue.ActorMessages)),
				number("Busy", "Processors' time spent in handlers; 1 is one processor.", f.rate(catalogue.ActorBusy).in("short")),
				number("Restarts in an hour", "Each is a bug.", f.increase(catalogue.ActorsRestarted, "1h")).from(1),
				number("Given up by mailboxes in an hour", "Messages that full mailboxes did not take.", f.increase(catalogue.ActorMailboxDrops, "1h")).from(1),
				number("Escalations in an hour", "Supervisors that gave up.", f.increase(catalogue.ActorsEscalated, "1h")).from(1),
			}},
			{Title: "Load and waits", Panels: []Panel{
				lines("Messages by kind", "", f.rate(catalogue.ActorMessages, "kind").top(12)),
				lines("Busy by kind", "Share of one processor.", f.rate(catalogue.ActorBusy, "kind").top(12)),
				lines("Time to handle a message", "One in a hundred takes longer.", f.quantile(0.99, catalogue.ActorHandle, "kind").top(12)),
				lines("Wait in the mailbox", "One in a hundred waits longer.", f.quantile(0.99, catalogue.ActorMailboxWait, "kind").top(12)),
				lines("Deepest mailbox", "", f.value("max", catalogue.ActorMailboxDepth, "kind").top(12)),
				lines("Alive", "", f.value("sum", catalogue.ActorsAlive, "kind")),
			}},
			{Title: "Failures", Panels: []Panel{
				lines("Failures and restarts", "", f.rate(catalogue.ActorFailures, "kind").called("failed"), f.rate(catalogue.ActorsRestarted, "kind").called("restarted")),
				lines("Given up by full mailboxes", "", f.rate(catalogue.ActorMailboxDrops, "kind")),
				lines("Left behind", "Actors and goroutines that did not stop in time.", f.rate(catalogue.ActorsAbandoned, "kind")),
			}},
		},
	}
}

func streamsPage() Page {
	f := filters{"exchange", "market", "symbol"}
	place := []string{"exchange", "market"}
	return Page{
		UID: "marketprism-streams", Title: "MarketPrism / Streams", Filters: f,
		About: "What the exchanges send, what is missing of it, and who follows it.",
		Areas: []string{"Streams", "Live streams"},
		Rows: []Row{
			{Title: "At a glance", Panels: []Panel{
				number("Streams", "", f.value("count", catalogue.StreamUp)),
				number("Live", "Share of streams from which everything arrives, with a proven book.",
					f.value("sum", catalogue.StreamUp).over(f.value("count", catalogue.StreamUp), "percentunit")).below(0.99),
				number("Gaps in an hour", "", f.increase(catalogue.StreamGaps, "1h")).from(1),
				number("Books begun anew in an hour", "", f.increase(catalogue.StreamResyncs, "1h")).from(10),
				number("Sockets", "Subscribed.", f.value("sum", catalogue.StreamSessions)),
				number("Oldest silence", "Of the stream whose newest frame is oldest.", Query{
					Expr: "time() - min(" + f.selector(wanted(catalogue.StreamLastMessage, catalogue.Gauge, nil), "", nil) + " > 0)",
					Unit: "s", Uses: []catalogue.Name{catalogue.StreamLastMessage},
				}).from(300),
			}},
			{Title: "What comes", Panels: []Panel{
				lines("Frames", "", f.rate(catalogue.StreamMessages, place...)),
				lines("Bytes", "", f.rate(catalogue.StreamBytes, place...)),
				lines("Busiest instruments", "By frames.", f.rate(catalogue.StreamMessages, "exchange", "market", "symbol").top(10)),
				lines("Exchange to socket", "One in a hundred is later.", f.quantile(0.99, catalogue.StreamExchangeToReceive, "exchange", "channel").top(12)),
				lines("Socket to live plane", "One in a hundred is later.", f.quantile(0.99, catalogue.StreamReceiveToPublish, "exchange", "channel").top(12)),
				lines("Records on the live plane", "", f.rate(catalogue.StreamPublished, place...)),
			}},
			{Title: "What is missing", Panels: []Panel{
				lines("Not live", "Streams from which not everything arrives, or whose book is not proven.", Query{
					Expr:   f.value("count", catalogue.StreamUp, place...).Expr + " - " + f.value("sum", catalogue.StreamUp, place...).Expr,
					Legend: legend(place), Unit: "short", Uses: []catalogue.Name{catalogue.StreamUp},
				}),
				lines("Gaps and resyncs", "", f.rate(catalogue.StreamGaps, place...).called("gaps"), f.rate(catalogue.StreamResyncs, place...).called("resyncs")),
				lines("Duplicates and wrong checksums", "", f.rate(catalogue.StreamDuplicates, place...).called("twice"), f.rate(catalogue.StreamChecksumFailures, place...).called("checksum")),
				lines("Reconnects", "", f.rate(catalogue.StreamReconnects, place...)),
				lines("Left of the REST budget", "", f.value("min", catalogue.StreamRateLimit, place...)),
				lines("Refused by the journal", "Records.", f.rate(catalogue.StreamUnrecorded, place...)),
			}},
		},
	}
}
