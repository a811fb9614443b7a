package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// devMarket is the simulated market that a data directory was collected from.
// Another rate would number other trades.
type devMarket struct {
	Seed uint64  `json:"seed"`
	Rate float64 `json:"rate"`
}

const devMarketFile = "simulated-market.json"

// readDevMarket says which market is in a data directory: with rate 0 when it is
// new. One that was not made by dev is refused, so that a simulated market is not
// mixed with a real one.
func readDevMarket(dir string) (devMarket, error) {
	text, err := os.ReadFile(filepath.Join(dir, devMarketFile))
	if errors.Is(err, fs.ErrNotExist) {
		if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
			return devMarket{}, usage("%s holds data that dev did not make: take another --data, empty it with --fresh, or use start", dir)
		}
		return devMarket{Seed: 1}, nil
	}
	var m devMarket
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err == nil && !(m.Rate > 0) {
		err = errors.New("it has no rate")
	}
	if err != nil {
		return m, fmt.Errorf("reading which market %s holds: %s: %w", dir, devMarketFile, err)
	}
	return m, nil
}

func writeDevMarket(dir string, m devMarket) error {
	text, err := json.Marshal(m)
	if err == nil {
		err = os.MkdirAll(dir, 0o750)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, devMarketFile), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("noting which market %s holds: %w", dir, err)
	}
	return nil
}
