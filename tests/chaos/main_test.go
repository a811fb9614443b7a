// Package chaos kills the program, damages its files and takes its disk away, and
// checks that what was acknowledged is read back exactly once.
package chaos

import (
	"os"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// quick makes the store publish and purge as often as it can.
func quick() harness.Settings {
	return harness.Settings{
		harness.Storage + ".embedded.publish_interval": "1s",
		harness.Storage + ".journal.register_interval": "0s",
		harness.Storage + ".journal.purge_interval":    "1s",
	}
}

// slow makes the store publish only when it stops, and never purge: what is written
// stays in the journal.
func slow() harness.Settings {
	return harness.Settings{
		harness.Storage + ".embedded.publish_interval": "1h",
		harness.Storage + ".journal.purge_interval":    "1h",
		harness.Storage + ".journal.register_interval": "10m",
	}
}

// with joins settings; later ones win.
func with(all ...harness.Settings) harness.Settings {
	joined := harness.Settings{}
	for _, s := range all {
		for path, value := range s {
			joined[path] = value
		}
	}
	return joined
}
