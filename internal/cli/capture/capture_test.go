package capture_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/connectors/binance"
	"github.com/marketprism/marketprism/connectors/connectorstest"
	"github.com/marketprism/marketprism/internal/cli/capture"
	"github.com/marketprism/marketprism/internal/cli/replay"
	"github.com/marketprism/marketprism/internal/market"
)

const childEnv = "MARKETPRISM_CAPTURE_CHILD"

// TestMain is also the process that TestKill kills.
func TestMain(m *testing.M) {
	if args := os.Getenv(childEnv); args != "" {
		if err := child(strings.Split(args, ",")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child records from ws, rest to a file until it is killed.
func child(args []string) error {
	o, err := options(market.Spot, replay.Endpoint{WSURL: args[0], RESTURL: args[1], Symbols: []string{"BTC-USDT"}, DataTypes: []string{"trade"}})
	if err != nil {
		return err
	}
	f, err := connectors.CreateCapture(args[2], connectors.CaptureFileOptions{FlushEvery: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	o.Write = f.Write
	_, err = capture.Run(context.Background(), o)
	return errors.Join(err, f.Close())
}

// options records a market from where it is replayed.
func options(m market.Market, e replay.Endpoint) (capture.Options, error) {
	x := binance.New()
	cfg := x.DefaultConfig().Markets[m.String()]
	cfg.WSURL, cfg.RESTURL, cfg.Symbols, cfg.DataTypes = e.WSURL, e.RESTURL, e.Symbols, e.DataTypes
	if m != market.Spot {
		cfg.DepthSpeed = 0 // as the captures were made
	}
	v, err := x.Venue(m, cfg)
	return capture.Options{Venue: v, Config: cfg}, err
}

// memory keeps a recording.
type memory struct {
	mu      sync.Mutex
	records []connectors.CaptureRecord
	frames  int
	grown   chan struct{} // holds one token when there is more
}

func newMemory() *memory { return &memory{grown: make(chan struct{}, 1)} }

func (m *memory) write(r *connectors.CaptureRecord) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	own := *r
	own.Body = bytes.Clone(r.Body)
	m.records = append(m.records, own)
	if r.Dir == connectors.CaptureIn {
		m.frames++
	}
	select {
	case m.grown <- struct{}{}:
	default:
	}
	return nil
}

// await waits for a number of frames.
func (m *memory) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		m.mu.Lock()
		have := m.frames
		m.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-m.grown:
		case <-deadline:
			t.Fatalf("%d frames of %d", have, n)
		}
	}
}

func (m *memory) bodies(d connectors.CaptureDir) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bodies(m.records, d)
}

func bodies(records []connectors.CaptureRecord, d connectors.CaptureDir) []string {
	var list []string
	for _, r := range records {
		// Answers to a recorder belong to its own connection.
		if r.Dir == d && !strings.HasPrefix(string(r.Body), `{"result"`) {
			list = append(list, string(r.Body))
		}
	}
	return list
}

func read(t *testing.T, r io.Reader) ([]connectors.CaptureRecord, error) {
	t.Helper()
	c, err := connectors.NewCaptureReader(r)
	if err != nil {
		return nil, err
	}
	var list []connectors.CaptureRecord
	for {
		rec, err := c.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		own := *rec
		own.Body = bytes.Clone(rec.Body)
		list = append(list, own)
	}
}

