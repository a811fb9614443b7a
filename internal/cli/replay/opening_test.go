package replay_test

import (
	"fmt"
	"testing"

	"github.com/marketprism/marketprism/internal/cli/replay"
)

// TestBookOnTheChannel: on an exchange whose books begin on the channel, a client
// that asks again, or comes later, is told the book as it then stands.
func TestBookOnTheChannel(t *testing.T) {
	const head = `{"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-PERPETUAL.%s","data":{"type":"%s","timestamp":1700000000%03d,`
	f := newFilm()
	f.open(t, "wss://www.deribit.com/ws/api/v2")
	snapshot := f.in(t, fmt.Sprintf(head, "raw", "snapshot", 1)+`"instrument_name":"BTC-PERPETUAL","change_id":7,"bids":[["new",5.0,10.0]],"asks":[["new",6.0,20.0]]}}}`)
	change := f.in(t, fmt.Sprintf(head, "raw", "change", 2)+`"prev_change_id":7,"instrument_name":"BTC-PERPETUAL","change_id":9,"bids":[["change",5.0,15.0]],"asks":[]}}}`)
	s := serve(t, replay.Options{Captures: []replay.Capture{f.capture(t)}})
	c := dial(t, s, "/ws/api/v2")
	ask := func(id int, method, interval string) {
		t.Helper()
		channel := "book.BTC-PERPETUAL." + interval
		c.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"public/%s","params":{"channels":["%s"]}}`, id, method, channel))
		c.want(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":["%s"],"usIn":0,"usOut":0,"usDiff":0,"testnet":false}`, id, channel))
	}
	ask(1, "subscribe", "raw")
	c.want(t, snapshot, change)
	done(t, s)
	ask(2, "unsubscribe", "raw")
	ask(3, "subscribe", "100ms")
	c.want(t, fmt.Sprintf(head, "100ms", "snapshot", 2)+`"instrument_name":"BTC-PERPETUAL","change_id":9,"bids":[["new",5.0,15.0]],"asks":[["new",6.0,20.0]]}}}`)
}
