package performance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// bareCalls sends requests as fast as a number of senders can, with nothing around
// them, and returns what one costs of the processors: of the client, which is this
// process, and of the server, which is, too. late is when each began, counted from the
// begin of all.
func bareCalls(t testing.TB, url string, calls, senders int) (each time.Duration, late []time.Duration) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: senders, MaxIdleConnsPerHost: senders}}
	defer client.CloseIdleConnections()
	late = make([]time.Duration, calls)
	var next atomic.Int64
	var wg sync.WaitGroup
	begin, used := time.Now(), cpuOfThis(t)
	for range senders {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(calls); i = next.Add(1) - 1 {
				late[i] = time.Since(begin)
				if err := post(t.Context(), client, url); err != nil {
					t.Errorf("a bare call: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	slices.Sort(late)
	return (cpuOfThis(t) - used) / time.Duration(calls), late
}

func post(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte("{}")))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("status %d", resp.StatusCode))
	}
	return errors.Join(err, resp.Body.Close())
}
