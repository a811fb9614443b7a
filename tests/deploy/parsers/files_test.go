package parsers

import (
	"os"
	"path/filepath"
	"testing"
)

// deployed is where the files are.
const deployed = "../../../deploy"

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(deployed, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
