package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	var wrong error
	taken := []string{}
	r := newReloader(load, first)
	defer r.close()
	r.log, r.level = zap.New(core), level
	r.reconfigure = func(context.Context, *config.Config) ([]string, []string, error) { return taken, nil, wrong }

	write("log: {level: debug}\nscheduler-service: {port: 9999}\n")
	if err := os.Chtimes(file, time.Time{}, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r.look() == r.stamp {
		t.Error("a changed file looks the same")
	}
	r.reload(t.Context(), "test")
	if level.Level() != zap.DebugLevel {
		t.Errorf("the level is %v after log.level: debug", level)
	}
	named := seen.FilterMessage("settings were changed that need a restart").All()
	if len(named) != 1 || len(named[0].ContextMap()["settings"].([]any)) != 1 || named[0].ContextMap()["settings"].([]any)[0] != "scheduler-service.port" {
		t.Errorf("named as needing a restart: %v", named)
	}

	write("log: {level: eror}\n")
	r.reload(t.Context(), "test")
	if level.Level() != zap.DebugLevel {
		t.Errorf("a wrong file changed the level to %v", level)
	}
	if seen.FilterMessage("the configuration is wrong and changes nothing").Len() != 1 {
		t.Error("a wrong file was not named")
	}

	// What the collector takes is in force; what it does not is named each time.
	const spot = "exchanges.binance.markets.spot."
	taken = []string{spot + "symbols", "market-data-collector.exchanges"}
	write("log: {level: debug}\nmarket-data-collector: {exchanges: []}\n" +
		"exchanges: {binance: {markets: {spot: {symbols: [SOL-USDT], depth: 500}}}}\n")
	for range 2 {
		r.reload(t.Context(), "test")
	}
	var got []string
	for _, e := range seen.FilterMessage("configuration read again").All()[1:] {
		got = append(got, fmt.Sprint("taken ", e.ContextMap()["taken"]))
	}
	for _, e := range seen.FilterMessage("settings were changed that need a restart").All()[1:] {
		got = append(got, fmt.Sprint("restart ", e.ContextMap()["settings"]))
	}
	want := []string{
		"taken [" + spot + "symbols market-data-collector.exchanges]", "taken []",
		"restart [" + spot + "depth]", "restart [" + spot + "depth]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	write("log: {level: warn}\n")
	wrong, taken = errors.New("the exchange does not like it"), nil
	r.reload(t.Context(), "test")
	if level.Level() != zap.DebugLevel {
		t.Errorf("settings that an exchange refuses changed the level to %v", level)
	}
}
