package broker

import (
	"slices"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// Service is one of the program's own users of the broker: the part that connects as
// it may do what that part needs, and nothing else.
type Service string

// The services. Recorder alone writes the journal, and Collector the live plane.
const (
	Recorder    Service = "recorder"    // makes the journal and writes it; takes epochs
	Storage     Service = "storage"     // reads the journal, purges it, keeps its positions
	Collector   Service = "collector"   // publishes the live plane; run-time subscriptions
	Scheduler   Service = "scheduler"   // its ledger and tasks; publishes what tasks say
	Gateway     Service = "gateway"     // users, keys
	Monitoring  Service = "monitoring"  // alerts, silences; reads the logs of other processes
	Audit       Service = "audit"       // who did what
	Identity    Service = "identity"    // announces the key that a process signs with
	Messages    Service = "messages"    // what clients do over HTTP
	Tasks       Service = "tasks"       // the queues of work
	DeadLetters Service = "deadletters" // what consumers have given up
	Placement   Service = "placement"   // who collects what; what nodes ask each other
	Events      Service = "events"      // publishes what happens to services, and their logs
)

// Services are all of them.
func Services() []Service {
	return []Service{Recorder, Storage, Collector, Scheduler, Gateway, Monitoring, Audit, Identity, Messages, Tasks, DeadLetters, Placement, Events}
}

// maxShards is the most shards that a journal can have (persistence/journal).
const maxShards = 64

// grant is what a service may do in one account. Without publish that is everything
// but deny; in JetStream's terms a request is a publish.
type grant struct{ publish, deny, subscribe []string }

// grants are those of a service in the program's account and in the clients', for a
// journal of at most so many shards; nil: it has no user there.
func (s Service) grants(shards int) (program, clients *grant) {
	switch s {
	case Recorder:
		program = &grant{publish: slices.Concat(journals(shards, making, "STREAM.MSG.GET."), []string{"journal.>"})}
	case Storage:
		program = &grant{publish: journals(shards, reading, "STREAM.PURGE.")}
	case Collector:
		program = &grant{publish: []string{livePlane}, subscribe: []string{livePlane}}
	case Scheduler:
		program = &grant{publish: slices.Concat(of("SCHEDULER_LEDGER", making, reading), []string{"scheduler.>"})}
		clients = &grant{deny: slices.Concat(denied, []string{"$JS.API.CONSUMER.>", "$JS.ACK.>"}), subscribe: []string{}}
	case Messages:
		program = &grant{}
		clients = &grant{deny: slices.Concat([]string{livePlane, "dlq.>", "$JS.EVENT.>", "$JS.API.META.>", "$JS.API.SERVER.>"}, closed(NoticeStream)), subscribe: []string{">"}}
	case Tasks:
		program = &grant{}
		clients = &grant{publish: slices.Concat(of("TASKS", reading, []string{"STREAM.MSG.DELETE."}), []string{"tasks.>"})}
	case DeadLetters:
		clients = &grant{
			deny:      []string{livePlane, "$JS.EVENT.>", "$JS.API.META.>", "$JS.API.SERVER.>", "$JS.API.STREAM.DELETE.>", "$JS.API.ACCOUNT.PURGE.>"},
			subscribe: []string{},
		}
	case Events:
		clients = &grant{publish: []string{"system.>", "service.>"}}
	case Monitoring:
		program = &grant{}
		clients = &grant{publish: of("SERVICE_LOGS", reading)}
	case Audit:
		program = &grant{publish: slices.Concat(of("AUDIT", []string{"STREAM.CREATE.", "STREAM.UPDATE."}, reading), []string{"audit.>"})}
	case Gateway, Identity:
		program = &grant{}
	case Placement:
		program = &grant{publish: []string{"cluster.>", "_INBOX.>"}, subscribe: []string{"cluster.>"}}
	}
	if program != nil {
		program.publish = append(program.publish, asked...)
		for _, name := range buckets[s] {
			program.publish = append(program.publish, bucketRights(name)...)
		}
	}
	return program, clients
}

// buckets are the key-value buckets of each service. One that is not here cannot be
// opened by it.
var buckets = map[Service][]string{
	Recorder:   {"journal_epoch"},
	Storage:    {"journal_readers", "journal_positions"},
	Collector:  {"subscriptions", "backfills"},
	Scheduler:  {"scheduler"},
	Gateway:    {"access"},
	Monitoring: {"monitoring"},
	Messages:   {"broker_keys"},
	Tasks:      {"tasks"},
	Placement:  {"placement"},
	Identity:   {"identity"},
}

// What everybody may ask.
var asked = []string{"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.*"}

// Requests of JetStream about one stream, up to its name
// (https://docs.nats.io/reference/reference-protocols/nats_api_reference). To remove a
// stream is in none of them.
var (
	making  = []string{"STREAM.INFO.", "STREAM.CREATE.", "STREAM.UPDATE.", "STREAM.PURGE."}
	reading = []string{
		"STREAM.INFO.", "STREAM.MSG.GET.", "DIRECT.GET.", "CONSUMER.CREATE.", "CONSUMER.DURABLE.CREATE.", "CONSUMER.INFO.",
		"CONSUMER.LIST.", "CONSUMER.NAMES.", "CONSUMER.DELETE.", "CONSUMER.MSG.NEXT.",
	}
)

// of are requests about a stream, with the answers that its messages want.
func of(stream string, requests ...[]string) []string {
	out := []string{"$JS.ACK." + stream + ".>", "$JS.FC." + stream + ".>"}
	for _, r := range slices.Concat(requests...) {
		out = append(out, "$JS.API."+r+stream)
		if r == "DIRECT.GET." || r[0] == 'C' {
			out = append(out, "$JS.API."+r+stream+".>")
		}
	}
	return out
}

// journals are requests about every shard of the journal: permissions have no
// wildcard for a part of a name.
func journals(shards int, requests []string, more ...string) []string {
	var out []string
	for k := range shards {
		out = append(out, of("JOURNAL_"+strconv.Itoa(k), requests, more)...)
	}
	return out
}

func bucketRights(name string) []string {
	return append(of("KV_"+name, making, reading), "$KV."+name+".>")
}

// closed are the requests that would change a stream, or take what it holds.
func closed(stream string) []string {
	var out []string
	for _, r := range []string{
		"STREAM.CREATE.", "STREAM.UPDATE.", "STREAM.DELETE.", "STREAM.PURGE.", "STREAM.MSG.DELETE.", "STREAM.RESTORE.", "STREAM.SNAPSHOT.",
		"CONSUMER.CREATE.", "CONSUMER.DURABLE.CREATE.", "CONSUMER.DELETE.", "CONSUMER.MSG.NEXT.",
	} {
		out = append(out, "$JS.API."+r+stream)
		if r[0] == 'C' {
			out = append(out, "$JS.API."+r+stream+".>")
		}
	}
	return append(out, "$JS.ACK."+stream+".>")
}

// permissions are a grant in the server's form. Everybody reads the answers to what
// he asks.
func (g *grant) permissions() *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: g.publish, Deny: g.deny},
		Subscribe: &server.SubjectPermission{Allow: append([]string{"_INBOX.>"}, g.subscribe...)},
	}
}
