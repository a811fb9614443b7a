package simulator_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/marketprism/marketprism/connectors/simulator"
)

func get(t testing.TB, url string) (int, http.Header, []byte) {
	t.Helper()
	return call(t, http.MethodGet, url)
}

// call calls, and gives the answer whole.
func call(t testing.TB, method, url string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

func TestRateLimitStorm(t *testing.T) {
	_, e := simulate(t, simulator.Options{Seed: 5, Faults: faults(t, "rate-limit=0.2")})
	for range 200 {
		status, header, _ := get(t, e.RESTURL+"/api/v3/ping")
		if status == http.StatusOK {
			continue
		}
		if header.Get("Retry-After") == "" {
			t.Errorf("status %d without Retry-After", status)
		}
		// Whoever does not wait is banned.
		for range 100 {
			if status, _, _ = get(t, e.RESTURL+"/api/v3/ping"); status == http.StatusTeapot {
				return
			}
		}
		t.Fatal("not banned")
	}
	t.Fatal("no call was refused")
}

// The budget is counted, told, and kept.
func TestWeight(t *testing.T) {
	_, e := simulate(t, simulator.Options{Seed: 5, Clock: from(noon)})
	status, header, _ := get(t, e.RESTURL+"/api/v3/depth?symbol=BTCUSDT&limit=5000")
	if status != http.StatusOK || header.Get("X-Mbx-Used-Weight-1m") != "250" {
		t.Fatalf("status %d, weight used %q", status, header.Get("X-Mbx-Used-Weight-1m"))
	}
	for range 60 {
		status, header, _ = get(t, e.RESTURL+"/api/v3/depth?symbol=BTCUSDT&limit=5000")
		if status == http.StatusTooManyRequests {
			if header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			return
		}
	}
	t.Error("6000 of weight are not the limit")
}

// More frames a second than the exchange allows end the connection.
func TestMessageLimit(t *testing.T) {
	_, e := simulate(t, simulator.Options{Seed: 5})
	c := dial(t, e, "btcusdt@trade")
	for range 20 {
		if err := c.conn.WriteMessage(websocket.TextMessage, []byte(`{"method":"LIST_SUBSCRIPTIONS","id":1}`)); err != nil {
			break
		}
	}
	var err error
	for err == nil {
		_, err = c.read()
	}
	if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
		t.Errorf("the connection ended with %v", err)
	}
}

// More connections than the exchange allows are refused.
func TestConnectLimit(t *testing.T) {
	_, e := simulate(t, simulator.Options{Seed: 5, Clock: from(noon)})
	for range 400 {
		conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), e.WSURL+"/ws", nil)
		if err == nil {
			resp.Body.Close()
			conn.Close()
			continue
		}
		if resp == nil || resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("refused with %v: %v", resp, err)
		}
		return
	}
	t.Error("400 connections are within the limit")
}

func post(t testing.TB, url string) []byte {
	t.Helper()
	status, _, body := call(t, http.MethodPost, url)
	if status != http.StatusOK {
		t.Fatalf("POST %s: %d %s", url, status, body)
	}
	return body
}
