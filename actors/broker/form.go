package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

var (
	// ErrStandalone: the store was made by a server that stood alone. One of a cluster
	// would take its streams for leftovers and remove them after half a minute.
	ErrStandalone = errors.New("the broker's store was made by a server that stood alone")
	// ErrInCluster: the store was made by a server of a cluster. One that stands alone
	// would go on without the others.
	ErrInCluster = errors.New("the broker's store was made by a server of a cluster")
)

// form is what kind of server made a store.
type form uint8

const (
	unused form = iota
	standalone
	inCluster
)

// formOf looks at what nats-server (v2.15.2) left in its directory: the log of the group
// that decides on streams, or streams without one.
func formOf(store string) (form, error) {
	root := filepath.Join(store, "jetstream")
	_, err := os.Stat(filepath.Join(root, "$SYS", "_js_", "_meta_"))
	if err == nil {
		return inCluster, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return unused, fmt.Errorf("looking at the broker's store: %w", err)
	}
	found, err := filepath.Glob(filepath.Join(root, "*", "streams", "*"))
	if err != nil {
		return unused, fmt.Errorf("looking at the broker's store: %w", err)
	}
	if len(found) > 0 {
		return standalone, nil
	}
	return unused, nil
}

// checkForm refuses a store of the other form. Errors: ErrStandalone, ErrInCluster.
func (c Config) checkForm() error {
	f, err := formOf(c.StoreDir)
	switch {
	case err != nil:
		return err
	case f == standalone && c.Clustered():
		return fmt.Errorf("%w: %s holds streams, which a cluster would remove; `marketprism journal migrate` makes it one with everything in it (docs/broker.md, From one node to three)", ErrStandalone, c.StoreDir)
	case f == inCluster && !c.Clustered():
		return fmt.Errorf("%w: %s; set nats.cluster.bootstrap_expect as it was", ErrInCluster, c.StoreDir)
	}
	return nil
}
