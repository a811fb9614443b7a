package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"go.uber.org/zap"
)

// routesFile is where a node keeps whom it has met, beside the store: it finds them
// again when Consul is away.
const routesFile = "routes.json"

// findRoutes says where all servers of the cluster are, this one included.
func (h *Handle) findRoutes(ctx context.Context, log *zap.Logger) ([]string, error) {
	if configured := h.cfg.Cluster.Routes; len(configured) > 0 {
		return configured, nil
	}
	path := filepath.Join(h.cfg.StoreDir, routesFile)
	known, err := readRoutes(path)
	if err != nil {
		return nil, err
	}
	log.Info("broker asks where the other nodes are", zap.Int("nodes", h.cfg.Cluster.BootstrapExpect), zap.Int("known", len(known)))
	found, err := h.ask(ctx, h.cfg.Cluster.BootstrapExpect, len(known) > 0)
	if err != nil {
		return nil, fmt.Errorf("looking for the broker's other nodes: %w", err)
	}
	// Where they were is tried beside where they are.
	all := slices.Concat(found, known)
	slices.Sort(all)
	all = slices.Compact(all)
	if len(found) < h.cfg.Cluster.BootstrapExpect {
		return all, nil
	}
	return all, writeRoutes(path, found)
}

func readRoutes(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []string
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("reading where the broker's nodes were: %w", err)
	}
	return all, nil
}

// writeRoutes replaces the file; it is no more than a help for the next start.
func writeRoutes(path string, routes []string) error {
	text, err := json.Marshal(routes)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o750)
	}
	if err == nil {
		err = os.WriteFile(path+".new", append(text, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("keeping where the broker's nodes are: %w", err)
	}
	return nil
}
