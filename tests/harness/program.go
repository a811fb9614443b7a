// Package harness drives the built program from outside, as an operator would: by
// its commands, its configuration file, its signals and its ports. It knows nothing
// of the inside but the vocabulary.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// program is what [Main] built, once a test process.
var program struct {
	once sync.Once
	path string
	dir  string // to be removed; "" when the path was given
	err  error
}

// Main runs the tests of a package and removes the program that they built.
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if program.dir != "" {
		if err := os.RemoveAll(program.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return code
}

// Program is the path of the built program: MARKETPRISM_BINARY, else a build of the
// tree that is tested.
func Program(t testing.TB) string {
	t.Helper()
	program.once.Do(func() {
		if program.path = os.Getenv("MARKETPRISM_BINARY"); program.path != "" {
			return
		}
		if program.dir, program.err = os.MkdirTemp("", "marketprism-test-*"); program.err != nil {
			return
		}
		program.path = filepath.Join(program.dir, "marketprism")
		out, err := exec.Command("go", "build", "-o", program.path, "github.com/marketprism/marketprism").CombinedOutput()
		if err != nil {
			program.err = fmt.Errorf("building the program: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// Outcome is what a command that has ended left.
type Outcome struct {
	Code        int
	Out, Errors string
	Took        time.Duration
}

// Run runs a command of the program to its end. Patience is as in [Await].
func Run(t testing.TB, patience time.Duration, args ...string) Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(float64(patience)*stretch()))
	defer cancel()
	var out, errs bytes.Buffer
	c := exec.CommandContext(ctx, Program(t), args...)
	c.Stdout, c.Stderr = &out, &errs
	begin := time.Now()
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("marketprism %q: %v %v\n%s", args, err, ctx.Err(), tail(errs.String(), 40))
	}
	return Outcome{c.ProcessState.ExitCode(), out.String(), errs.String(), time.Since(begin)}
}

// Must is [Run] of a command that has to succeed.
func Must(t testing.TB, patience time.Duration, args ...string) Outcome {
	t.Helper()
	o := Run(t, patience, args...)
	if o.Code != 0 {
		t.Fatalf("marketprism %q ended with %d\n%s", args, o.Code, tail(o.Errors, 40))
	}
	return o
}

// Pause lets d pass while others work.
func Pause(t testing.TB, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// Rounds is how many rounds the kill suites run: MARKETPRISM_KILL_ROUNDS, else 3.
func Rounds(t testing.TB) int {
	t.Helper()
	text := os.Getenv("MARKETPRISM_KILL_ROUNDS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("MARKETPRISM_KILL_ROUNDS=%q: want a number of rounds", text)
	}
	return n
}

// Unless skips the test, saying why, or fails it when the variable demands what is
// missing.
func Unless(t testing.TB, ok bool, variable, why string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv(variable) == "1":
		t.Fatalf("%s, and %s=1 demands it", why, variable)
	default:
		t.Skipf("%s (%s=1 makes this a failure)", why, variable)
	}
}

// Capture is the path of recorded traffic, such as "binance-usdm/btcusdt_20240808".
func Capture(t testing.TB, name string) string {
	t.Helper()
	root := os.Getenv("MARKETPRISM_CAPTURES")
	if root == "" {
		root = filepath.Join(moduleRoot(t), "..", "shared", "captures")
	}
	path := filepath.Join(root, filepath.FromSlash(name)+".ndjson.gz")
	_, err := os.Stat(path)
	Unless(t, err == nil, "MARKETPRISM_REQUIRE_CAPTURES", "no recorded traffic "+name)
	return path
}

func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}

func tail(text string, lines int) string {
	all := bytes.Split(bytes.TrimRight([]byte(text), "\n"), []byte("\n"))
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return string(bytes.Join(all, []byte("\n")))
}
