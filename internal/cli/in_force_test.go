package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/marketprism/marketprism/config"
)

// TestInForce: what was taken up is shown as it is, with its place; what waits for a
// restart as it was.
func TestInForce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "services.yaml")
	load := func(text string) *config.Loaded {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := config.Load(config.Options{Path: file})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	f := newInForce(load("log: {level: info}\nnode: {listen: 127.0.0.1}\n"))
	f.take([]string{"log.level"}, load("log:\n  level: debug\nnode: {listen: 127.0.0.2}\n"))
	got := map[string]config.Setting{}
	for _, s := range f.list() {
		got[s.Path] = s
	}
	if s := got["log.level"]; s.Value != "debug" || s.Origin.Line != 2 {
		t.Errorf("taken up: %+v", s)
	}
	if s := got["node.listen"]; s.Value != "127.0.0.1" {
		t.Errorf("not taken up: %+v", s)
	}
}
