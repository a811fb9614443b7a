package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestSimulateUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--exchange", "nosuch"}, {"--exchange", "binance/nosuch"}, {"--exchange", "binance/option"}, {"--fault", "drop"},
		{"--fault", "drop=2"}, {"--fault", "lie=0.1"}, {"--rate", "0"}, {"--rate", "-3"}, {"--rate", "1e9"}, {"--symbols", "0"},
		{"--symbols", "1000000"}, {"--genesis", "yesterday"}, {"--genesis", "2999-01-01T00:00:00Z"}, {"stray"}, {"--nosuch"},
	} {
		var said strings.Builder
		if code := execute(t.Context(), io.Discard, &said, append([]string{"simulate"}, args...)...); code != ExitUsage {
			t.Errorf("simulate %v: exit %d: %s", args, code, said.String())
		}
	}
}

// TestSimulate starts it, asks the market and the truth, and ends it.
func TestSimulate(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	printed, stdout := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, stdout, io.Discard, "simulate", "--exchange", "binance/spot", "--symbols", "1", "--rate", "1000", "--genesis", "now")
		stdout.Close()
	}()
	var rest, truth string
	for lines := bufio.NewScanner(printed); truth == "" && lines.Scan(); {
		if v, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), "rest_url: "); ok {
			rest = v
		}
		if v, ok := strings.CutPrefix(lines.Text(), "# the truth, and control: "); ok {
			truth = v
		}
	}
	go io.Copy(io.Discard, printed)
	get := func(url string) (text []byte) {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err = io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s %v", url, resp.StatusCode, text, err)
		}
		return text
	}
	var trades []struct {
		ID int64 `json:"id"`
	}
	for len(trades) == 0 {
		if err := json.Unmarshal(get(rest+"/api/v3/trades?symbol=BTCUSDT&limit=5"), &trades); err != nil {
			t.Fatal(err)
		}
	}
	if trades[0].ID < 1 || trades[0].ID > 1000 {
		t.Errorf("a market that begins now is at trade %d", trades[0].ID)
	}
	if text := string(get(truth + "/truth/trades?exchange=binance&market=spot&symbol=BTC-USDT")); !strings.Contains(text, `"kind":"trade"`) {
		t.Errorf("the truth: %s", text)
	}
	stop()
	if got := <-code; got != ExitOK {
		t.Errorf("exit %d", got)
	}
}
