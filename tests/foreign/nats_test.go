package foreign

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/marketprism/marketprism/tests/harness"
)

// natsTask is what nats/client.py is to do.
type natsTask struct {
	URL      string `json:"url"`
	Stream   string `json:"stream"`
	Subject  string `json:"subject"`
	Count    int    `json:"count"`
	Durable  string `json:"durable"`
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
}

// natsAccount is what the library was told.
type natsAccount struct {
	Streams []string `json:"streams"`
	Acks    []struct {
		Stream string `json:"stream"`
		Seq    int    `json:"seq"`
	} `json:"acks"`
	Duplicate      bool  `json:"duplicate"`
	Pulled         []int `json:"pulled"`
	Pending        int   `json:"pending"`
	Unacknowledged int   `json:"unacknowledged"`
	Refused        []struct {
		Subject string `json:"subject"`
		Error   string `json:"error"`
	} `json:"refused"`
}

// TestNATS: nats-py lists the streams of clients, publishes, pulls and acknowledges at
// the running broker, without credentials and with those of a user, and can touch
// nothing that is the program's own.
func TestNATS(t *testing.T) {
	library := packages(t, "nats/requirements.txt")
	n := harness.Start(t, t.TempDir(), harness.Settings{
		harness.Broker + ".nats.port": -1,
		harness.Broker + ".nats.users": []map[string]any{
			{"name": "desk", "password": "of-a-test", "publish": []string{"market.>"}, "subscribe": []string{"market.>"}},
		},
	}, harness.Broker)
	var info struct {
		Server struct{ URL string } `json:"server_info"`
	}
	harness.GetJSON(t, n.URL(harness.Broker, "/api/v1/nats/info"), &info)
	for i, who := range []natsTask{{}, {User: "desk", Password: "of-a-test"}} {
		who.URL, who.Stream, who.Count = info.Server.URL, "MARKET_DATA", 200
		who.Subject, who.Durable = fmt.Sprint("market.python.", i), fmt.Sprint("python", i)
		a := useNATS(t, library, who)
		want := []string{"DLQ", "DLQ_NOTICES", "MARKET_DATA", "SERVICE_LOGS", "SYSTEM_EVENTS", "TASKS"}
		if slices.Sort(a.Streams); !slices.Equal(a.Streams, want) {
			t.Errorf("%q lists %q, want %q", who.User, a.Streams, want)
		}
		for j, ack := range a.Acks {
			if ack.Stream != "MARKET_DATA" || j > 0 && ack.Seq != a.Acks[j-1].Seq+1 {
				t.Fatalf("%q: acknowledgement %d is %+v", who.User, j, ack)
			}
		}
		if len(a.Acks) != who.Count || !a.Duplicate {
			t.Errorf("%q: %d acknowledgements, the same id again is a duplicate: %v", who.User, len(a.Acks), a.Duplicate)
		}
		if len(a.Pulled) != who.Count || !slices.IsSorted(a.Pulled) || a.Unacknowledged != 0 {
			t.Errorf("%q: %d pulled, %d unacknowledged", who.User, len(a.Pulled), a.Unacknowledged)
		}
		for _, r := range a.Refused {
			if !strings.Contains(strings.ToLower(r.Error), "permissions violation") {
				t.Errorf("%q publishing to %s: %q", who.User, r.Subject, r.Error)
			}
		}
	}
}

func useNATS(t *testing.T, library string, do natsTask) natsAccount {
	t.Helper()
	in, err := json.Marshal(do)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, said bytes.Buffer
	c := exec.CommandContext(ctx, "python3", "nats/client.py")
	c.Env = append(os.Environ(), "PYTHONPATH="+library, "no_proxy=127.0.0.1", "NO_PROXY=127.0.0.1")
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(in), &out, &said
	if err := c.Run(); err != nil {
		t.Fatalf("nats-py as %q: %v\n%s", do.User, err, last(said.String(), 3000))
	}
	var a natsAccount
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		t.Fatalf("%v in %.300s", err, out.String())
	}
	return a
}
