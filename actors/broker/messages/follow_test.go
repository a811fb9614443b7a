package messages_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/messages"
)

// take reads n messages of a follower.
func take(t *testing.T, f *messages.Follower, n int) (all []string, last messages.Position) {
	t.Helper()
	for range n {
		m, err := f.Next(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		all, last = append(all, string(m.Data)), m.Position
	}
	return all, last
}

func publishNumbers(t *testing.T, d *messages.Desk, from, to int) {
	t.Helper()
	var all []messages.Message
	for i := from; i < to; i++ {
		all = append(all, message("market.n", fmt.Sprint(i)))
	}
	for _, o := range must(d.PublishAll(testContext(t), all))(t) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
}

func follow(t *testing.T, d *messages.Desk, f messages.Following) *messages.Follower {
	t.Helper()
	follower := must(d.Follow(testContext(t), f))(t)
	t.Cleanup(func() { follower.Close(context.Background()) })
	return follower
}

func TestFollow(t *testing.T) {
	d, s := open(t, messages.Options{})
	publishNumbers(t, d, 0, 10)
	for _, tc := range []struct{ from, want string }{{messages.FromFirst, "0"}, {messages.FromLast, "9"}, {messages.FromNew, "10"}} {
		f := follow(t, d, messages.Following{Subject: "market.>", From: tc.from})
		if tc.from == messages.FromNew {
			publishNumbers(t, d, 10, 11)
		}
		if got, _ := take(t, f, 1); got[0] != tc.want {
			t.Errorf("from %s it begins with %s, want %s", tc.from, got[0], tc.want)
		}
	}
	// It goes on behind a position, and through a restart of the server.
	first := follow(t, d, messages.Following{Subject: "market.>", From: messages.FromFirst})
	_, at := take(t, first, 4)
	f := follow(t, d, messages.Following{Subject: "market.>", After: at})
	if got, _ := take(t, f, 1); got[0] != "4" || f.Start.Reset || f.Start.LostFrom != 0 {
		t.Errorf("behind 4 messages comes %s, with %+v", got[0], f.Start)
	}
	s.Restart()
	eventually(t, func() error { _, err := d.Publish(testContext(t), message("market.n", "after")); return err })
	if got, _ := take(t, f, 6); got[0] != "5" || got[5] != "10" {
		t.Errorf("through a restart: %q", got)
	}
}

// What the stream no longer has, or never had, is told.
func TestFollowTellsWhatIsLost(t *testing.T) {
	d, s := open(t, messages.Options{})
	ctx := testContext(t)
	publishNumbers(t, d, 0, 5)
	_, at := take(t, follow(t, d, messages.Following{Subject: "market.>", From: messages.FromFirst}), 2)
	stream := must(s.Clients().Stream(ctx, "MARKET_DATA"))(t)
	if err := stream.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	publishNumbers(t, d, 5, 6)
	f := follow(t, d, messages.Following{Subject: "market.>", After: at})
	if got, _ := take(t, f, 1); got[0] != "5" || f.Start.LostFrom != 3 || f.Start.LostTo != 5 {
		t.Errorf("after a purge: %q, %+v", got, f.Start)
	}
	for what, after := range map[string]messages.Position{
		"made anew": {Stream: "MARKET_DATA", Created: at.Created - 1, Seq: 1}, "another stream": {Stream: "SYSTEM_EVENTS", Created: at.Created, Seq: 1},
		"ahead of it": {Stream: "MARKET_DATA", Created: at.Created, Seq: 1 << 40},
	} {
		f := follow(t, d, messages.Following{Subject: "market.>", Stream: "MARKET_DATA", After: after})
		if got, _ := take(t, f, 1); !f.Start.Reset || got[0] != "5" {
			t.Errorf("%s: %q, %+v", what, got, f.Start)
		}
	}
	for subject, why := range map[string]messages.Why{"journal.>": messages.Forbidden, ">": messages.Forbidden, "*.x": messages.Forbidden, "": messages.Malformed, "a..b": messages.Malformed} {
		_, err := d.Follow(ctx, messages.Following{Subject: subject})
		wantRefusal(t, "following "+subject, err, why)
	}
	_, err := d.Follow(ctx, messages.Following{Subject: "market.>", Stream: "KV_tasks"})
	wantRefusal(t, "following a bucket", err, messages.Forbidden)
	for _, text := range []string{"x", "a:b", ":1:1", "S:!:1", "S:1:-1"} {
		_, err := messages.ParsePosition(text)
		wantRefusal(t, text, err, messages.Malformed)
	}
}

// Of what no stream keeps, a follower that does not read holds so much and no more.
func TestSlowFollowerEnds(t *testing.T) {
	d, s := open(t, messages.Options{})
	f := follow(t, d, messages.Following{Subject: "loose.>"})
	nc := must(s.ConnectClients(testContext(t), "loud"))(t)
	defer nc.Close()
	for range 10_000 {
		if err := nc.Publish("loose.x", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	// What has not come to it yet is not lost yet.
	must(d.Publish(testContext(t), message("loose.x", "")))(t)
	n := 0
	for ; ; n++ {
		ctx, cancel := context.WithTimeout(testContext(t), 10*time.Second)
		_, err := f.Next(ctx)
		cancel()
		if errors.Is(err, messages.ErrSlow) {
			break
		}
		if err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
	}
	if n > 8192 {
		t.Errorf("%d messages were held for it", n)
	}
}

func TestFollowersAreBounded(t *testing.T) {
	d, _ := open(t, messages.Options{})
	var last *messages.Follower
	n := 0
	for ; ; n++ {
		f, err := d.Follow(testContext(t), messages.Following{Subject: "loose.x"})
		if errors.Is(err, broker.ErrBusy) {
			break
		}
		if err != nil || n > 10_000 {
			t.Fatalf("follower %d: %v", n, err)
		}
		last = f
		t.Cleanup(func() {
			if f != last {
				f.Close(context.Background())
			}
		})
	}
	last.Close(testContext(t))
	f, err := d.Follow(testContext(t), messages.Following{Subject: "loose.x"})
	if err != nil {
		t.Errorf("after one of %d has ended: %v", n, err)
	} else {
		f.Close(testContext(t))
	}
}
