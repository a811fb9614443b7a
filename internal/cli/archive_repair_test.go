package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence/cold"
	"github.com/marketprism/marketprism/persistence/part"
)

// TestArchiveRepair: a store whose manifest is damaged is told about by verify, repaired
// only on request, and whole after that.
func TestArchiveRepair(t *testing.T) {
	dir := t.TempDir()
	coldDir := filepath.Join(dir, "cold")
	fillCold(t, coldDir, 3)
	run := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		code := Run(t.Context(), append([]string{"archive"}, append(args, "--data", dir)...), nil, &out, &errs, nil)
		return code, out.String(), errs.String()
	}
	if code, out, errs := run("verify", "--checksums"); code != 0 || !strings.Contains(out, "the manifest is whole, and lists 3 files with 30 rows") {
		t.Fatalf("a whole store: %d %q %q", code, out, errs)
	}
	if err := os.WriteFile(filepath.Join(coldDir, "manifest", "000000000002"), []byte("dust"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run("verify"); code != ExitFailed || !strings.Contains(out, "manifest/000000000002") || !strings.Contains(errs, "archive repair") {
		t.Fatalf("a damaged one: %d %q %q", code, out, errs)
	}
	if code, out, errs := run("repair"); code != ExitFailed || !strings.Contains(out, "found, whole and not listed") || !strings.Contains(errs, "--write") {
		t.Fatalf("without --write: %d %q %q", code, out, errs)
	}
	if code, _, _ := run("verify"); code != ExitFailed {
		t.Fatalf("it was repaired without being told to")
	}
	if code, out, errs := run("repair", "--write", "-o", "json"); code != 0 || !strings.Contains(errs, "3 files with 30 rows") {
		t.Fatalf("with --write: %d %q %q", code, out, errs)
	} else if d := (cold.Diagnosis{}); json.Unmarshal([]byte(out), &d) != nil || len(d.Found) != 1 {
		t.Errorf("it prints %q", out)
	}
	if code, out, errs := run("verify"); code != 0 || !strings.Contains(out, "3 files with 30 rows") {
		t.Errorf("after it: %d %q %q", code, out, errs)
	}
	if code, _, errs := run("repair", "--write"); code != 0 || !strings.Contains(errs, "nothing to repair") {
		t.Errorf("again: %d %q", code, errs)
	}
	if code, _, _ := run("verify", "-o", "yaml"); code != ExitUsage {
		t.Errorf("an unknown form: %d", code)
	}
	dir = t.TempDir()
	if code, _, errs := run("verify"); code != ExitInput || !strings.Contains(errs, "there is no cold store") {
		t.Errorf("no store: %d %q", code, errs)
	}
}

// fillCold makes a cold store with some files of ten trades.
func fillCold(t *testing.T, dir string, files int) {
	t.Helper()
	b, err := cold.NewLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := part.NewNames()
	s, err := cold.Open(t.Context(), b, cold.DefaultConfig(), cold.Surroundings{Names: names})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	schema, err := part.NewSchema(market.KindTrade)
	if err != nil {
		t.Fatal(err)
	}
	i := &market.Instrument{Exchange: "binance", Symbol: "BTC-USDT", Native: "BTCUSDT"}
	noon := time.Date(2024, 8, 8, 12, 0, 0, 0, time.UTC).UnixNano()
	for file := range files {
		rows := part.NewBlock(schema, names)
		for n := range 10 {
			var batch market.Batch
			tr := market.Add[market.Trade](&batch)
			tr.Instrument, tr.TS, tr.ID = i, noon+int64(file*10+n), market.NumID(int64(file*10+n))
			rows.Append(tr, names.InstrumentCode(i), uint64(n))
		}
		meta := part.Meta{Kind: market.KindTrade, JournalID: "j", LastSeq: uint64(file + 1), Created: noon}
		p, err := s.Write(t.Context(), meta, i.ID(), cold.Day(noon), part.NewMerge([]part.Source{part.NewBlockSource(rows, 0, rows.Len(), 0)}, false))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), func() (*cold.Record, error) { return &cold.Record{Add: []cold.Part{p}}, nil }); err != nil {
			t.Fatal(err)
		}
	}
}
