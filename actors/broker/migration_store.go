package broker

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// accountLink is a connection to one account of a server in this process.
type accountLink struct {
	nc *nats.Conn
	js jetstream.JetStream
}

func (l *accountLink) close() { l.nc.Close() }

// dialServer connects within the process.
func dialServer(srv *server.Server, as login) (*accountLink, error) {
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.UserInfo(as.username, as.password), nats.Name("marketprism migration"))
	if err != nil {
		return nil, fmt.Errorf("connecting to the server: %w", err)
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return &accountLink{nc, js}, nil
}

// openStore is a store with a server over it that nobody else reaches.
type openStore struct {
	srv              *server.Server
	program, clients *accountLink
	report           MigrationReport
}

func (o *openStore) account(name string) *accountLink {
	if name == accountNames[clientsAccount] {
		return o.clients
	}
	return o.program
}

func (o *openStore) close() {
	for _, l := range []*accountLink{o.program, o.clients} {
		if l != nil {
			l.close()
		}
	}
	stopServer(o.srv)
}

// dialBoth connects to both accounts; without success the server is stopped.
func dialBoth(srv *server.Server, c Config) (*openStore, error) {
	o := &openStore{srv: srv}
	var err error
	if o.program, err = dialServer(srv, c.login(programAccount)); err == nil {
		o.clients, err = dialServer(srv, c.login(clientsAccount))
	}
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// unseen is the configuration of a server that only this process uses.
func (c Config) unseen(store string) Config {
	c.StoreDir, c.Port, c.Host = store, 0, "127.0.0.1"
	c.Username, c.Password = programUser, rand.Text()
	c.Anonymous, c.TLS, c.Users, c.Services = false, TLSConfig{}, nil, nil
	return c
}

// openAlone opens a store of a server that stood alone.
func openAlone(ctx context.Context, c Config, log *zap.Logger) (*openStore, error) {
	c = c.unseen(c.StoreDir)
	c.Cluster = defaultCluster()
	srv, err := startServer(ctx, c, surroundings{}, log.Named("old"))
	if err != nil {
		return nil, err
	}
	return dialBoth(srv, c)
}

// accountNames are those of reports.
var accountNames = [...]string{programAccount: "program", clientsAccount: "clients"}

// describe lists what a store holds, the journal first.
func (o *openStore) describe(ctx context.Context, c Config) (MigrationReport, error) {
	r := MigrationReport{Store: c.StoreDir, Nodes: c.Cluster.BootstrapExpect, Streams: []CarriedStream{}}
	for _, a := range []account{programAccount, clientsAccount} {
		name := accountNames[a]
		found, err := streamsOf(ctx, o.account(name).js)
		if err != nil {
			return r, err
		}
		slices.SortFunc(found, func(a, b *jetstream.StreamInfo) int { return cmp.Compare(a.Config.Name, b.Config.Name) })
		for _, info := range found {
			consumers, err := durables(ctx, o.account(name).js, info.Config.Name)
			if err != nil {
				return r, err
			}
			s := CarriedStream{
				Account: name, Name: info.Config.Name, Messages: info.State.Msgs, Bytes: info.State.Bytes,
				First: info.State.FirstSeq, Last: info.State.LastSeq, Consumers: consumers,
			}
			r.Streams = append(r.Streams, s)
			r.Messages += s.Messages
			r.Bytes += s.Bytes
		}
	}
	return r, nil
}

// durables are the names of a stream's durable consumers, sorted.
func durables(ctx context.Context, js jetstream.JetStream, stream string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	names := []string{}
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("looking at stream %s: %w", stream, err)
	}
	list := s.ListConsumers(ctx)
	for info := range list.Info() {
		if info.Config.Durable != "" {
			names = append(names, info.Config.Durable)
		}
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("listing the consumers of stream %s: %w", stream, err)
	}
	slices.Sort(names)
	return names, nil
}

// openGroupOfOne makes an empty store of a server of a cluster whose group has this one
// server. nats-server (v2.15.2, raft.go, bootstrapRaftNode) begins no group of less than
// two; so there is a companion for a moment, which is then taken out again.
func openGroupOfOne(ctx context.Context, c Config, store, companionStore string, log *zap.Logger) (*openStore, error) {
	c = c.unseen(store)
	c.Port = -1 // else it does not look for others
	c.Cluster.Host, c.Cluster.Port, c.Cluster.TLS = "127.0.0.1", server.RANDOM_PORT, TLSConfig{}
	other := c
	other.StoreDir, other.ServerName = companionStore, c.ServerName+"."+rand.Text()[:8]
	// It knows nobody: a route that leads nowhere is demanded, and not waited for.
	companion, err := startServer(ctx, other, surroundings{routes: []string{"127.0.0.1:9"}}, zap.NewNop())
	if err != nil {
		return nil, err
	}
	defer stopServer(companion)
	srv, err := startServer(ctx, c, surroundings{routes: []string{companion.ClusterAddr().String()}}, log.Named("new"))
	if err != nil {
		return nil, err
	}
	o, err := dialBoth(srv, c)
	if err != nil {
		return nil, err
	}
	if err := leaveAlone(ctx, srv, c, companion.Name()); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// leaveAlone makes a server the leader of a group of two, and takes the other out.
func leaveAlone(ctx context.Context, srv *server.Server, c Config, companion string) error {
	sys, err := dialServer(srv, c.login(systemAccount))
	if err != nil {
		return err
	}
	defer sys.close()
	poll := time.NewTicker(peerPoll)
	defer poll.Stop()
	for {
		info, err := srv.Jsz(nil)
		if err != nil {
			return fmt.Errorf("asking the server of its group: %w", err)
		}
		meta := info.Meta
		switch {
		case meta == nil || meta.Leader == "":
		case meta.Leader == srv.Name() && meta.Size == 1:
			return nil
		case meta.Leader == srv.Name():
			err = metaRequest(ctx, sys.nc, server.JSApiRemoveServer, server.JSApiMetaServerRemoveRequest{Server: companion})
		default:
			err = metaRequest(ctx, sys.nc, server.JSApiLeaderStepDown, server.JSApiLeaderStepdownRequest{Placement: &server.Placement{Preferred: srv.Name()}})
		}
		if err != nil && ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("making a group of one server: %w", errors.Join(ctx.Err(), err))
		case <-poll.C:
		}
	}
}

// metaRequest asks the leader of the servers for something. What it refuses, it may do a
// moment later: while the two meet, it moves.
func metaRequest(ctx context.Context, nc *nats.Conn, subject string, request any) error {
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	m, err := nc.RequestWithContext(ctx, subject, text)
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	var answer server.ApiResponse
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("%s: reading the answer: %w", subject, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %w", subject, answer.Error)
	}
	return nil
}
