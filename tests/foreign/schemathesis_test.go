package foreign

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// explored is what schemathesis reports of one service.
type explored struct {
	Cases struct {
		Generated int `json:"generated"`
	} `json:"test_cases"`
	Operations struct {
		Tested int `json:"tested"`
	} `json:"operations"`
	Failures []json.RawMessage `json:"failures"`
	Errors   []json.RawMessage `json:"errors"`
}

// left are the operations that a client which makes up its values cannot use: streams
// that never end, answers that wait for something to happen, those that stop what is
// being tested, and archives of everything.
const left = `(ui/live|/logs$|actors/events|actors/\{id\}/|subscribe|/stream$|/ws|/claim$|/next$|/fetch$|/request/|cold/archive|/follow)`

// TestDescriptions: a client that knows nothing but each service's description, and
// makes up values, good ones and bad ones, meets no 5xx and no answer that is not as
// described. The time is bounded: it is a sample, the same each time.
func TestDescriptions(t *testing.T) {
	library := packages(t, "schemathesis.txt")
	n := harness.Dev(t, t.TempDir(), harness.DevOffset(t), "--symbols", "2")
	for _, service := range harness.Services {
		t.Run(service, func(t *testing.T) {
			args := []string{}
			if service == harness.Gateway { // whose description has those of the others, too
				args = append(args, "--include-path-regex", "/(gateway|auth)/")
			}
			e := explore(t, library, n.URL(service, "/openapi.json"), least, args...)
			for _, f := range e.Failures {
				t.Errorf("%.1500s", f)
			}
			for _, f := range e.Errors {
				// It writes no bodies but JSON, forms and text.
				if !strings.Contains(string(f), "erializ") {
					t.Errorf("%.1500s", f)
				}
			}
			t.Logf("%d operations, %d cases", e.Operations.Tested, e.Cases.Generated)
			if e.Operations.Tested < least { // how many cases there are is a matter of the machine
				t.Errorf("%d operations were tried, want %d", e.Operations.Tested, least)
			}
		})
	}
}

// least is how many operations of a service are tried at least; the gateway itself has
// not many more.
const least = 12

// explore runs the client for some seconds, and for longer where the machine is so busy
// that it came to few operations in them.
func explore(t *testing.T, library, description string, least int, args ...string) (e explored) {
	t.Helper()
	for _, seconds := range []string{"8", "16", "32"} {
		e = exploreFor(t, seconds, library, description, args...)
		if e.Operations.Tested >= least || len(e.Failures) > 0 {
			break
		}
	}
	return e
}

func exploreFor(t *testing.T, seconds, library, description string, args ...string) explored {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.json")
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	args = append([]string{
		"-m", "schemathesis.cli", "run", description, "--max-examples", "2", "--max-time", seconds, "--phases", "coverage,fuzzing",
		"--checks", "not_a_server_error,response_schema_conformance,content_type_conformance", "--exclude-path-regex", left,
		"--continue-on-failure", "--generation-deterministic", "--request-timeout", "20", "--no-color", "--suppress-health-check", "all",
		"--warnings", "off", "--report", "json", "--report-json-path", report,
	}, args...)
	c := exec.CommandContext(ctx, "python3", args...)
	c.Env = append(os.Environ(), "PYTHONPATH="+library, "PYTHONDONTWRITEBYTECODE=1")
	c.Dir = filepath.Dir(report)
	out, err := c.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("%v: %s", err, last(string(out), 2000))
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v: %s", err, last(string(out), 2000))
	}
	var e explored
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatalf("%v in %.300s", err, text)
	}
	return e
}
