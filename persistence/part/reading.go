package part

import (
	"os"
	"path/filepath"

	"github.com/marketprism/marketprism/persistence"
)

// ReadManifest is what the manifest in dir says, and changes nothing. cut is the
// length of a torn record at its end, which counts for nothing. Errors: a
// [*persistence.IOError], one of a file that is missing among them, and a
// [*persistence.CorruptError].
func ReadManifest(dir string) (state State, cut int64, err error) {
	m := &Manifest{path: filepath.Join(dir, manifestName), state: State{Positions: map[int]persistence.Position{}}}
	log, err := os.ReadFile(m.path)
	if err != nil {
		return State{}, 0, &persistence.IOError{Op: "read manifest", Path: m.path, Err: err}
	}
	good, err := m.replay(log)
	if err != nil {
		return State{}, 0, &persistence.CorruptError{Path: m.path, Reason: err.Error()}
	}
	return m.state, int64(len(log) - good), nil
}
