package live

import (
	"slices"
	"testing"

	"github.com/marketprism/marketprism/internal/heritage"
)

// TestKept: the answer to a subscription, which nodes give each other.
func TestKept(t *testing.T) {
	heritage.Check(t, heritage.Form{Name: "subscribed", Of: subscribed{}})
}

// TestKeptTexts: what is written without a document, as nodes of other versions read it,
// and the ids with which clients come back to any of them.
func TestKeptTexts(t *testing.T) {
	m := Message{Type: Record, Subscription: "s1", N: 3, Coalesced: 2}
	for _, c := range []struct{ got, want string }{
		{string(m.AppendHead(nil)), `{"type":"record","subscription":"s1","n":3,"coalesced":2,"data":`},
		{string(lostText("s1", "a1-7", "it is too long ago", []string{"okx/spot/BTC-USDT"})),
			`{"type":"lost","subscription":"s1","last_event_id":"a1-7","message":"it is too long ago","begun_anew":["okx/spot/BTC-USDT"]}`},
		{string(markText), `{"type":"at"}`},
		{(&Hub{name: "dqbd8c3f"}).eventID(18446744073709551615), "dqbd8c3f-18446744073709551615"},
	} {
		if c.got != c.want {
			t.Errorf("%s, which others read as %s", c.got, c.want)
		}
	}
	const id = "dqbd8c3f-7.a1-18446744073709551615"
	if names := Processes(id); !slices.Equal(names, []string{"dqbd8c3f", "a1"}) {
		t.Errorf("%s is of %v", id, names)
	}
	for name, want := range map[string]uint64{"dqbd8c3f": 7, "a1": 18446744073709551615} {
		if n, ours := (&Hub{name: name}).parseID(id); n != want || !ours {
			t.Errorf("of %s at %s: %d, %v", id, name, n, ours)
		}
	}
}
