// Package documents holds the documents against the program: the commands that they give
// their readers are run, and what they name is there.
package documents

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

var update = flag.Bool("update", false, "write anew what is made of the program: docs/api, docs/settings.md")

// TestDocuments runs what needs a node on one, as getting started has it started, with
// messages being lost.
func TestDocuments(t *testing.T) {
	offset := harness.DevOffset(t)
	n := harness.Dev(t, t.TempDir(), offset, "--symbols", "2", "--rate", "20", "--fresh", "--fault", "drop=0.01")
	t.Run("Reference", func(t *testing.T) { testReference(t, n) })
	if *update {
		return
	}
	harness.Await(t, time.Minute, "trades of BTC-USDT", func() bool {
		return len(n.MustQuery("trade", "binance", "BTC-USDT", "market", "spot")) > 5
	})
	t.Run("Client", func(t *testing.T) { testClient(t, n) })
	t.Run("Commands", func(t *testing.T) { testCommands(t, n, offset) })
	t.Run("Faults", func(t *testing.T) { testFaults(t, n) })
}

// testFaults: what getting started promises of lost messages, is so: holes are found, and
// closed.
func testFaults(t *testing.T, n *harness.Node) {
	harness.Await(t, time.Minute, "a hole that was closed", func() bool {
		for _, gap := range n.MustQuery("gap", "binance", "BTC-USDT", "market", "spot") {
			if gap.Outcome == "healed" {
				return true
			}
		}
		return false
	})
}

// documentFiles are the README, everything below docs, and the README of deploy.
func documentFiles(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../docs/*/*.md", "../../deploy/README.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	return all
}

// document is one of them.
type document struct{ path, text string }

// title is how a document is named in complaints.
func (d *document) title() string { return strings.TrimPrefix(d.path, "../../") }

func documents(t *testing.T) (all []document) {
	t.Helper()
	for _, path := range documentFiles(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, document{path, string(text)})
	}
	return all
}

var code = regexp.MustCompile("(?ms)^```[^\n]*\n(.*?)^```$|^    (\\S[^\n]*)$|`([^`\n]+)`")

// snippets are the lines of code of a document: of blocks, and within sentences.
func (d *document) snippets() (lines []string) {
	for _, m := range code.FindAllStringSubmatch(d.text, -1) {
		lines = append(lines, strings.Split(m[1]+m[2]+m[3], "\n")...)
	}
	return lines
}
