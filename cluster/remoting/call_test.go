package remoting

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// TestLinks: of addresses at which nobody answers any more nothing is kept for longer
// than it holds questions off; what is under way, and a connection that is up, stays.
func TestLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &calls{links: map[string]*link{}, log: zap.NewNop()}
		begin := func(address string) {
			t.Helper()
			if _, _, err := k.begin(address); err != nil {
				t.Fatal(err)
			}
		}
		begin("asked:1")
		k.fail("asked:1", errors.New("refused"))
		k.connected("up:1")
		for i := range 100 {
			address := "gone:" + strconv.Itoa(i)
			begin(address)
			k.fail(address, errors.New("refused"))
			k.done(address)
			if _, _, err := k.begin(address); !errors.Is(err, ErrUnreachable) {
				t.Fatalf("a question right after a failure: %v", err)
			}
		}
		<-time.After(retryAfter)
		begin("another:1")
		for _, address := range []string{"asked:1", "up:1", "another:1"} {
			if k.links[address] == nil {
				t.Errorf("the link to %s is forgotten", address)
			}
		}
		if len(k.links) != 3 {
			t.Errorf("%d links are kept", len(k.links))
		}
		k.done("asked:1")
		if k.done("another:1"); len(k.links) > 2 {
			t.Errorf("%d links are kept", len(k.links))
		}
	})
}
