package app_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/internal/app"
)

// TestStopAgain: a program that could not start has stopped already, and says the same to
// whoever stops it again, however many do at once.
func TestStopAgain(t *testing.T) {
	cfg := config.Default()
	cfg.Node.DataDir = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(cfg.Node.DataDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := app.New(app.Options{Config: &cfg, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err == nil {
		t.Fatal("started on a file")
	}
	var again sync.WaitGroup
	for range 4 {
		again.Go(func() {
			if err := a.Stop(t.Context()); err != nil {
				t.Errorf("stopped again: %v", err)
			}
		})
	}
	again.Wait()
}
