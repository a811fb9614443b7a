package harness

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Simulator is a process of the program that is exchanges, and knows the truth.
type Simulator struct {
	Truth   string // where the truth is told
	Markets []SimulatedMarket

	out string
}

// SimulatedMarket is where a market is simulated.
type SimulatedMarket struct {
	Exchange, Market string
	WS, REST         string // as the settings ws_url and rest_url want them
	Symbols, Kinds   []string
}

// Simulate starts the simulator. It lives as long as the test.
func Simulate(t testing.TB, args ...string) *Simulator {
	t.Helper()
	s := &Simulator{out: filepath.Join(t.TempDir(), "simulator")}
	out, err := os.Create(s.out)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(Program(t), append([]string{"simulate"}, args...)...)
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil { // the process has its own
		t.Error(err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = c.Wait() // a signal of ours ends it
	}()
	t.Cleanup(func() {
		if c.Process.Signal(syscall.SIGKILL) == nil {
			<-exited
		}
		if t.Failed() {
			t.Logf("the simulator said:\n%s", tail(s.said(), 40))
		}
	})
	Await(t, time.Minute, "a simulator that listens", func() bool {
		select {
		case <-exited:
			t.Fatalf("the simulator has ended:\n%s", s.said())
		default:
		}
		return s.read()
	})
	return s
}

func (s *Simulator) said() string {
	text, err := os.ReadFile(s.out)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

var (
	simExchange = regexp.MustCompile(`^# exchanges/([a-z0-9-]+)\.yaml$`)
	simMarket   = regexp.MustCompile(`^ {2}([a-z]+):$`)
	simValue    = regexp.MustCompile(`^ {4}(ws_url|rest_url|symbols|data_types): (.+)$`)
	simTruth    = regexp.MustCompile(`^# the truth, and control: (\S+)$`)
)

// read reads the settings that the process prints; the truth's address is the last.
func (s *Simulator) read() bool {
	s.Markets = nil
	exchange := ""
	for line := range strings.Lines(s.said()) {
		line = strings.TrimRight(line, "\n")
		if m := simExchange.FindStringSubmatch(line); m != nil {
			exchange = m[1]
		} else if m := simMarket.FindStringSubmatch(line); m != nil {
			s.Markets = append(s.Markets, SimulatedMarket{Exchange: exchange, Market: m[1]})
		} else if m := simValue.FindStringSubmatch(line); m != nil && len(s.Markets) > 0 {
			at := &s.Markets[len(s.Markets)-1]
			switch m[1] {
			case "ws_url":
				at.WS = m[2]
			case "rest_url":
				at.REST = m[2]
			case "symbols":
				at.Symbols = strings.Split(strings.Trim(m[2], "[]"), ", ")
			default:
				at.Kinds = strings.Split(strings.Trim(m[2], "[]"), ", ")
			}
		} else if m := simTruth.FindStringSubmatch(line); m != nil {
			s.Truth = m[1]
			return true
		}
	}
	return false
}

// Ask asks for a part of the truth, such as
// Ask(t, &into, "book", "exchange", "binance", "market", "spot", "symbol", "BTC-USDT").
func (s *Simulator) Ask(t testing.TB, into any, what string, params ...string) {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	GetJSON(t, s.Truth+"/truth/"+what+"?"+v.Encode(), into)
}

// Order has the simulator do something: Order(t, "faults", "rates", "drop=0.01").
func (s *Simulator) Order(t testing.TB, what string, params ...string) {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	a, err := Post(t.Context(), s.Truth+"/control/"+what+"?"+v.Encode(), "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	var problem struct {
		Error string `json:"error"`
	}
	if a.Status != http.StatusOK {
		_ = json.Unmarshal(a.Body, &problem) // whatever it says is shown
		t.Fatalf("%s %v: %d %s", what, params, a.Status, problem.Error)
	}
}