func serve(t *testing.T, open func() (io.ReadCloser, error), subscriptions int) *replay.Server {
	t.Helper()
	s, err := replay.Start(t.Context(), replay.Options{
		Captures: []replay.Capture{{Name: t.Name(), Open: open}}, Exchanges: all.Exchanges(), Expect: subscriptions,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// record runs a recording until the replay is over and everything has come.
func record(t *testing.T, s *replay.Server, o capture.Options, m *memory, frames int) capture.Summary {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Write = m.write
	type result struct {
		sum capture.Summary
		err error
	}
	over := make(chan result, 1)
	go func() {
		sum, err := capture.Run(ctx, o)
		over <- result{sum, err}
	}()
	m.await(t, frames)
	<-s.Done()
	cancel()
	r := <-over
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.sum
}

// TestCaptureOfReplay: a recording of a replayed capture holds the frames of the
// capture, and its books are whole.
func TestCaptureOfReplay(t *testing.T) {
	for _, tc := range []struct {
		name   string
		market market.Market
	}{{"binance-spot/btcusdt_20240808", market.Spot}, {"binance-usdm/btcusdt_20240808", market.Perpetual}} {
		t.Run(tc.name, func(t *testing.T) {
			if testing.Short() && tc.market != market.Spot {
				t.Skip("94,000 frames; the shorter capture is enough for a short run")
			}
			path := connectorstest.Path(t, tc.name)
			open := func() (io.ReadCloser, error) { return os.Open(path) }
			f, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			original, err := read(t, f)
			if err != nil {
				t.Fatal(err)
			}
			s := serve(t, open, 3)
			o, err := options(tc.market, s.Endpoints()[0])
			if err != nil {
				t.Fatal(err)
			}
			m := newMemory()
			want := bodies(original, connectors.CaptureIn)
			sum := record(t, s, o, m, len(want)+1)
			compare(t, m.bodies(connectors.CaptureIn), want)
			if got := m.bodies(connectors.CaptureHTTP); !slices.Contains(got, bodies(original, connectors.CaptureHTTP)[0]) {
				t.Errorf("the recorded snapshot is not among %d responses", len(got))
			}
			if sum.Gaps != 0 || sum.Resyncs != 0 || sum.Failed != 0 {
				t.Errorf("summary: %+v", sum)
			}
			again(t, m)
		})
	}
}

// again: what was recorded is a capture that says where it is from.
func again(t *testing.T, m *memory) {
	t.Helper()
	var opened, asked bool
	for _, r := range m.records {
		opened = opened || r.Dir == connectors.CaptureOpen && strings.HasPrefix(r.URL, "ws://")
		asked = asked || r.Dir == connectors.CaptureOut && strings.Contains(string(r.Body), "SUBSCRIBE") && r.Conn == 1
	}
	if !opened || !asked {
		t.Errorf("open recorded: %v, subscription recorded: %v", opened, asked)
	}
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("frame %d: got %.200s, want %.200s", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d frames, want %d", len(got), len(want))
	}
}

// film is a capture of trades of a symbol, a millisecond apart; those of skip are
// in its REST responses only.
func film(t *testing.T, n int, skip func(id int) bool) (open func() (io.ReadCloser, error), frames int) {
	t.Helper()
	var file bytes.Buffer
	w := connectors.NewCaptureWriter(&file)
	const start = 1_700_000_000_000
	write := func(r connectors.CaptureRecord) {
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	var missed []json.RawMessage
	for id := range n {
		at := int64(start + id)
		if skip(id) {
			missed = append(missed, json.RawMessage(fmt.Sprintf(`{"id":%d,"price":"1.5","qty":"2","time":%d,"isBuyerMaker":true}`, id, at)))
			continue
		}
		if missed != nil {
			body, err := json.Marshal(missed)
			if err != nil {
				t.Fatal(err)
			}
			missed = nil
			write(connectors.CaptureRecord{Time: at * 1e6, Dir: connectors.CaptureHTTP, Body: body,
				URL: "https://api.binance.com/api/v3/historicalTrades?symbol=BTCUSDT&limit=1000&fromId=0"})
		}
		frames++
		write(connectors.CaptureRecord{Time: at * 1e6, Conn: 1, Dir: connectors.CaptureIn, Body: fmt.Appendf(nil,
			`{"stream":"btcusdt@trade","data":{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"1.5","q":"2","T":%d,"m":true,"M":true}}`, at, id, at)})
	}
	write(connectors.CaptureRecord{Time: start * 2e6, Conn: 2, Dir: connectors.CaptureOpen, URL: "wss://stream.binance.com:9443/stream"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file.Bytes())), nil }, frames
}

// TestMissedTrades: a hole in the frames is asked for by REST, and what comes back
// is in the recording.
func TestMissedTrades(t *testing.T) {
	open, frames := film(t, 40, func(id int) bool { return id >= 10 && id < 15 })
	s := serve(t, open, 1)
	o, err := options(market.Spot, s.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	m := newMemory()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Write = func(r *connectors.CaptureRecord) error {
		if strings.Contains(r.URL, "historicalTrades?symbol=BTCUSDT&limit=1000&fromId=10") {
			defer cancel()
		}
		return m.write(r)
	}
	sum, err := capture.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.bodies(connectors.CaptureHTTP); len(got) != 2 || !strings.Contains(got[1], `"id":14`) {
		t.Errorf("responses: %v", got)
	}
	if sum.Failed != 0 || frames != 35 {
		t.Errorf("summary: %+v", sum)
	}
}

// TestWriteFails: a recording that cannot be kept ends with the reason.
func TestWriteFails(t *testing.T) {
	open, _ := film(t, 5, func(int) bool { return false })
	s := serve(t, open, 1)
	o, err := options(market.Spot, s.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	o.Write = func(*connectors.CaptureRecord) error { return full }
	if _, err := capture.Run(t.Context(), o); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

func TestUnknownSymbol(t *testing.T) {
	open, _ := film(t, 5, func(int) bool { return false })
	s := serve(t, open, 1)
	e := s.Endpoints()[0]
	e.Symbols = []string{"NONE-SUCH"}
	o, err := options(market.Spot, e)
	if err != nil {
		t.Fatal(err)
	}
	o.Write = newMemory().write
	var unknown *market.SymbolError
	if _, err := capture.Run(t.Context(), o); !errors.As(err, &unknown) {
		t.Errorf("got %v, want a SymbolError", err)
	}
}

// TestKill: a recorder that is killed leaves a file that can be read.
func TestKill(t *testing.T) {
	open, frames := film(t, 2000, func(int) bool { return false })
	s := serve(t, open, 1)
	e := s.Endpoints()[0]
	file := filepath.Join(t.TempDir(), "killed.ndjson.gz")
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{e.WSURL, e.RESTURL, file}, ","))
	var said bytes.Buffer
	p.Stderr = &said
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer p.Process.Kill() // when the test fails early
	select {
	case <-s.Done():
	case <-time.After(30 * time.Second):
		t.Fatalf("the recorder took nothing: %s", said.String())
	}
	// It is another process: that it has flushed shows in the file only.
	var got []string
	for deadline := time.Now().Add(20 * time.Second); len(got) < frames; {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d frames in the file: %s", len(got), frames, said.String())
		}
		got = readFrames(t, file)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err == nil {
		t.Fatal("the recorder was not killed")
	}
	if got := readFrames(t, file); len(got) != frames {
		t.Errorf("%d frames after the kill, want %d", len(got), frames)
	}
}

// readFrames reads what can be read of a file that may be cut off.
func readFrames(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := read(t, f)
	var at *connectors.CaptureError
	if err != nil && !errors.As(err, &at) {
		t.Fatal(err)
	}
	return bodies(records, connectors.CaptureIn)
}
