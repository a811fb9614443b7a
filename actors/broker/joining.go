package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/internal/copies"
)

// joiningFile is in a store that a [Migration] made, until all nodes have met and every
// stream has got its replicas. It holds the [MigrationReport].
const joiningFile = "joining.json"

// readJoining is the report of the migration that made a store; nil when none did, or
// when the nodes have met since.
func readJoining(store string) (*MigrationReport, error) {
	text, err := os.ReadFile(filepath.Join(store, joiningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var r MigrationReport
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what a migration made of the broker's store: %w", err)
	}
	return &r, nil
}

func writeJoining(store string, r MigrationReport) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(store, joiningFile), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("noting what was carried: %w", err)
	}
	return nil
}

// settle gives every stream of a store that a migration made the replicas of a cluster,
// once all nodes are there: until then it is on this one alone. It asks until it is done
// or ctx ends.
func (h *Handle) settle(ctx context.Context, srv *server.Server, log *zap.Logger) error {
	alone := map[string]bool{} // by configuration
	for _, s := range h.cfg.Streams {
		alone[s.Name] = s.Replicas == 1
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := h.spread(ctx, srv, alone)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return err
		}
		log.Warn("streams of the migrated store do not have their replicas yet; it is tried again", zap.Error(err), zap.Duration("pause", pause))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
	if err := os.Remove(filepath.Join(h.cfg.StoreDir, joiningFile)); err != nil {
		return fmt.Errorf("noting that the nodes have met: %w", err)
	}
	log.Info("the migrated store is a cluster's: every stream gets its replicas on the other nodes")
	return nil
}

// spread asks once for the replicas of all streams.
func (h *Handle) spread(ctx context.Context, srv *server.Server, alone map[string]bool) error {
	for _, a := range []account{programAccount, clientsAccount} {
		o, err := dialServer(srv, h.cfg.login(a))
		if err != nil {
			return err
		}
		err = spreadAccount(ctx, o.js, alone)
		o.close()
		if err != nil {
			return err
		}
	}
	return nil
}

func spreadAccount(ctx context.Context, js jetstream.JetStream, alone map[string]bool) error {
	found, err := streamsOf(ctx, js)
	if err != nil {
		return err
	}
	for _, info := range found {
		c := info.Config
		if c.Replicas >= copies.InCluster || alone[c.Name] {
			continue
		}
		c.Replicas = copies.InCluster
		if err := updateOnce(ctx, js, c); err != nil {
			return fmt.Errorf("asking for %d replicas of stream %s: %w", c.Replicas, c.Name, err)
		}
	}
	return nil
}

func updateOnce(ctx context.Context, js jetstream.JetStream, c jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	_, err := js.UpdateStream(ctx, c)
	return err
}

// streamsOf lists all streams of an account.
func streamsOf(ctx context.Context, js jetstream.JetStream) ([]*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var all []*jetstream.StreamInfo
	list := js.ListStreams(ctx)
	for info := range list.Info() {
		all = append(all, info)
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("listing streams: %w", err)
	}
	return all, nil
}
