package cluster

import (
	"encoding/json"
	"net/http"

	"github.com/marketprism/marketprism/tests/harness"
)

// operated has one node clean its store up, and asks all for that operation.
func (c *nodes) operated(at int) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.all[at].URL(harness.Storage, "/api/v1/storage/lifecycle/cleanup"), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Prefer", "respond-async")
	a, err := harness.Do(c.t.Context(), r)
	var begun struct {
		Operation string `json:"operation_id"`
	}
	if err != nil || a.Status/100 != 2 || json.Unmarshal(a.Body, &begun) != nil || begun.Operation == "" {
		c.t.Fatalf("cleaning up at %s: %v %+v", c.name(at), err, a)
	}
	for i, n := range c.all {
		want := ""
		if i != at {
			want = c.name(at)
		}
		c.awaitMoving(c.name(i)+" to answer for an operation of "+c.name(at), func() bool {
			a, err := harness.Get(c.t.Context(), n.URL(harness.Storage, "/api/v1/storage/operations/"+begun.Operation))
			return err == nil && a.Status == http.StatusOK && a.Header.Get("X-MarketPrism-Node") == want
		})
	}
}
