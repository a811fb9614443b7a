package browser

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/tests/harness"
)

// detailed is what came of using the pages.
type detailed struct {
	Faults     []string `json:"faults"`     // steps that could not be done
	Errors     []string `json:"errors"`     // of the console
	Violations []string `json:"violations"` // of accessibility
	Seen       struct {
		Moment struct {
			Shown []string `json:"shown"` // best bid and ask on the page
			Want  []string `json:"want"`  // of the stored snapshot
			Over  bool     `json:"over"`  // it went on
		} `json:"moment"`
		Keys struct {
			Earlier bool `json:"earlier"`
			Tables  int  `json:"tables"` // that stand for charts
		} `json:"keys"`
		Heat struct {
			Before  int    `json:"before"`
			After   int    `json:"after"`
			Says    string `json:"says"`
			Markets int    `json:"markets"`
		} `json:"heat"`
		Drawers struct {
			Beside bool   `json:"beside"`
			Kept   string `json:"kept"`
		} `json:"drawers"`
		Trace struct {
			Handled int `json:"handled"`
			Rows    int `json:"rows"`
			Kept    int `json:"kept"` // drawers, after a question was closed above them
		} `json:"trace"`
		Books   int `json:"books"`
		Columns struct {
			Gone    bool   `json:"gone"`
			Lines   int    `json:"lines"` // of the copy
			Streams int    `json:"streams"`
			Head    string `json:"head"`
		} `json:"columns"`
		Subscribe bool   `json:"subscribe"`
		Schedule  string `json:"schedule"`
		Rules     int    `json:"rules"` // series of which Watchdog is true
		Rule      string `json:"rule"`  // made of an expression
		Broker    bool   `json:"broker"`
		Storage   string `json:"storage"`
		Logs      struct {
			Around int `json:"around"` // lines within five seconds
			Said   int `json:"said"`   // of one request
		} `json:"logs"`
		States struct {
			Refused  int      `json:"refused"`  // pages that say who does not answer
			Invented []string `json:"invented"` // what is said of what nobody knows
		} `json:"states"`
		Palette bool `json:"palette"`
	} `json:"seen"`
}

// TestMultiNodeDetails uses what the pages offer: a frozen moment shows what storage has,
// keys step through time and turn charts into tables, a pinned drawer stays, an actor is
// traced, columns are kept, streams are unsubscribed and subscribed, a task is edited, a
// rule is tested, a message is published and followed, a request is seen in its log, and
// services that refuse or hang are said to.
func TestMultiNodeDetails(t *testing.T) {
	node, chromium, modules := tools(t)
	pictures := os.Getenv("MARKETPRISM_PICTURES")
	if pictures == "" {
		pictures = t.TempDir()
	}
	program := harness.Dev(t, t.TempDir(), harness.DevOffset(t), "--rate", "5", "--symbols", "2")
	var out, said bytes.Buffer
	c := exec.CommandContext(t.Context(), node, "details.mjs", modules, program.URL("monitoring-service", ""), chromium, pictures)
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("using the pages: %v\n%s", err, said.String())
	}
	var d detailed
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatalf("it said %q: %v", out.String(), err)
	}
	for what, list := range map[string][]string{"fault": d.Faults, "error": d.Errors, "violation": d.Violations} {
		for _, line := range list {
			t.Errorf("%s: %s", what, line)
		}
	}
	s := &d.Seen
	if s.States.Refused != 6 || len(s.States.Invented) > 0 {
		t.Errorf("states: %+v", s.States)
	}
	if len(s.Moment.Want) != 2 || !slices.Equal(s.Moment.Shown, s.Moment.Want) || !s.Moment.Over {
		t.Errorf("the frozen moment: %+v", s.Moment)
	}
	if !s.Keys.Earlier || s.Keys.Tables == 0 {
		t.Errorf("keys: %+v", s.Keys)
	}
	if s.Heat.After != s.Heat.Before-1 || s.Heat.Says == "" || s.Heat.Markets < 5 {
		t.Errorf("the heat strips: %+v", s.Heat)
	}
	if !s.Drawers.Beside || s.Drawers.Kept != "BTC-USDT" {
		t.Errorf("the drawers: %+v", s.Drawers)
	}
	if s.Trace.Handled == 0 || s.Trace.Rows == 0 || s.Trace.Kept != 1 {
		t.Errorf("the trace: %+v", s.Trace)
	}
	if s.Books != 4 {
		t.Errorf("%d books where there is room for four", s.Books)
	}
	if !s.Columns.Gone || s.Columns.Lines != s.Columns.Streams+1 || strings.Contains(s.Columns.Head, "Verified") {
		t.Errorf("the columns: %+v", s.Columns)
	}
	if !s.Subscribe || s.Schedule != "7 */2 * * *" || !s.Broker || !s.Palette || s.Storage == "" {
		t.Errorf("acts: subscribed %v, scheduled %q, published %v, palette %v, storage %q", s.Subscribe, s.Schedule, s.Broker, s.Palette, s.Storage)
	}
	if s.Rules == 0 || !strings.Contains(s.Rule, "alert: NewAlert") {
		t.Errorf("Watchdog is true of %d series; the rule made of an expression: %s", s.Rules, s.Rule)
	}
	if s.Logs.Around == 0 || s.Logs.Said == 0 {
		t.Errorf("the log: %+v", s.Logs)
	}
}
