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

// testCommands runs every block of the documents that is marked as runnable, line by line
// as a reader would, at the root of a tree with the program built in it.
func testCommands(t *testing.T, n *harness.Node, offset int) {
	_, err := exec.LookPath("curl")
	harness.Unless(t, err == nil, "MARKETPRISM_REQUIRE_SERVERS", "there is no curl")
	for _, b := range found(t) {
		t.Run(b.name, func(t *testing.T) {
			home := tree(t)
			script := address.ReplaceAllStringFunc(b.text, func(at string) string {
				port, _ := strconv.Atoi(at[strings.LastIndex(at, ":")+1:])
				return fmt.Sprint("127.0.0.1:", port+offset)
			})
			var out []byte
			var err error
			if !harness.Eventually(t, 20*time.Second, func() bool { // a busy machine may answer 503 and say: again
				c := exec.CommandContext(t.Context(), "bash", "-c", prelude+script)
				c.Dir = home
				c.Env = append(os.Environ(), "PATH="+home+":"+os.Getenv("PATH"), "MARKETPRISM_NODE__DATA_DIR="+n.Data,
					"no_proxy=*", "NO_PROXY=*", "NO_COLOR=1")
				out, err = c.CombinedOutput()
				return err == nil
			}) {
				t.Errorf("%v\n%s\nprints\n%s", err, script, out[max(0, len(out)-2000):])
			}
		})
	}
}

// tree is a folder with what commands of the documents find at the root of a checkout.
func tree(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	link := func(from, to string) {
		if err := os.Symlink(from, filepath.Join(home, to)); err != nil {
			t.Fatal(err)
		}
	}
	link(harness.Program(t), "marketprism")
	for _, name := range []string{"config", "connectors", "docs"} {
		path, err := filepath.Abs(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		link(path, name)
	}
	return home
}

const (
	others  = "it wants several nodes: "
	docker  = "there is no Docker here, and TestMultiNodeCompose does what it says, without one: "
	endless = "it goes on until it is ended: "
)

// notRun are commands that testCommands does not run, by document and the beginning of
// their first line, and why not. Tests that a reason names exist.
var notRun = map[string]string{
	"README.md: make run":                                        "TestDocuments begins with what it stands for",
	"README.md: $ make run":                                      "the same, with what it prints",
	"README.md: $ marketprism normalize binance/btcusdt":         "TestRecorded runs it where there is recorded traffic, of which none is in the tree",
	"README.md: $ marketprism normalize binance/dropped":         "the same",
	"README.md: $ marketprism replay binance/btcusdt":            "TestReplayInto replays the same, where there is recorded traffic",
	"docs/adding-an-exchange.md: go test ./connectors":           "it names an exchange that the reader writes",
	"docs/cluster.md: marketprism node drain":                    others + "TestMultiNodePlacement",
	"docs/cluster.md: marketprism node move":                     others + "TestMultiNodeMarkets",
	"docs/cluster.md: curl -s 'http://127.0.0.1:8084/api/v1/act": others + "TestMultiNodeRemoting",
	"docs/configuration.md: $ marketprism config check -c bad":   "TestShownErrors runs it",
	"docs/examples/README.md: docs/examples/trades.sh":           "TestExamples runs each, with the packages that it wants",
	"docs/getting-started.md: git clone":                         "it fetches what is tested here",
	"docs/getting-started.md: make run ARGS":                     endless + "TestDocuments begins with what it stands for",
	"docs/getting-started.md: duckdb -c":                         "DuckDB is there as a package of Python: TestOtherTools",
	"docs/security.md: marketprism user add":                     "it asks for a password, and wants a gateway that asks who one is: TestUsersAndKeys",
	"deploy/README.md: make build":                               docker + "processes of the image's root, of compose.yaml",
	"deploy/README.md: docker compose cp":                        docker + "the same",
	"deploy/README.md: docker compose exec":                      docker + "the same",
	"deploy/README.md: docker build -f deploy/Dockerfile":        "there are no Docker and no Kubernetes here: TestDockerfile plans the image, TestKubernetes reads the manifests",
}

var (
	fenced   = regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$")
	command  = regexp.MustCompile(`(?m)^[ \t]*(\$ )?(\./)?(marketprism|curl|make|go|git|docker|kubectl|python3?|pip|duckdb|nats|promtool|systemctl|sudo|apt|apt-get|websocat|docs/examples/\S+) .*$`)
	namedIn  = regexp.MustCompile(`\bTest[A-Z]\w*`)
	declared = regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`)
)

// TestAllCommands: what the documents tell their readers to run is run, or is named above
// with the reason why not.
func TestAllCommands(t *testing.T) {
	seen, runs := map[string]bool{}, 0
	for _, d := range documents(t) {
		for _, m := range fenced.FindAllStringSubmatch(d.text, -1) {
			line := strings.TrimSpace(command.FindString(m[2]))
			if m[1] == "sh run" {
				runs++
				continue
			}
			if line == "" || !slices.Contains([]string{"", "sh", "bash", "console"}, m[1]) {
				continue
			}
			at := d.title() + ": " + line
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
	if runs < 15 {
		t.Errorf("only %d blocks are run", runs)
	}
	tests := everyTest(t)
	for beginning, why := range notRun {
		if !seen[beginning] {
			t.Errorf("%q is in no document", beginning)
		}
		for _, name := range namedIn.FindAllString(why, -1) {
			if !tests[name] {
				t.Errorf("%q is not run because of %s, and there is no such test", beginning, name)
			}
		}
	}
}

// everyTest are the names of all tests of the tree.
func everyTest(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// block is what one is told to run.
type block struct{ name, text string }

func found(t *testing.T) (all []block) {
	t.Helper()
	for _, d := range documents(t) {
		for _, m := range runnable.FindAllStringSubmatchIndex(d.text, -1) {
			line := 1 + strings.Count(d.text[:m[0]], "\n")
			all = append(all, block{fmt.Sprintf("%s:%d", filepath.Base(d.path), line), d.text[m[2]:m[3]]})
		}
	}
	return all
}
