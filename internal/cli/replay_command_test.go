package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors"
)

// execute runs one command as the program would, and gives its exit code.
func execute(ctx context.Context, out, errs io.Writer, args ...string) int {
	return Run(ctx, args, strings.NewReader(""), out, errs, nil)
}

func tradeCapture(t *testing.T, n int) (path string, frames []string) {
	t.Helper()
	var file bytes.Buffer
	w := connectors.NewCaptureWriter(&file)
	for id := range n {
		at := int64(1_700_000_000_000 + id)
		frame := fmt.Sprintf(`{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"1.5","q":"2","T":%d,"m":true,"M":true}}`, at, id, at)
		frames = append(frames, frame)
		if err := w.Write(&connectors.CaptureRecord{Time: at * 1e6, Conn: 1, Dir: connectors.CaptureIn, Body: []byte(frame)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "trades.ndjson.gz")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, frames
}

// endpoint reads the settings that replay prints, line by line.
func endpoint(t *testing.T, printed io.Reader) (ws, rest string) {
	t.Helper()
	var text []byte
	for !bytes.Contains(text, []byte("data_types:")) {
		buf := make([]byte, 512)
		n, err := printed.Read(buf)
		if err != nil {
			t.Fatalf("replay printed %q, then %v", text, err)
		}
		text = append(text, buf[:n]...)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "ws_url":
			ws = value
		case "rest_url":
			rest = value
		}
	}
	return ws, rest
}

// begin starts replay in the background.
func begin(t *testing.T, args ...string) (ws, rest string, over <-chan int, said *bytes.Buffer) {
	t.Helper()
	printed, stdout := io.Pipe()
	said = &bytes.Buffer{}
	code := make(chan int, 1)
	go func() {
		code <- execute(t.Context(), stdout, said, append([]string{"replay"}, args...)...)
		stdout.Close()
	}()
	ws, rest = endpoint(t, printed)
	go io.Copy(io.Discard, printed)
	return ws, rest, code, said
}

func TestReplayCommand(t *testing.T) {
	path, frames := tradeCapture(t, 20)
	ws, _, over, said := begin(t, path, "--exchange", "binance", "--market", "spot", "--speed", "max", "--expect", "1", "--exit")
	c, resp, err := websocket.DefaultDialer.DialContext(t.Context(), ws+"/stream?streams=btcusdt@trade", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	defer c.Close()
	for i, want := range frames {
		_, got, err := c.ReadMessage()
		if err != nil || string(got) != want {
			t.Fatalf("frame %d: %v, got %s, want %s", i, err, got, want)
		}
	}
	if code := <-over; code != ExitOK || !strings.Contains(said.String(), "20 sent") {
		t.Errorf("exit %d: %s", code, said)
	}
}

// TestCaptureCommand records a replay, in several files.
func TestCaptureCommand(t *testing.T) {
	path, frames := tradeCapture(t, 3000)
	ws, rest, over, _ := begin(t, path, "--exchange", "binance", "--market", "spot", "--speed", "max", "--expect", "1", "--exit")
	out := filepath.Join(t.TempDir(), "again.ndjson.gz")
	var said bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	recorded := make(chan int, 1)
	go func() {
		recorded <- execute(ctx, io.Discard, &said, "capture", "--exchange", "binance", "--symbols", "btc/usdt", "--data-types", "trade",
			"--ws-url", ws, "--rest-url", rest, "--out", out, "--rotate", "1KiB")
	}()
	if code := <-over; code != ExitOK {
		t.Fatalf("replay: exit %d", code)
	}
	// The server has gone, so that everything it sent has been read or is being
	// read: the session says so by dialling anew.
	for deadline := time.Now().Add(20 * time.Second); ; {
		got := capturedFrames(t, out)
		if len(got) == len(frames) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d frames of %d: %s", len(got), len(frames), said.String())
		}
	}
	cancel()
	if code := <-recorded; code != ExitOK {
		t.Fatalf("capture: exit %d: %s", code, said.String())
	}
	for i, got := range capturedFrames(t, out) {
		if got != frames[i] {
			t.Fatalf("frame %d: got %s, want %s", i, got, frames[i])
		}
	}
}

// capturedFrames reads the trades of a capture and of the files of its rotation.
func capturedFrames(t *testing.T, path string) (frames []string) {
	t.Helper()
	for n := 0; ; n++ {
		name := path
		if n > 0 {
			name = strings.TrimSuffix(path, ".ndjson.gz") + fmt.Sprintf(".%d.ndjson.gz", n)
		}
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := connectors.NewCaptureReader(f)
		for err == nil {
			var rec *connectors.CaptureRecord
			if rec, err = r.Next(); err == nil && rec.Dir == connectors.CaptureIn && bytes.Contains(rec.Body, []byte(`"trade"`)) {
				frames = append(frames, string(rec.Body))
			}
		}
		f.Close()
	}
}

func TestReplayAndCaptureUsage(t *testing.T) {
	path, _ := tradeCapture(t, 1)
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("no capture\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		code int
	}{
		{"no capture named", []string{"replay"}, ExitUsage},
		{"origin not told", []string{"replay", path}, ExitUsage},
		{"speed", []string{"replay", path, "--speed", "-1"}, ExitUsage},
		{"not a capture", []string{"replay", broken}, ExitInput},
		{"missing file", []string{"replay", broken + "x"}, ExitInput},
		{"capture of nothing", []string{"capture"}, ExitUsage},
		{"unknown exchange", []string{"capture", "--exchange", "none", "--out", broken + "y"}, ExitUsage},
		{"rotation", []string{"capture", "--exchange", "binance", "--out", broken + "y", "--rotate", "often"}, ExitUsage},
		{"file exists", []string{"capture", "--exchange", "binance", "--out", broken}, ExitFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var said bytes.Buffer
			if code := execute(t.Context(), io.Discard, &said, tc.args...); code != tc.code {
				t.Errorf("exit %d, want %d: %s", code, tc.code, said.String())
			}
		})
	}
}
