package connectors_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/marketprism/marketprism/connectors"
	"github.com/marketprism/marketprism/internal/market"
)

// inParts is a REST interface whose list of instruments takes three calls, and
// whose volumes take one.
type inParts struct {
	connectors.REST
	base string
}

func (inParts) Parts(k connectors.NeedKind) int {
	if k == connectors.NeedInstruments {
		return 3
	}
	return 1
}

func (r inParts) Request(n connectors.Need) (connectors.Request, error) {
	return connectors.Request{Need: n, URL: fmt.Sprintf("%s/%s/%d", r.base, n.Kind, n.Part)}, nil
}

func (inParts) Instruments(body []byte) ([]*market.Instrument, error) {
	if string(body) == "bad" {
		return nil, &connectors.FrameError{Problem: "bad"}
	}
	return []*market.Instrument{{Native: string(body)}}, nil
}

func (inParts) Volumes(body []byte) ([]connectors.Volume, error) {
	return []connectors.Volume{{Native: string(body), Turnover: 1}}, nil
}

func TestClientJoinsParts(t *testing.T) {
	bad := false
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bad && strings.HasSuffix(r.URL.Path, "/1") {
			fmt.Fprint(w, "bad")
			return
		}
		fmt.Fprint(w, r.URL.Path)
	}))
	defer srv.Close()
	set := newSetup(t, newServer(t, true))
	plain := connectors.NewClient(connectors.ClientOptions{Venue: set.Venue})
	if got := len(plain.Parts(connectors.Need{Kind: connectors.NeedInstruments})); got != 1 {
		t.Errorf("%d calls for what takes one", got)
	}
	v := *set.Venue
	v.REST, v.Limits.Weight = inParts{v.REST, srv.URL}, connectors.Rate{}
	c := connectors.NewClient(connectors.ClientOptions{Venue: &v})
	list, err := c.Instruments(t.Context())
	got := ""
	for _, i := range list {
		got += i.Native
	}
	if want := "/instruments/0/instruments/1/instruments/2"; err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	volumes, err := c.Volumes(t.Context())
	if err != nil || len(volumes) != 1 || volumes[0].Native != "/volumes/0" {
		t.Errorf("volumes %v, %v", volumes, err)
	}
	bad = true
	var frame *connectors.FrameError
	if list, err := c.Instruments(t.Context()); !errors.As(err, &frame) || list != nil {
		t.Errorf("a part that is wrong: %v, %v", list, err)
	}
	v.REST = struct{ connectors.REST }{v.REST}
	if _, err := c.Volumes(t.Context()); !errors.Is(err, connectors.ErrUnsupported) {
		t.Errorf("volumes of an exchange that does not rank: %v", err)
	}
}
