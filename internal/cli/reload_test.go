package cli

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/marketprism/marketprism/config"
)

func TestReload(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "services.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("node: {data_dir: "+filepath.Join(dir, "data")+"}\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() (*config.Loaded, error) { return config.Load(config.Options{Path: file}) }
	write("log: {level: info}\n")
	first, err := load()
	if err != nil {
		t.Fatal(err)
	}
	level := zap.NewAtomicLevelAt(zap.InfoLevel)
	core, seen := observer.New(zap.DebugLevel)
	r := newReloader(load, first, zap.New(core), level)

	write("log: {level: debug}\nscheduler-service: {port: 9999}\n")
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r.look() == r.stamp {
		t.Error("a changed file looks the same")
	}
	r.reload("test")
	if level.Level() != zap.DebugLevel {
		t.Errorf("the level is %v after log.level: debug", level)
	}
	named := seen.FilterMessage("settings were changed that need a restart").All()
	if len(named) != 1 || len(named[0].ContextMap()["settings"].([]any)) != 1 || named[0].ContextMap()["settings"].([]any)[0] != "scheduler-service.port" {
		t.Errorf("named as needing a restart: %v", named)
	}

	write("log: {level: eror}\n")
	r.reload("test")
	if level.Level() != zap.DebugLevel {
		t.Errorf("a wrong file changed the level to %v", level)
	}
	if seen.FilterMessage("the configuration is wrong and changes nothing").Len() != 1 {
		t.Error("a wrong file was not named")
	}
}
