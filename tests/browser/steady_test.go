package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// steady is what pages held that were left open, a value a minute.
type steady struct {
	Console []string `json:"console"`
	Pages   []struct {
		Path      string    `json:"path"`
		Heap      []float64 `json:"heap"`      // bytes, after a garbage collection
		Nodes     []float64 `json:"nodes"`     // of documents, those included that are in none any more
		Listeners []float64 `json:"listeners"` // of events
		Live      int       `json:"live"`      // minutes after which the page said that it is live
	} `json:"pages"`
}

// warm is how many minutes a page takes until it has all it keeps: charts and sparklines of
// a quarter of an hour, a log of a thousand lines.
const warm = 15

// TestMultiNodeSteady: pages that are left open for an hour, live, hold as much at its end
// as a quarter of an hour after they were opened. It is for MARKETPRISM_SOAK=1;
// MARKETPRISM_SOAK_MINUTES is how long, 60 unless set.
func TestMultiNodeSteady(t *testing.T) {
	if os.Getenv("MARKETPRISM_SOAK") != "1" {
		t.Skip("an hour of updates is for MARKETPRISM_SOAK=1")
	}
	minutes := 60
	if text := os.Getenv("MARKETPRISM_SOAK_MINUTES"); text != "" {
		var err error
		if minutes, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	node, chromium, modules := tools(t)
	program := harness.Dev(t, t.TempDir(), harness.DevOffset(t), "--rate", "0.5", "--symbols", "40")
	paths := []string{"/", "/actors", "/streams?view=table", "/market?exchange=binance&market=spot&symbol=BTC-USDT", "/logs", "/explore"}
	var out, said bytes.Buffer
	c := exec.CommandContext(t.Context(), node, append([]string{"steady.mjs", modules, program.URL(harness.Monitoring, ""), chromium, strconv.Itoa(minutes)}, paths...)...)
	c.Stdout, c.Stderr = &out, io.MultiWriter(&said, os.Stderr)
	if err := c.Run(); err != nil {
		t.Fatalf("waiting: %v\n%s", err, said.String())
	}
	var s steady
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("it said %q: %v", out.String(), err)
	}
	for _, line := range s.Console {
		t.Errorf("error: %s", line)
	}
	for _, p := range s.Pages {
		t.Logf("%s: heap %s", p.Path, megabytes(p.Heap))
		t.Logf("%s: elements %.0f, listeners %.0f", p.Path, p.Nodes, p.Listeners)
		if p.Live < minutes*9/10 {
			t.Errorf("%s was live after %d of %d minutes", p.Path, p.Live, minutes)
		}
		if minutes < 2*warm {
			continue
		}
		for what, values := range map[string][]float64{"heap": p.Heap, "elements": p.Nodes, "listeners": p.Listeners} {
			early, late := middle(values[warm:warm+warm/2]), middle(values[len(values)-warm/2:])
			if late > early*1.1+1 {
				t.Errorf("%s: %s grew from %.0f to %.0f", p.Path, what, early, late)
			}
		}
		if last := slices.Max(p.Heap); last > mostHeap {
			t.Errorf("%s: heap of %.0f bytes", p.Path, last)
		}
	}
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func megabytes(all []float64) (text string) {
	for _, n := range all {
		text += fmt.Sprintf("%.1f ", n/(1<<20))
	}
	return text + "MB"
}
