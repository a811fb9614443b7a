package messages_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/actors/actorstest"
	"github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/messages"
)

func TestConsumerAnswers(t *testing.T) {
	var buried []string
	d, s := open(t, messages.Options{Bury: func(_ context.Context, stream, consumer string, seq, deliveries uint64, reason string) error {
		buried = append(buried, fmt.Sprint(stream, " ", consumer, " ", seq, " ", deliveries, " ", reason))
		return nil
	}})
	ctx := testContext(t)
	must(d.CreateConsumer(ctx, "MARKET_DATA", messages.ConsumerConfig{Name: "desk", AckWait: time.Minute, MaxDeliver: 3}))(t)
	for i := range 4 {
		must(d.Publish(ctx, message("market.a", fmt.Sprint(i))))(t)
	}
	got := must(d.Fetch(ctx, "MARKET_DATA", "desk", 10, time.Second))(t)
	if len(got) != 4 || got[0].Delivered != 1 || got[0].Pending != 3 || got[3].Position.Seq != 4 {
		t.Fatalf("fetched %+v", got)
	}
	settle := func(i int, how messages.Settling, delay time.Duration, reason string) {
		t.Helper()
		if err := d.Settle(ctx, got[i].Receipt, how, delay, reason); err != nil {
			t.Errorf("%s: %v", how, err)
		}
	}
	settle(0, messages.Ack, 0, "")
	settle(1, messages.Nak, 0, "")
	settle(2, messages.Term, 0, "no use")
	settle(3, messages.Progress, 0, "")
	if !slices.Equal(buried, []string{"MARKET_DATA desk 3 1 no use"}) {
		t.Errorf("buried %q", buried)
	}
	again := must(d.Fetch(ctx, "MARKET_DATA", "desk", 10, time.Second))(t)
	if len(again) != 1 || string(again[0].Data) != "1" || again[0].Delivered != 2 {
		t.Errorf("what was given back: %+v", again)
	}
	// Any process takes the receipt, after any restart.
	s.Restart()
	other := must(messages.Open(ctx, messages.Options{Broker: s.Handle}))(t)
	defer other.Close()
	eventually(t, func() error { return other.Settle(ctx, got[3].Receipt, messages.Ack, 0, "") })
	if errs := other.SettleAll(ctx, []string{again[0].Receipt, "forged"}, messages.Ack, 0, ""); errs[0] != nil || errs[1] == nil {
		t.Errorf("settling two, one of them forged: %v", errs)
	}
	var status messages.ConsumerStatus // the first Desk is back too, by and by
	eventually(t, func() (err error) { status, err = d.Consumer(ctx, "MARKET_DATA", "desk"); return err })
	if status.Unacknowledged != 0 || status.Pending != 0 || status.Acknowledged != 4 {
		t.Errorf("in the end: %+v", status)
	}
	if err := d.DeleteConsumer(ctx, "MARKET_DATA", "desk"); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, "a receipt of a consumer that is gone", d.Settle(ctx, got[3].Receipt, messages.Ack, 0, ""), messages.Unknown)
	_, err := d.Fetch(ctx, "MARKET_DATA", "desk", 1, 0)
	wantRefusal(t, "fetching from it", err, messages.Unknown)
}

// eventually calls until the broker is there.
func eventually(t *testing.T, do func() error) {
	t.Helper()
	actorstest.Eventually(t, "the broker", func() bool {
		err := do()
		if err != nil && !errors.Is(err, broker.ErrNotRunning) {
			t.Fatal(err)
		}
		return err == nil
	})
}

func TestConsumerConfig(t *testing.T) {
	d, _ := open(t, messages.Options{})
	ctx := testContext(t)
	for what, tc := range map[string]struct {
		stream string
		config messages.ConsumerConfig
		why    messages.Why
	}{
		"without a name":         {"MARKET_DATA", messages.ConsumerConfig{}, messages.Malformed},
		"a name with a dot":      {"MARKET_DATA", messages.ConsumerConfig{Name: "a.b"}, messages.Malformed},
		"of the journal":         {"JOURNAL_0", messages.ConsumerConfig{Name: "a"}, messages.Forbidden},
		"of no stream":           {"NONE", messages.ConsumerConfig{Name: "a"}, messages.Unknown},
		"of reserved subjects":   {"MARKET_DATA", messages.ConsumerConfig{Name: "a", Subjects: []string{"journal.>"}}, messages.Forbidden},
		"with more waits":        {"MARKET_DATA", messages.ConsumerConfig{Name: "a", MaxDeliver: 1, BackOff: []time.Duration{1, 2}}, messages.Malformed},
		"with a broken wildcard": {"MARKET_DATA", messages.ConsumerConfig{Name: "a", Subjects: []string{"market.a*"}}, messages.Malformed},
	} {
		_, err := d.CreateConsumer(ctx, tc.stream, tc.config)
		wantRefusal(t, what, err, tc.why)
	}
	for i := range 3 {
		must(d.Publish(ctx, message("market.a", fmt.Sprint(i))))(t)
	}
	for name, tc := range map[string]struct {
		config messages.ConsumerConfig
		want   string
	}{
		"all": {messages.ConsumerConfig{}, "0 1 2"}, "first": {messages.ConsumerConfig{From: messages.FromFirst}, "0 1 2"},
		"last": {messages.ConsumerConfig{From: messages.FromLast}, "2"}, "new": {messages.ConsumerConfig{From: messages.FromNew}, ""},
		"seq": {messages.ConsumerConfig{FromSeq: 2}, "1 2"}, "others": {messages.ConsumerConfig{Subjects: []string{"market.b"}}, ""},
	} {
		tc.config.Name = name
		must(d.CreateConsumer(ctx, "MARKET_DATA", tc.config))(t)
		var got []string
		for _, m := range must(d.Fetch(ctx, "MARKET_DATA", name, 10, 0))(t) {
			got = append(got, string(m.Data))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestParsePlace(t *testing.T) {
	want := messages.Place{Stream: "S", Consumer: "c", Delivered: 2, Seq: 7}
	for _, reply := range []string{"$JS.ACK.S.c.2.7.5.1700000000000000000.3", "$JS.ACK.domain.account.S.c.2.7.5.1700000000000000000.3.token"} {
		if got := must(messages.ParsePlace(reply))(t); got != want {
			t.Errorf("%s: %+v", reply, got)
		}
	}
	for _, reply := range []string{"", "$JS.ACK", "journal.0.batch", "$JS.API.S.c.2.7.5.1.3", "$JS.ACK.S.c.x.7.5.1.3", "$JS.ACK.S.c.2.-7.5.1.3"} {
		_, err := messages.ParsePlace(reply)
		wantRefusal(t, reply, err, messages.Malformed)
	}
}

// FuzzParse: a position or receipt that was made up is refused or is what it says.
func FuzzParse(f *testing.F) {
	f.Add("S:a:1", "$JS.ACK.S.c.2.7.5.1.3")
	f.Add(":::", "....")
	f.Fuzz(func(t *testing.T, position, reply string) {
		if p, err := messages.ParsePosition(position); err == nil && position != "" {
			again, err := messages.ParsePosition(p.String())
			if err != nil || again != p {
				t.Errorf("%q is %+v, and that again %+v, %v", position, p, again, err)
			}
		}
		if p, err := messages.ParsePlace(reply); err == nil && !strings.Contains(reply, p.Stream) {
			t.Errorf("%q is of stream %q", reply, p.Stream)
		}
	})
}
