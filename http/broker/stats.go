package broker

import (
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/actors/broker/messages"
	"github.com/marketprism/marketprism/http/chassis"
)

// stats is the answer of stats.
type stats struct {
	Timestamp   time.Time              `json:"timestamp" required:"true"`
	Messages    branch.MessageStatus   `json:"message_stats" required:"true" doc:"since the server was started; of an external server those of this process's connection"`
	JetStream   branch.JetStreamStatus `json:"jetstream" required:"true" doc:"use of JetStream, in bytes"`
	Server      branch.ServerStatus    `json:"server" required:"true"`
	Streams     []streamStats          `json:"streams" required:"true" doc:"the program's own included"`
	DeadLetters uint64                 `json:"dead_letters" required:"true" doc:"that are kept"`
}

// streamStats is a stream in figures.
type streamStats struct {
	Name      string                    `json:"name" required:"true"`
	Messages  uint64                    `json:"messages" required:"true"`
	Bytes     uint64                    `json:"bytes" required:"true" doc:"that its messages take"`
	MaxBytes  int64                     `json:"max_bytes" required:"true" doc:"that they may take; -1 is no limit"`
	Taken     uint64                    `json:"taken_total" required:"true" doc:"messages that it ever took: its last sequence"`
	Internal  bool                      `json:"internal" required:"true" doc:"it is the program's own: clients cannot write to it"`
	Consumers []messages.ConsumerStatus `json:"consumers" required:"true" doc:"those of clients"`
}

func (f *service) stats(w http.ResponseWriter, r *http.Request) error {
	found, err := f.Branch.Status(r.Context())
	if err != nil {
		return err
	}
	out := stats{Timestamp: f.Now(), Messages: found.Messages, JetStream: found.JetStream, Server: found.Server, Streams: []streamStats{}}
	for _, s := range found.Streams {
		one := streamStats{Name: s.Name, Messages: s.Messages, Bytes: s.Bytes, MaxBytes: s.MaxBytes, Taken: s.LastSeq, Internal: s.Internal}
		if s.Name == "DLQ" {
			out.DeadLetters = s.Messages
		}
		if f.Desk != nil && !s.Internal && s.Consumers > 0 {
			if one.Consumers, err = f.Desk.Consumers(r.Context(), s.Name); err != nil {
				return err
			}
		}
		out.Streams = append(out.Streams, one)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}
