package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// Exchange is a process of the program that serves recorded traffic as the
// exchange itself would.
type Exchange struct {
	WS, REST string // addresses, as the settings ws_url and rest_url want them

	out    string
	exited chan struct{}
}

var (
	wsURL   = regexp.MustCompile(`wss?://127\.0\.0\.1:\d+`)
	restURL = regexp.MustCompile(`https?://127\.0\.0\.1:\d+`)
)

// Replay serves a capture.
func Replay(t testing.TB, capture string, args ...string) *Exchange {
	t.Helper()
	e := &Exchange{out: filepath.Join(t.TempDir(), "exchange"), exited: make(chan struct{})}
	out, err := os.Create(e.out)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(Program(t), append([]string{"replay", capture}, args...)...)
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil { // the process has its own
		t.Error(err)
	}
	go func() {
		defer close(e.exited)
		// A signal of ours ends it.
		_ = c.Wait()
	}()
	t.Cleanup(func() {
		if c.Process.Signal(syscall.SIGKILL) == nil {
			<-e.exited
		}
		if t.Failed() {
			t.Logf("the replayed exchange said:\n%s", tail(e.Output(), 30))
		}
	})
	Await(t, time.Minute, "an exchange that listens", func() bool {
		select {
		case <-e.exited:
			t.Fatalf("the exchange has ended:\n%s", e.Output())
		default:
		}
		text := e.Output()
		e.WS, e.REST = wsURL.FindString(text), restURL.FindString(text)
		return e.WS != "" && e.REST != ""
	})
	return e
}

// Output is what the process has printed.
func (e *Exchange) Output() string {
	text, err := os.ReadFile(e.out)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Settings make a node collect a symbol of a Binance market from it.
func (e *Exchange) Settings(market, symbol string, kinds ...string) Settings {
	at := "exchanges.binance.markets."
	s := Settings{Collector + ".exchanges": []string{"binance"}, "exchanges.binance.enabled": true}
	for _, m := range []string{"spot", "perpetual", "future"} {
		s[at+m+".enabled"] = m == market
	}
	at += market + "."
	s[at+"ws_url"], s[at+"rest_url"] = e.WS, e.REST
	s[at+"symbols"], s[at+"data_types"] = []string{symbol}, kinds
	s[at+"watchdog.enabled"] = false // a replay has its own pace
	s[at+"reconnect.initial_wait"] = "100ms"
	s[at+"reconnect.max_wait"] = "1s"
	return s
}
