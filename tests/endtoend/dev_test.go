package endtoend

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// devPorts are those of dev without an offset.
var devPorts = []int{8080, 8081, 8082, 8083, 8084, 8085, 4222}

// portOffset finds an offset at which every port of dev is free.
func portOffset(t *testing.T) int {
	t.Helper()
	for range 50 {
		offset := 10_000 + rand.IntN(40_000)
		free := true
		for _, p := range devPorts {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p+offset))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return offset
		}
	}
	t.Fatal("no free ports")
	return 0
}

// answer is what a URL answers; "" while nobody does.
func answer(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// ready is how soon trades must be readable; a machine that runs other tests too is
// given more.
const ready, patience = 3 * time.Second, 30 * time.Second

// dev runs until stop is called, which gives its exit code and what it printed.
func dev(t *testing.T, data string, offset int, args ...string) (printed func() string, stop func() int) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	errs, err := os.Create(filepath.Join(t.TempDir(), "err"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(harness.Program(t), append([]string{"dev", "--data", data, "--port-offset", fmt.Sprint(offset)}, args...)...)
	c.Stdout, c.Stderr, c.Dir = out, errs, t.TempDir()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = c.Wait() // what it ended with is in ProcessState
	}()
	t.Cleanup(func() {
		if c.Process.Signal(syscall.SIGKILL) == nil {
			<-exited
		}
		if text, err := os.ReadFile(errs.Name()); err == nil && t.Failed() {
			t.Logf("dev said:\n%s", text)
		}
	})
	return func() string {
			text, err := os.ReadFile(out.Name())
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}, func() int {
			if err := c.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			select {
			case <-exited:
			case <-time.After(patience):
				t.Fatal("dev does not stop")
			}
			return c.ProcessState.ExitCode()
		}
}

var pasted = regexp.MustCompile(`(?m)^ +curl -s '([^']+)'$`)

// TestDev: everything at once on simulated exchanges, as a newcomer starts it.
func TestDev(t *testing.T) {
	data, offset := filepath.Join(t.TempDir(), "data"), portOffset(t)
	harness.Program(t) // built before the clock runs
	began := time.Now()
	printed, stop := dev(t, data, offset)
	trades := fmt.Sprintf("http://127.0.0.1:%d/api/v1/storage/hot/trades/binance/BTC-USDT?limit=3", 8080+offset)
	harness.Await(t, patience, "trades over HTTP", func() bool { return strings.Contains(answer(trades), `"trade_id"`) })
	took := time.Since(began)
	t.Logf("trades were there after %v", took)
	if took > ready {
		t.Errorf("trades were there after %v, want less than %v", took, ready)
	}

	harness.Await(t, patience, "the banner", func() bool { return strings.Contains(printed(), "Ctrl-C") })
	lines := pasted.FindAllStringSubmatch(printed(), -1)
	if len(lines) != 3 {
		t.Fatalf("%d lines to try, want 3, in\n%s", len(lines), printed())
	}
	for _, l := range lines {
		harness.Await(t, patience, l[0], func() bool { return answer(l[1]) != "" })
	}
	for _, exchange := range []string{"binance spot", "binance perpetual", "deribit perpetual", "okx perpetual"} {
		if !strings.Contains(printed(), exchange) {
			t.Errorf("%s is not simulated", exchange)
		}
	}
	if code := stop(); code != 0 {
		t.Errorf("SIGINT: exit code %d", code)
	}

	// The same market again, and no other.
	printed, stop = dev(t, data, offset)
	harness.Await(t, patience, "the second start", func() bool { return strings.Contains(printed(), "Ctrl-C") })
	gaps := fmt.Sprintf("http://127.0.0.1:%d/api/v1/storage/query/gap/binance/BTC-USDT?format=ndjson&limit=100", 8080+offset)
	healed := regexp.MustCompile(`"channel":"trade".*"cause":"restart","outcome":"healed"`)
	harness.Await(t, patience, "the trades of the time between", func() bool { return healed.MatchString(answer(gaps)) })
	if code := stop(); code != 0 {
		t.Errorf("SIGINT: exit code %d", code)
	}
	var said strings.Builder
	c := exec.Command(harness.Program(t), "dev", "--data", data, "--rate", "77", "--port-offset", fmt.Sprint(offset))
	c.Stderr = &said
	if err := c.Run(); c.ProcessState == nil || c.ProcessState.ExitCode() != 2 || !strings.Contains(said.String(), "--fresh") {
		t.Errorf("another rate: %v: %s", err, said.String())
	}
}
