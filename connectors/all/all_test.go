package all_test

import (
	"testing"

	"github.com/marketprism/marketprism/connectors/all"
)

func TestExchanges(t *testing.T) {
	last := ""
	for _, e := range all.Exchanges() {
		if e.Name() <= last {
			t.Errorf("%s after %s", e.Name(), last)
		}
		last = e.Name()
		if got, ok := all.Find(last); !ok || got.Name() != last {
			t.Errorf("Find(%q) = %v, %v", last, got, ok)
		}
	}
	if _, ok := all.Find("nosuch"); ok {
		t.Error("an unknown exchange is found")
	}
}
