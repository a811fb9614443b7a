package supervise_test

import (
	"testing"

	"github.com/marketprism/marketprism/actors/supervise"
)

// Who watches an actor is told of every message that it handles, of the one that makes
// it panic too, and of none after the end; the actor never waits.
func TestTrace(t *testing.T) {
	inBubble(t, supervise.Options{}, func(f *fixture) {
		f.start(supervise.Branch("b", strategy(), spec("a", nil), spec("x", nil)))
		if _, _, _, ok := f.Tree().Trace("root/b/none", 8); ok {
			t.Fatal("an actor that is not there is traced")
		}
		messages, dropped, cancel, ok := f.Tree().Trace("root/b/x", 3)
		if !ok {
			t.Fatal("root/b/x is not traced")
		}
		other, _, end, _ := f.Tree().Trace("root/b/x", 16)
		f.tell("root/b/a", hello{})
		f.tell("root/b/x", hello{}, hello{}, crash{"boom"})
		f.sleep(0)
		for i, want := range []supervise.Traced{{Message: "supervise_test.hello"}, {Message: "supervise_test.hello"}, {Message: "supervise_test.crash", Failed: true}} {
			if got := <-messages; got.Message != want.Message || got.Failed != want.Failed || got.Time.IsZero() {
				t.Errorf("message %d: %+v, want %+v", i, got, want)
			}
		}
		f.sleep(supervise.DefaultShutdownTimeout) // it is restarted
		f.tell("root/b/x", hello{}, hello{}, hello{}, hello{}, hello{})
		f.sleep(0)
		if len(messages) != 3 || dropped() == 0 {
			t.Errorf("%d messages wait, %d were dropped; want 3, and the rest", len(messages), dropped())
		}
		for range 3 {
			<-messages
		}
		seen := len(other)
		cancel()
		cancel()
		f.tell("root/b/x", hello{})
		f.sleep(0)
		if len(messages) != 0 || len(other) != seen+1 {
			t.Errorf("after the end %d came, and %d to who still watches", len(messages), len(other)-seen)
		}
		end()
	})
}
