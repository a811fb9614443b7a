package chassis_test

import (
	"bufio"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/http/chassis"
)

// TestPackedEvents: events are compressed for who can read that, each whole as soon as it
// is sent, and their end is told.
func TestPackedEvents(t *testing.T) {
	for accept, packed := range map[string]bool{"gzip": true, "br, gzip;q=0.5": true, "zstd,GZIP": true, "identity": false, "gzip;q=0": false, "gzip; q=0.0": false, "": false} {
		goOn := make(chan struct{})
		s, err := chassis.New(chassis.Options{Service: "market-data-collector", Listen: "127.0.0.1:0", Config: chassis.DefaultConfig()})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Handle(chassis.Route{Method: http.MethodGet, Path: "/happenings", Live: true,
			Handler: func(w http.ResponseWriter, r *http.Request) error {
				e, err := chassis.NewPackedEvents(w, r)
				if err != nil {
					return err
				}
				defer e.End()
				if err := e.Send("1", "first", strings.Repeat("long ", 1000)); err != nil {
					return err
				}
				select {
				case <-goOn: // the client has the first
				case <-r.Context().Done():
					return nil
				}
				return e.Send("2", "second", "short")
			}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Ready()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/happenings", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", accept)
		resp, err := (&http.Transport{DisableCompression: true}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Content-Encoding") == "gzip"; got != packed || !strings.HasPrefix(resp.Header.Get("Content-Type"), chassis.MediaEvents) {
			t.Errorf("Accept-Encoding %q: packed %v, want %v: %v", accept, got, packed, resp.Header)
		}
		lines := bufio.NewScanner(resp.Body)
		if packed {
			unpacked, err := gzip.NewReader(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			lines = bufio.NewScanner(unpacked)
		}
		var names []string
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				names = append(names, name)
			}
			if lines.Text() == "" && len(names) == 1 {
				close(goOn)
				names = append(names, "then")
			}
		}
		if err := lines.Err(); err != nil || strings.Join(names, " ") != "first then second" {
			t.Errorf("Accept-Encoding %q: %v, %v", accept, names, err)
		}
		_ = resp.Body.Close()
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
