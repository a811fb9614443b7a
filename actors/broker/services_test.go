package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/marketprism/marketprism/actors/broker"
)

// refusals are what the server has refused a connection, in order.
type refusals struct {
	told     chan string
	sentinel string // a subject that it certainly is refused
	n        int
}

func (r *refusals) note(_ *nats.Conn, _ *nats.Subscription, err error) { r.told <- err.Error() }

// during returns what is refused because of do. The client tells of refusals on a
// goroutine of its own, in order: one that is certain ends them.
func (r *refusals) during(t *testing.T, nc *nats.Conn, do func() error) (refused []string) {
	t.Helper()
	r.n++
	last := fmt.Sprint(r.sentinel, ".", r.n)
	for _, err := range []error{do(), nc.Publish(last, nil), nc.FlushTimeout(10 * time.Second)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	timeout := time.After(10 * time.Second)
	for {
		select {
		case told := <-r.told:
			if strings.Contains(told, last) {
				return refused
			}
			refused = append(refused, told)
		case <-timeout:
			t.Fatalf("%s was not refused", last)
		}
	}
}

func published(t *testing.T, nc *nats.Conn, r *refusals, subject string) []string {
	t.Helper()
	return r.during(t, nc, func() error { return nc.Publish(subject, nil) })
}

func followed(t *testing.T, nc *nats.Conn, r *refusals, subject string) []string {
	t.Helper()
	return r.during(t, nc, func() error {
		sub, err := nc.SubscribeSync(subject)
		if err == nil {
			err = sub.AutoUnsubscribe(1)
		}
		return err
	})
}

// as connects as a service.
func as(t *testing.T, h *broker.Handle, s broker.Service, clients bool) (*nats.Conn, *refusals) {
	t.Helper()
	r := &refusals{told: make(chan string, 64), sentinel: "md.refused"}
	if s == broker.Collector {
		r.sentinel = "journal.refused"
	}
	dial := h.ConnectAs
	if clients {
		dial = h.ConnectClientsAs
	}
	nc, err := dial(testContext(t), s, nats.ErrorHandler(r.note))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, r
}

// TestServicesHaveTheirOwnRights: what each service does at the broker it may do, and
// what belongs to another it may not.
func TestServicesHaveTheirOwnRights(t *testing.T) {
	h, _ := start(t, testConfig(t))
	checkRights(t, h, 63)
}

// checkRights holds what services may do against a server that knows so many shards
// beyond the first.
func checkRights(t *testing.T, h *broker.Handle, lastShard int) {
	_, own := connect(t, h)
	last := fmt.Sprint(lastShard)
	for _, s := range []jetstream.StreamConfig{
		{Name: "JOURNAL_0", Subjects: []string{"journal.0.>"}}, {Name: "JOURNAL_" + last, Subjects: []string{"journal." + last + ".>"}},
		{Name: "SCHEDULER_LEDGER", Subjects: []string{"scheduler.ledger.>"}},
	} {
		if _, err := own.CreateStream(testContext(t), s); err != nil {
			t.Fatal(err)
		}
	}
	const api = "$JS.API."
	everywhere := []string{ // nobody's but the broker's own
		api + "STREAM.DELETE.JOURNAL_0", api + "STREAM.DELETE.KV_tasks", api + "STREAM.MSG.DELETE.JOURNAL_0", api + "STREAM.CREATE.OTHER",
		api + "CONSUMER.CREATE.KV_secrets.a.b", "$KV.secrets.root", api + "STREAM.RESTORE.JOURNAL_0", api + "META.LEADER.STEPDOWN", api + "ACCOUNT.PURGE.CLIENTS",
	}
	for _, tc := range []struct {
		service        broker.Service
		clients        bool
		may, mayNot    []string
		follows, never []string
	}{
		{
			service: broker.Recorder,
			may:     []string{"journal.0.batch", "journal." + last + ".batch", api + "STREAM.CREATE.JOURNAL_" + last, api + "STREAM.INFO.JOURNAL_0", "$KV.journal_epoch.epoch"},
			mayNot:  slices.Concat(everywhere, []string{"md.v1.trade.x.spot.X", "$KV.journal_positions.a", api + "CONSUMER.CREATE.JOURNAL_0.a", "scheduler.ledger.fires"}),
			never:   []string{"md.>", ">"},
		},
		{
			service: broker.Storage,
			may:     []string{api + "CONSUMER.CREATE.JOURNAL_0.reader", api + "STREAM.PURGE.JOURNAL_" + last, "$KV.journal_readers.0.a", "$KV.journal_positions.0"},
			mayNot:  slices.Concat(everywhere, []string{"journal.0.batch", api + "STREAM.UPDATE.JOURNAL_0", "md.v1.x", "$KV.journal_epoch.epoch"}),
			never:   []string{"journal.>"},
		},
		{
			service: broker.Collector,
			may:     []string{"md.v1.trade.x.spot.X", "$KV.subscriptions.binance.spot"},
			mayNot:  slices.Concat(everywhere, []string{"journal.0.batch", "$KV.journal_epoch.epoch", api + "CONSUMER.CREATE.JOURNAL_0.a", api + "STREAM.PURGE.JOURNAL_0"}),
			follows: []string{"md.v1.gap.>"}, never: []string{"journal.>", ">"},
		},
		{
			service: broker.Scheduler,
			may:     []string{"scheduler.ledger.fires", "$KV.scheduler.task.a", api + "STREAM.PURGE.SCHEDULER_LEDGER"},
			mayNot:  slices.Concat(everywhere, []string{"journal.0.batch", "md.v1.x", "$KV.tasks.a"}),
		},
		{
			service: broker.Scheduler, clients: true,
			may:    []string{"market.said.by.a.task", "reports.x"},
			mayNot: []string{"md.v1.x", "dlq.x", "journal.0.batch", api + "STREAM.DELETE.MARKET_DATA", api + "CONSUMER.CREATE.TASKS.a"}, never: []string{"market.>"},
		},
		{
			service: broker.Messages, may: []string{"$KV.broker_keys.receipts"}, mayNot: slices.Concat(everywhere, []string{"journal.0.batch", "md.v1.x", "$KV.tasks.a"}),
		},
		{
			service: broker.Messages, clients: true,
			may:     []string{"market.x", api + "STREAM.CREATE.ORDERS", api + "CONSUMER.CREATE.MARKET_DATA.a", api + "STREAM.DELETE.ORDERS"},
			mayNot:  []string{"dlq.x", "md.v1.x", "$JS.EVENT.ADVISORY.x", api + "STREAM.DELETE." + broker.NoticeStream, api + "CONSUMER.CREATE." + broker.NoticeStream + ".a"},
			follows: []string{"market.>"},
		},
		{service: broker.Tasks, may: []string{"$KV.tasks.a"}, mayNot: slices.Concat(everywhere, []string{"journal.0.batch", "$KV.broker_keys.receipts"})},
		{
			service: broker.Tasks, clients: true,
			may:    []string{"tasks.reports", api + "CONSUMER.CREATE.TASKS.q.tasks.q", api + "STREAM.MSG.DELETE.TASKS"},
			mayNot: []string{"market.x", "system.x", "dlq.x", api + "STREAM.PURGE.TASKS", api + "STREAM.DELETE.TASKS", api + "CONSUMER.CREATE.MARKET_DATA.a"}, never: []string{"market.>"},
		},
		{
			service: broker.DeadLetters, clients: true,
			may:    []string{"dlq.a.b.1.0", "market.replayed", api + "STREAM.MSG.GET.MARKET_DATA"},
			mayNot: []string{"md.v1.x", "$JS.EVENT.ADVISORY.x", api + "STREAM.DELETE.DLQ"}, never: []string{"market.>"},
		},
		{
			service: broker.Events, clients: true,
			may: []string{"system.collector.x"}, mayNot: []string{"market.x", "tasks.x", "dlq.x", "md.v1.x", api + "STREAM.CREATE.X", api + "CONSUMER.CREATE.SYSTEM_EVENTS.a"}, never: []string{"system.>"},
		},
		{
			service: broker.Audit, may: []string{"audit.entries", api + "CONSUMER.CREATE.AUDIT.a", api + "STREAM.CREATE.AUDIT"},
			mayNot: slices.Concat(everywhere, []string{"journal.0.batch", "md.v1.x", "$KV.access.users", api + "STREAM.PURGE.AUDIT", api + "STREAM.MSG.DELETE.AUDIT", api + "STREAM.DELETE.AUDIT"}),
		},
		{
			service: broker.Identity, may: []string{"$KV.identity.a"},
			mayNot: slices.Concat(everywhere, []string{"journal.0.batch", "md.v1.x", "audit.entries", "$KV.access.users"}),
		},
		{service: broker.Gateway, may: []string{"$KV.access.users"}, mayNot: slices.Concat(everywhere, []string{"journal.0.batch", "md.v1.x", "$KV.tasks.a", "$KV.journal_epoch.epoch"}), never: []string{"md.>"}},
		{service: broker.Monitoring, mayNot: slices.Concat(everywhere, []string{"journal.0.batch", "md.v1.x", "$KV.tasks.a", "$KV.journal_epoch.epoch"}), never: []string{"md.>"}},
	} {
		t.Run(fmt.Sprint(tc.service, " in the clients' account ", tc.clients), func(t *testing.T) {
			nc, r := as(t, h, tc.service, tc.clients)
			for _, subject := range tc.may {
				if got := published(t, nc, r, subject); len(got) > 0 {
					t.Errorf("publishing to %s: %q", subject, got)
				}
			}
			for _, subject := range tc.mayNot {
				if got := published(t, nc, r, subject); len(got) != 1 {
					t.Errorf("publishing to %s is not refused: %q", subject, got)
				}
			}
			for _, subject := range append(tc.follows, "_INBOX.x") {
				if got := followed(t, nc, r, subject); len(got) > 0 {
					t.Errorf("following %s: %q", subject, got)
				}
			}
			for _, subject := range tc.never {
				if got := followed(t, nc, r, subject); len(got) != 1 {
					t.Errorf("following %s is not refused: %q", subject, got)
				}
			}
		})
	}
}

// TestServicesKeepBuckets: each service can do with its buckets all that one does.
func TestServicesKeepBuckets(t *testing.T) {
	h, _ := start(t, testConfig(t))
	checkBuckets(t, h)
}

func checkBuckets(t *testing.T, h *broker.Handle) {
	for service, names := range broker.Buckets {
		nc, r := as(t, h, service, false)
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			kv, err := js.CreateOrUpdateKeyValue(testContext(t), jetstream.KeyValueConfig{Bucket: name})
			if err != nil {
				t.Fatalf("%s making %s: %v", service, name, err)
			}
			if _, err := kv.Create(testContext(t), "a.b", []byte("1")); err != nil {
				t.Errorf("%s writing %s: %v", service, name, err)
			}
			watch, err := kv.WatchAll(testContext(t))
			if err != nil {
				t.Fatalf("%s watching %s: %v", service, name, err)
			}
			if e := <-watch.Updates(); e == nil || e.Key() != "a.b" {
				t.Errorf("%s watching %s: %v", service, name, e)
			}
			e, err := kv.Get(testContext(t), "a.b")
			if err != nil || string(e.Value()) != "1" {
				t.Errorf("%s reading %s: %v", service, name, err)
			}
			for _, err := range []error{watch.Stop(), kv.Delete(testContext(t), "a.b"), kv.PurgeDeletes(testContext(t))} {
				if err != nil {
					t.Errorf("%s, %s: %v", service, name, err)
				}
			}
		}
		if refused := r.during(t, nc, func() error { return nil }); len(refused) > 0 {
			t.Errorf("%s was refused %q", service, refused)
		}
	}
}

