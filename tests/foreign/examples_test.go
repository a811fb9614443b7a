package foreign

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// TestExamples runs every program of docs/examples against a running node, as their
// readers do, and looks at what it prints.
func TestExamples(t *testing.T) {
	offset := harness.DevOffset(t)
	n := harness.Dev(t, t.TempDir(), offset, "--symbols", "2", "--rate", "20")
	env := append(os.Environ(), "MARKETPRISM_URL="+n.URL(harness.Gateway, ""), fmt.Sprint("MARKETPRISM_NATS=nats://127.0.0.1:", 4222+offset),
		"no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1",
		"PYTHONPATH="+packages(t, "nats/requirements.txt")+":"+packages(t, "../endtoend/parquet/requirements.txt"))
	harness.Await(t, time.Minute, "trades in a file", func() bool {
		a, err := harness.Post(t.Context(), n.URL(harness.Storage, "/api/v1/storage/cold/archive"), "application/json", []byte(`{"cutoff_hours":0}`))
		return err == nil && a.Status == 200 && len(n.MustQuery("trade", "binance", "BTC-USDT", "market", "spot", "tier", "cold")) > 5
	})

	// What each program prints, line by line, until it is enough.
	enough := map[string]func(lines []string) bool{
		"trades.sh": func(lines []string) bool {
			return len(lines) == 6 && lines[0] == "exchange_time_ns,id,price,amount,side" && strings.Count(lines[5], ",") == 4
		},
		"follow.sh": func(lines []string) bool {
			var e struct {
				Data struct{ Kind, Symbol, Price string }
			}
			return len(lines) > 0 && json.Unmarshal([]byte(lines[0]), &e) == nil && e.Data.Kind == "trade" && e.Data.Symbol == "BTC-USDT" && e.Data.Price != ""
		},
		"history.py": func(lines []string) bool {
			var trades, gaps int
			var volume, price float64
			_, err := fmt.Sscanf(strings.Join(lines, " "), "%d trades, volume %g, average price %g %d gaps", &trades, &volume, &price, &gaps)
			return err == nil && trades > 5 && volume > 0 && price > 0 && gaps >= 0
		},
		"live.py": func(lines []string) bool {
			return len(lines) == 5 && strings.Contains("trade best", strings.Fields(lines[0])[0])
		},
		"parquet.py": func(lines []string) bool {
			return len(lines) > 1 && lines[0] == "minute,open,high,low,close,volume,trades" && strings.Count(lines[1], ",") == 6
		},
	}
	// The Go one is no file of its own.
	enough["trades"] = func(lines []string) bool {
		var trades, gaps int
		n, err := fmt.Sscanf(lines[len(lines)-1], "%d trades, %d gaps of trades", &trades, &gaps)
		return n == 2 && err == nil && trades > 5 && trades == len(lines)-1
	}
	arguments := map[string][]string{"trades.sh": {"binance", "BTC-USDT", "5"}, "follow.sh": {"BTC-USDT", "5"}, "live.py": {"binance", "BTC-USDT", "5"}}
	folder := "../../docs/examples"
	files, err := filepath.Glob(folder + "/*.[ps][yh]")
	files = append(files, folder+"/trades")
	if err != nil || len(files) != len(enough) {
		t.Fatalf("programs %q, %v; %d are known here", files, err, len(enough))
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			var out string
			if filepath.Ext(file) == "" {
				file = built(t, file)
			}
			if !harness.Eventually(t, time.Minute, func() bool {
				out = example(t, env, file, arguments[name]...)
				return enough[name](strings.Split(strings.TrimSpace(out), "\n"))
			}) {
				t.Errorf("it prints\n%s", out)
			}
			if filepath.Ext(file) == "" {
				followed(t, env, file)
			}
		})
	}
}

// built is the program of a folder.
func built(t *testing.T, folder string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), filepath.Base(folder))
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", at, folder).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return at
}

// followed runs the program of trades until trades have come after those that were stored,
// and ends it as people do.
func followed(t *testing.T, env []string, program string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, program, "-follow", "binance", "BTC-USDT")
	c.Env = env
	var said strings.Builder
	c.Stderr = &said
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	stored, after := false, 0
	for lines := bufio.NewScanner(out); after < 3 && lines.Scan(); {
		switch line := lines.Text(); {
		case strings.Contains(line, "gaps of trades"):
			stored = true
		case stored && strings.Contains(line, " at "):
			after++
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	_, read := io.Copy(io.Discard, out)
	if err := errors.Join(read, c.Wait()); err != nil || after < 3 {
		t.Errorf("%d trades came, and it ended with %v\n%s", after, err, said.String())
	}
}

func example(t *testing.T, env []string, file string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := append([]string{"/bin/sh", file}, args...)
	switch filepath.Ext(file) {
	case ".py":
		command[0] = "python3"
	case "":
		command = append([]string{file}, args...)
	}
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Env = env
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", command, err, said.String())
	}
	return string(out)
}
