package logs_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/monitoring/logs"
	"github.com/marketprism/marketprism/actors/monitoring/relay"
	"github.com/marketprism/marketprism/actors/supervise"
)

// TestForward: what one process logs, another can be asked for, through a real broker
// and with no more rights than the two have. A follower that starts late has what was
// before; one does not read its own lines.
func TestForward(t *testing.T) {
	c := broker.DefaultConfig()
	c.Port, c.StoreDir = 0, t.TempDir()
	b, err := broker.New(c, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	as := func(s broker.Service) func(context.Context) (*nats.Conn, error) {
		return func(ctx context.Context) (*nats.Conn, error) { return b.ConnectClientsAs(ctx, s) }
	}
	ring := func() (*logs.Ring, *zap.Logger) {
		r := logs.NewRing(logs.DefaultConfig())
		return r, zap.New(r.Core(zapcore.DebugLevel, "node.a", func(string) string { return "" }))
	}
	here, local := ring()
	there, remote := ring()
	sys, err := supervise.NewSystem(t.Context(), supervise.Options{Logger: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	link := relay.Link{Stream: "SERVICE_LOGS", Node: "node.a", Process: "there", Connect: as(broker.Events)}
	if err := sys.Start(ctx, b.Spec(), there.Forwarder(link)); err != nil {
		t.Fatal(err)
	}
	remote.Info("before the follower", zap.String("service", "svc"))
	local.Info("its own")
	link.Process, link.Connect = "here", as(broker.Monitoring)
	if _, err := sys.StartChild(ctx, "root", supervise.Branch("watch", supervise.DefaultStrategy(), here.Follower(link))); err != nil {
		t.Fatal(err)
	}
	all := &logs.Filter{Level: zapcore.DebugLevel, Service: "svc"}
	actorstest.Eventually(t, "the line from before", func() bool { return len(here.Last(all, 10)) == 1 })
	for range 3000 { // more than one batch
		remote.Debug("many", zap.String("service", "svc"))
	}
	actorstest.Eventually(t, "all lines", func() bool { return len(here.Last(all, 5000)) == 3001 })
	remote.Error("the last words", zap.String("service", "svc"))
	if err := sys.StopChild(ctx, "root", "logs"); err != nil { // which sends what it has
		t.Fatal(err)
	}
	actorstest.Eventually(t, "the last words", func() bool { return len(here.Last(all, 5000)) == 3002 })
	if err := sys.Stop(ctx); err != nil {
		t.Error(err)
	}
}
