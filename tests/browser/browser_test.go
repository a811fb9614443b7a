// Package browser opens the dashboard of a running program in a real browser.
package browser

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// walked is what the walk found.
type walked struct {
	Console    []string                     `json:"console"`    // errors
	Foreign    []string                     `json:"foreign"`    // requests to another origin
	Violations []string                     `json:"violations"` // of accessibility
	Faults     []string                     `json:"faults"`     // steps that could not be done
	Words      map[string]map[string]string `json:"words"`      // titles by page and language
	Pages      int                          `json:"pages"`
	Paint      int                          `json:"paint_ms"`
	Narrow     []string                     `json:"narrow"`
	Market     struct {
		Trades   int        `json:"trades"`
		Wrong    [][]string `json:"wrong"`
		Known    bool       `json:"book_known"`
		Book     []string   `json:"book"`
		Answered []string   `json:"book_answered"`
		Rungs    int        `json:"rungs"`   // of the book, with an amount
		Sides    []int      `json:"sides"`   // rungs of bids, and of asks
		Depth    int        `json:"depth"`   // sides of the depth's picture
		Proof    int        `json:"proof"`   // candles with their proof
		Candles  int        `json:"candles"` // that the interface answered
		Close    float64    `json:"close"`   // of the last that is shown
		Inside   bool       `json:"inside"`  // that is within one of those
	} `json:"market"`
	Kill struct {
		Before  int      `json:"before"` // incarnation
		After   int      `json:"after"`
		State   string   `json:"state"`
		Reason  string   `json:"reason"`  // of the failure
		Events  []string `json:"events"`  // of the actor, since
		Rows    []string `json:"rows"`    // how its row stood, one after the other
		Hatched int      `json:"hatched"` // backoffs in the lanes
	} `json:"kill"`
	Cluster struct {
		Before  map[string]string `json:"before"` // what is said of each node
		Leases  []string          `json:"leases"` // their holders
		Owned   int               `json:"owned"`  // streams of the node that is killed
		Streams int               `json:"streams"`
		Seen    string            `json:"seen"`  // what is said of it afterwards
		Moves   int               `json:"moves"` // from it, as listed
		Other   map[string]string `json:"other"` // what another node says
	} `json:"cluster"`
}

// TestMultiNodeWalk: every page in both themes and languages has no error, no violation
// of accessibility and no request to another origin; the market page's numbers are the
// interface's; an actor that is killed is seen to fail and to come back.
func TestMultiNodeWalk(t *testing.T) {
	node, chromium, modules := tools(t)
	pictures := os.Getenv("MARKETPRISM_PICTURES")
	if pictures == "" {
		pictures = t.TempDir()
	}
	program := harness.Dev(t, t.TempDir(), harness.DevOffset(t), "--rate", "5", "--symbols", "2")
	w := walk(t, node, modules, program.URL("monitoring-service", ""), chromium, pictures)
	if w.Market.Trades < 10 || len(w.Market.Wrong) > 0 {
		t.Errorf("the tape shows %d known trades, of which other than the interface's: %v", w.Market.Trades, w.Market.Wrong)
	}
	if !w.Market.Known || strings.Join(w.Market.Book, " ") != strings.Join(w.Market.Answered, " ") {
		t.Errorf("the book shows %v, the interface answered %v", w.Market.Book, w.Market.Answered)
	}
	if m := w.Market; m.Rungs < 20 || len(m.Sides) != 2 || min(m.Sides[0], m.Sides[1]) < 10 || m.Depth != 2 || m.Candles == 0 || m.Proof == 0 || !m.Inside {
		t.Errorf("the market page is not full: %+v", m)
	}
	k := w.Kill
	if k.After <= k.Before || k.State != "running" || k.Reason != "killed by hand: shown to the walker" || k.Hatched == 0 || !inOrder(k.Events, "failed", "backoff", "restarted", "ready") || !slices.Contains(k.Rows, "l-work") {
		t.Errorf("the kill: %+v", k)
	}
	t.Logf("first paint after %d ms", w.Paint)
}

// inOrder says whether words are in a list, one behind the other.
func inOrder(list []string, words ...string) bool {
	for _, w := range words {
		i := slices.Index(list, w)
		if i < 0 {
			return false
		}
		list = list[i+1:]
	}
	return true
}

// walk walks every page, and checks what holds of each.
func walk(t *testing.T, node, modules, at, chromium, pictures string, more ...string) walked {
	t.Helper()
	var out, said bytes.Buffer
	c := exec.CommandContext(t.Context(), node, append([]string{"walk.mjs", modules, at, chromium, pictures}, more...)...)
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("the walk: %v\n%s", err, said.String())
	}
	var w walked
	if err := json.Unmarshal(out.Bytes(), &w); err != nil {
		t.Fatalf("the walk said %q: %v", out.String(), err)
	}
	for what, list := range map[string][]string{"error": w.Console, "foreign request": w.Foreign, "violation": w.Violations, "fault": w.Faults, "too wide": w.Narrow} {
		for _, line := range list {
			t.Errorf("%s: %s", what, line)
		}
	}
	if w.Pages != 12 {
		t.Errorf("%d pages were walked, want 12", w.Pages)
	}
	for page, title := range w.Words {
		if title["en"] == "" || title["zh"] == "" || title["en"] == title["zh"] {
			t.Errorf("%s is called %q and %q", page, title["en"], title["zh"])
		}
	}
	return w
}

// tools are node, a browser and the folder of node modules; the test is skipped, or fails
// where they are obligatory, when they cannot be had.
func tools(t *testing.T) (node, chromium, modules string) {
	t.Helper()
	required := os.Getenv("MARKETPRISM_REQUIRE_SERVERS") == "1"
	without := func(why string) {
		if required {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	var err error
	if node, err = exec.LookPath("node"); err != nil {
		without("no node: the dashboard is not walked")
	}
	if chromium, err = exec.LookPath("chromium"); err != nil {
		without("no chromium: the dashboard is not walked")
	}
	if modules, err = filepath.Abs("../../http/ui/web/node_modules"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "playwright-core")); err != nil {
		c := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
		c.Dir = filepath.Dir(modules)
		if text, err := c.CombinedOutput(); err != nil {
			without("npm ci: " + err.Error() + "\n" + string(text))
		}
	}
	return node, chromium, modules
}
