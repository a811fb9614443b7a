package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/collector/live"
)

// recorded answers with a file.
type recorded struct {
	Others // none of it is asked
	path   string
}

func (recorded) Name() string { return "here" }

func (r recorded) RoundTrip(*http.Request) (*http.Response, error) {
	f, err := os.Open(r.path)
	return &http.Response{StatusCode: http.StatusOK, Body: f}, err
}

// TestKeptEvents reads what a node of another version has given of a subscription.
func TestKeptEvents(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &part{cancel: cancel, within: time.Hour, quiet: time.AfterFunc(time.Hour, cancel)}
	defer p.close()
	if err := p.begin(ctx, recorded{path: "testdata/kept/events.txt"}, "http://there", nil, ""); err != nil {
		t.Fatal(err)
	}
	if p.Streams != 2 || p.Process != "dqbd8c3f" || !slices.Equal(p.Waiting, []string{"ETH-USDT"}) {
		t.Errorf("the answer is read as %+v", p.Part)
	}
	var got []string
	for {
		e, err := p.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		said := ""
		switch e.name {
		case "", "state":
			var m live.Message
			if err := p.unwrap(e.data, &m); err != nil {
				t.Fatal(err)
			}
			said = fmt.Sprintf("%d %s", m.Coalesced, m.Data)
		case "lost":
			var lost lostEvent
			err = json.Unmarshal(e.data, &lost)
			said = fmt.Sprint(lost, err)
		case "end":
			var end live.End
			err = json.Unmarshal(e.data, &end)
			said = fmt.Sprint(end.Code, end.Reason, err)
		}
		got = append(got, e.name+" "+e.id+" "+said)
	}
	want := []string{
		"state dqbd8c3f-1 0 {\"live\":true}", " dqbd8c3f-2 0 {\"price\":\"1.50\"}", " dqbd8c3f-9 3 {\"price\":\"1.70\"}", "at dqbd8c3f-9 ",
		"lost  {a1-7 it is too long ago [okx/spot/BTC-USDT]} <nil>", "end  1001the node stops<nil>",
	}
	if !slices.Equal(got, want) {
		t.Errorf("read as\n%q, want\n%q", got, want)
	}
}