// TestCredentials: processes on one data directory have the same, which nobody else can
// read; a process that has them reaches the program's account, each service its own.
func TestCredentials(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials.json")
	c := testConfig(t)
	c.Port = -1
	c, err := c.WithCredentials(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := testConfig(t).WithCredentials(path)
	if err != nil || again.Username != c.Username || again.Password != c.Password || len(c.Password) < 20 {
		t.Errorf("the same again: %v, %d characters", err, len(again.Password))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	h, _ := start(t, c)
	far, err := broker.New(c.ElsewhereAt(h.ClientURL()), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nc, r := as(t, far, broker.Recorder, false)
	if got := published(t, nc, r, "journal.0.batch"); len(got) > 0 {
		t.Errorf("the recorder elsewhere: %q", got)
	}
	nc, r = as(t, far, broker.Collector, false)
	if got := published(t, nc, r, "journal.0.batch"); len(got) != 1 {
		t.Errorf("the collector elsewhere may write the journal: %q", got)
	}
	// Without them, and with those of one service only.
	bare := c
	bare.Username, bare.Password = "", ""
	ctx, cancel := context.WithTimeout(testContext(t), time.Second)
	defer cancel()
	nobody, err := broker.New(bare.ElsewhereAt(h.ClientURL()), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if nc, err := nobody.ConnectAs(ctx, broker.Recorder); err == nil {
		refused := make(chan error, 1)
		nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
		if err := nc.Publish("journal.0.batch", nil); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, "writing the journal without credentials", refused)
		nc.Close()
	}
	one := c.ElsewhereAt(h.ClientURL())
	one.Username, one.Password, one.ClientsUsername, one.ClientsPassword = "", "", "", ""
	one.Services = slices.DeleteFunc(one.Services, func(u broker.ServiceUser) bool { return u.Service != broker.Collector })
	limited, err := broker.New(one, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nc, r = as(t, limited, broker.Collector, false)
	if got := published(t, nc, r, "md.v1.trade.x.spot.X"); len(got) > 0 {
		t.Errorf("the collector by itself: %q", got)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := testConfig(t).WithCredentials(path); !errors.Is(err, broker.ErrExposed) {
		t.Errorf("credentials that others can read: %v", err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := testConfig(t).WithCredentials(path); err == nil {
		t.Error("an empty file was taken")
	}
}
