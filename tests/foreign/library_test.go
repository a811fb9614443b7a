package foreign

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// task is what client.py is to do.
type task struct {
	Exchange string            `json:"exchange"`
	Symbol   string            `json:"symbol"`
	URLs     map[string]string `json:"urls"`
	Options  map[string]any    `json:"options"`
	Trades   map[string]any    `json:"trades,omitempty"`
	Enough   enough            `json:"enough"`
	Levels   int               `json:"levels"`
	Seconds  int               `json:"seconds"`
}

type enough struct {
	Trades int `json:"trades"`
	Books  int `json:"books"`
}

// account is what the library understood.
type account struct {
	Version string `json:"version"`
	Markets int    `json:"markets"`
	Market  struct {
		ID     string `json:"id"`
		Base   string `json:"base"`
		Quote  string `json:"quote"`
		Type   string `json:"type"`
		Active bool   `json:"active"`
	} `json:"market"`
	WatchedTrades []trade `json:"watched_trades"`
	WatchedBooks  []book  `json:"watched_books"`
	FetchedTrades []trade `json:"fetched_trades"`
	FetchedBook   book    `json:"fetched_book"`
}

type trade struct {
	ID     string  `json:"id"`
	Time   int64   `json:"time"` // ms
	Price  float64 `json:"price"`
	Amount float64 `json:"amount"`
	Side   string  `json:"side"`
}

type book struct {
	Seq  int64        `json:"seq"`
	Time int64        `json:"time"` // ms; 0 for none
	Bids [][2]float64 `json:"bids"`
	Asks [][2]float64 `json:"asks"`
}

// use lets the library do a task.
func use(t *testing.T, do task) account {
	t.Helper()
	library := install(t)
	in, err := json.Marshal(do)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(do.Seconds)*time.Second+time.Minute)
	defer cancel()
	var out, said bytes.Buffer
	c := exec.CommandContext(ctx, "python3", "client.py")
	c.Env = append(os.Environ(), "PYTHONPATH="+library, "no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1")
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(in), &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("ccxt on %s %s: %v\n%s", do.Exchange, do.Symbol, err, last(said.String(), 3000))
	}
	var a account
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		t.Fatalf("%v in %.300s", err, out.String())
	}
	return a
}

// install puts the library into the user's cache, and returns where it is.
func install(t *testing.T) string { return packages(t, "requirements.txt") }

// packages puts what a file pins into the user's cache, once for its versions and that
// of Python, and returns where it is.
func packages(t *testing.T, requirements string) string {
	t.Helper()
	path, err := installed(t.Context(), requirements)
	harness.Unless(t, err == nil, "MARKETPRISM_REQUIRE_SERVERS", fmt.Sprintf("no packages of %s to drive: %v", requirements, err))
	return path
}

var pinned = regexp.MustCompile(`(?m)^(\w+)==(\S+)$`)

func installed(ctx context.Context, requirements string) (string, error) {
	text, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	var names []string
	for _, m := range pinned.FindAllSubmatch(text, -1) {
		names = append(names, string(m[1])+"-"+string(m[2]))
	}
	if len(names) == 0 {
		return "", fmt.Errorf("%s pins nothing", requirements)
	}
	python, err := run(ctx, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "marketprism", "clients")
	path := filepath.Join(home, strings.Join(names, "-")+"-python"+python)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", err
	}
	// Whole or not at all, whoever else installs it at the same time.
	part, err := os.MkdirTemp(home, "part-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(part) }() // what is left of it is in nobody's way
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if _, err := run(ctx, "python3", "-m", "pip", "install", "--quiet", "--no-input", "--only-binary=:all:", "--target", part, "-r", requirements); err != nil {
		return "", err
	}
	if err := os.Chmod(part, 0o755); err != nil {
		return "", err
	}
	if err := os.Rename(part, path); err != nil {
		if _, there := os.Stat(path); there != nil {
			return "", err
		}
	}
	return path, nil
}

func run(ctx context.Context, name string, args ...string) (string, error) {
	var out, said bytes.Buffer
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(append([]string{name}, args[:min(len(args), 3)]...), " "), err, last(strings.TrimSpace(said.String()), 600))
	}
	return strings.TrimSpace(out.String()), nil
}

// last is the end of a text.
func last(text string, n int) string { return text[max(0, len(text)-n):] }
