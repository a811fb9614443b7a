// Package documents runs the commands that the documents give their readers.
package documents

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

var (
	// runnable are the blocks that are run: ```sh run
	runnable = regexp.MustCompile("(?ms)^```sh run\n(.*?)^```$")
	address  = regexp.MustCompile(`\b(?:localhost|127\.0\.0\.1):(80\d\d|4222)\b`)
)

// prelude makes commands fail that a reader would see fail, and end that would not end.
const prelude = `set -eu -o pipefail
curl() {
	local status=0 follows=0
	case " $* " in *" -N "*|*" -sN "*) follows=1 ;; esac
	if ((follows)); then set -- --max-time 3 "$@"; fi
	command curl --fail-with-body "$@" || status=$?
	if ((follows)) && [[ $status == 28 ]]; then status=0; fi # a stream does not end
	return $status
}
go() { [[ $* == "build -o marketprism ." ]]; } # it is built
`

// TestCommands runs every block of the documents that is marked as runnable, line by line
// as a reader would, against a node as make run starts it.
func TestCommands(t *testing.T) {
	_, err := exec.LookPath("curl")
	harness.Unless(t, err == nil, "MARKETPRISM_REQUIRE_SERVERS", "there is no curl")
	blocks := found(t)
	offset := harness.DevOffset(t)
	data := t.TempDir()
	n := harness.Dev(t, data, offset, "--symbols", "2", "--rate", "20")
	harness.Await(t, time.Minute, "trades of BTC-USDT", func() bool {
		return len(n.MustQuery("trade", "binance", "BTC-USDT", "market", "spot")) > 5
	})
	for _, b := range blocks {
		t.Run(b.name, func(t *testing.T) {
			home := t.TempDir()
			if err := os.Symlink(harness.Program(t), filepath.Join(home, "marketprism")); err != nil {
				t.Fatal(err)
			}
			config, err := filepath.Abs("../../config")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(config, filepath.Join(home, "config")); err != nil {
				t.Fatal(err)
			}
			script := address.ReplaceAllStringFunc(b.text, func(at string) string {
				port, _ := strconv.Atoi(at[strings.LastIndex(at, ":")+1:])
				return fmt.Sprint("127.0.0.1:", port+offset)
			})
			var out []byte
			if !harness.Eventually(t, 20*time.Second, func() bool { // a busy machine may answer 503 and say: again
				c := exec.CommandContext(t.Context(), "bash", "-c", prelude+script)
				c.Dir = home
				c.Env = append(os.Environ(), "PATH="+home+":"+os.Getenv("PATH"), "MARKETPRISM_NODE__DATA_DIR="+data,
					"no_proxy=*", "NO_PROXY=*", "NO_COLOR=1")
				out, err = c.CombinedOutput()
				return err == nil
			}) {
				t.Errorf("%v\n%s\nprints\n%s", err, script, out[max(0, len(out)-2000):])
			}
		})
	}
}

// notRun are commands that this test does not run, by document and the beginning of their
// first line, and why not.
var notRun = map[string]string{
	"README.md: make run":                                   "it is what the test begins with, without make",
	"README.md: $ make run":                                 "the same, with what it prints",
	"README.md: $ marketprism normalize binance/btcusdt":    "it wants a capture, which is not in the tree; internal/cli/normalize has tests of its own",
	"README.md: $ marketprism normalize binance/dropped":    "the same, of another capture",
	"README.md: $ marketprism replay binance/btcusdt":       "the same; tests/endtoend replays it",
	"adding-an-exchange.md: go test ./connectors":           "it names an exchange that there is not yet",
	"cluster.md: marketprism node drain":                    "it wants several nodes: tests/cluster",
	"cluster.md: marketprism node move":                     "it wants several nodes: tests/cluster",
	"cluster.md: curl -s 'http://127.0.0.1:8084/api/v1/act": "it wants several nodes: tests/cluster",
	"configuration.md: $ marketprism config check -c bad":   "it shows what errors look like: config/testdata",
	"README.md: docs/examples/trades.sh":                    "TestExamples runs each",
	"gateway.md: curl -s http://127.0.0.1:8083":             "it wants a service of the reader's: tests/contract registers one",
	"getting-started.md: git clone":                         "it fetches what is tested here",
	"getting-started.md: make run ARGS":                     "it goes on until it is ended: tests/endtoend runs dev with faults",
	"query.md: curl -s -D- -o /dev/null":                    "the second command wants what the first one printed: http/storage does it",
	"security.md: marketprism user add":                     "it asks for a password, and wants a gateway that asks who one is: internal/cli TestUsersAndKeys",
}

var (
	fenced  = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")
	command = regexp.MustCompile(`(?m)^(\$ )?(\./)?(marketprism|curl|make|go|git|docker|kubectl|python3|systemctl|sudo|websocat|docs/examples/\S+) .*$`)
)

// TestAllCommands: what the documents tell their readers to run is run, or is named above
// with the reason why not.
func TestAllCommands(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range documentFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
			line := command.FindString(m[2])
			if m[1] == "sh run" || line == "" || !slices.Contains([]string{"", "sh", "console"}, m[1]) {
				continue
			}
			at := filepath.Base(file) + ": " + line
			known := false
			for beginning := range notRun {
				if strings.HasPrefix(at, beginning) {
					known, seen[beginning] = true, true
				}
			}
			if !known {
				t.Errorf("%s is not run: mark the block with `sh run`, or say in notRun why it cannot be", at)
			}
		}
	}
	for beginning := range notRun {
		if !seen[beginning] {
			t.Errorf("%q is in no document", beginning)
		}
	}
}

// block is what one is told to run.
type block struct{ name, text string }

func found(t *testing.T) (all []block) {
	t.Helper()
	for _, file := range documentFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range runnable.FindAllSubmatchIndex(text, -1) {
			line := 1 + strings.Count(string(text[:m[0]]), "\n")
			all = append(all, block{fmt.Sprintf("%s:%d", filepath.Base(file), line), string(text[m[2]:m[3]])})
		}
	}
	if len(all) < 5 {
		t.Fatalf("only %d runnable blocks", len(all))
	}
	return all
}

// documentFiles are the README and everything below docs.
func documentFiles(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../docs/*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	return all
}
