package cli

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/http/monitoring"
)

// TestInForce: what was taken up is shown as it is, with its place and since when; what
// waits for a restart as it was, with what it will be.
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
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := newInForce(load("log: {level: info}\nnode: {listen: 127.0.0.1}\n"), begin)
	at := func(path string) monitoring.Setting {
		t.Helper()
		all := f.list().Settings
		i := slices.IndexFunc(all, func(s monitoring.Setting) bool { return s.Path == path })
		if i < 0 {
			t.Fatalf("no setting %s", path)
		}
		return all[i]
	}
	if s := at("log.level"); s.Default == nil || *s.Default != "info" || s.NeedsRestart || s.Since != begin || s.Waiting != nil || f.list().Reload != nil {
		t.Errorf("at the start: %+v", s)
	}
	if s := at("exchanges.binance.markets.spot.depth"); s.Default == nil || !s.NeedsRestart {
		t.Errorf("of an exchange: %+v", s)
	}
	if s := at("exchanges.binance.markets.spot.symbols"); s.Default == nil || s.NeedsRestart {
		t.Errorf("of an exchange: %+v", s)
	}
	later := begin.Add(time.Hour)
	reload := monitoring.Reload{Time: later, Taken: []string{"log.level"}, NeedsRestart: []string{"node.listen"}}
	f.take(load("log:\n  level: debug\nnode: {listen: 127.0.0.2}\n"), reload)
	if s := at("log.level"); s.Value != "debug" || s.Origin != file+":2:10" || s.Since != later || *s.Default != "info" {
		t.Errorf("taken up: %+v", s)
	}
	if s := at("node.listen"); s.Value != "127.0.0.1" || s.Waiting == nil || *s.Waiting != "127.0.0.2" || s.Since != begin || !s.NeedsRestart {
		t.Errorf("not taken up: %+v", s)
	}
	f.refused("SIGHUP", later, errors.New("wrong"))
	if r := f.list().Reload; r == nil || r.Error != "wrong" || at("log.level").Value != "debug" {
		t.Errorf("refused: %+v", r)
	}
	reload.Taken = []string{}
	f.take(load("log: {level: debug}\nnode: {listen: 127.0.0.1}\n"), reload)
	if s := at("node.listen"); s.Waiting != nil {
		t.Errorf("changed back: %+v", s)
	}
}
