package broker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// Status is what the broker is and holds.
type Status struct {
	// Mode is embedded or external.
	Mode string `json:"mode"`
	// Available says whether the broker can be used; Reason, why not.
	Available bool   `json:"available"`
	Reason    string `json:"reason,omitempty"`
	// Since is when Available changed last.
	Since     time.Time       `json:"since"`
	Server    ServerStatus    `json:"server"`
	JetStream JetStreamStatus `json:"jetstream"`
	Messages  MessageStatus   `json:"messages"`
	Streams   []StreamStatus  `json:"streams"`
	// Cluster is how the nodes with the broker stand to each other; absent where it
	// stands alone.
	Cluster *ClusterStatus `json:"cluster,omitempty"`
}

// ServerStatus describes the NATS server.
type ServerStatus struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	Version       string    `json:"version"`
	URL           string    `json:"url" doc:"where other processes reach it; empty when it takes in-process connections only"`
	Host          string    `json:"host" doc:"that it listens at; empty for an external server"`
	Port          int       `json:"port" doc:"0 when it does not listen, or is external"`
	MaxPayload    int64     `json:"max_payload" doc:"bytes of a message at most"`
	Started       time.Time `json:"started" doc:"0001-01-01T00:00:00Z when it is external"`
	Connections   int       `json:"connections" doc:"open now; 0 when it is external"`
	Subscriptions int       `json:"subscriptions" doc:"of all connections; 0 when it is external"`
	SlowConsumers int64     `json:"slow_consumers" doc:"clients that were cut off because they read too slowly, since the start; 0 when it is external"`
}

// JetStreamStatus is the account's use of JetStream, in bytes.
type JetStreamStatus struct {
	Memory      uint64 `json:"memory" doc:"bytes that streams take in memory"`
	Store       uint64 `json:"storage" doc:"bytes that streams take on disk"`
	MaxMemory   int64  `json:"max_memory" doc:"bytes; -1 is no limit"`
	MaxStore    int64  `json:"max_storage" doc:"bytes; -1 is no limit"`
	Reserved    uint64 `json:"reserved_storage" doc:"bytes that streams may take on disk, by their limits"`
	Streams     int    `json:"streams" doc:"the program's own included"`
	Consumers   int    `json:"consumers" doc:"the program's own included"`
	APIRequests uint64 `json:"api_requests_total" doc:"to JetStream"`
	APIErrors   uint64 `json:"api_errors_total" doc:"requests to JetStream that were refused"`
}

// MessageStatus counts messages since the server was started; of an external
// server, those of this process's own connection.
type MessageStatus struct {
	Published      uint64    `json:"published" doc:"messages into the server"`
	Consumed       uint64    `json:"consumed" doc:"messages out of the server"`
	PublishedBytes uint64    `json:"published_bytes" doc:"into the server"`
	ConsumedBytes  uint64    `json:"consumed_bytes" doc:"out of the server"`
	Errors         uint64    `json:"errors" doc:"slow consumers, and requests to JetStream that were refused"`
	Since          time.Time `json:"start_time" doc:"when counting began; 0001-01-01T00:00:00Z where that is not known"`
}

// StreamStatus describes one JetStream stream.
type StreamStatus struct {
	Name      string    `json:"name"`
	Subjects  []string  `json:"subjects" doc:"that it keeps"`
	Messages  uint64    `json:"messages" doc:"that it has"`
	Bytes     uint64    `json:"bytes" doc:"that its messages take"`
	MaxBytes  int64     `json:"max_bytes" doc:"that they may take; -1 is no limit"`
	FirstSeq  uint64    `json:"first_seq" doc:"of the oldest message that it has"`
	LastSeq   uint64    `json:"last_seq" doc:"of the newest message that it took; 0 before the first"`
	LastTime  time.Time `json:"last_time,omitzero" doc:"when it took that; absent before the first"`
	Consumers int       `json:"consumer_count"`
	Retention string    `json:"retention" doc:"limits, workqueue (a message goes when it is acknowledged) or interest (when all consumers have)"`
	Storage   string    `json:"storage" doc:"file or memory"`
	Discard   string    `json:"discard" doc:"what it gives up when it is full: old (the oldest messages) or new (what would come)"`
	MaxAge    float64   `json:"max_age_seconds" doc:"0: messages do not age"`
	Replicas  int       `json:"replicas" doc:"copies"`
	Leader    string    `json:"leader,omitempty" doc:"the node that decides on it, in a cluster; absent when there is none, or the broker stands alone"`
	Created   time.Time `json:"created_at"`
	Internal  bool      `json:"internal" doc:"it is the program's own: clients cannot write to it"`
}

// status collects a Status; r is nil when nothing runs.
func (h *Handle) status(ctx context.Context, r *run) (Status, error) {
	s := Status{Mode: h.cfg.Mode, Streams: []StreamStatus{}, Cluster: h.Cluster()}
	h.mu.Lock()
	s.Available, s.Since = h.up, h.since
	if h.reason != nil {
		s.Reason = h.reason.Error()
	}
	h.mu.Unlock()
	if r == nil || s.Cluster != nil && s.Cluster.Leader == "" {
		return s, nil // nobody would answer
	}
	if err := h.describe(ctx, r, &s); err != nil {
		return s, err
	}
	var err error
	s.Streams, err = listStreams(ctx, r)
	return s, err
}

func (h *Handle) describe(ctx context.Context, r *run, s *Status) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	for _, js := range r.accounts() {
		account, err := js.AccountInfo(ctx)
		if err != nil {
			return fmt.Errorf("asking for the use of JetStream: %w", err)
		}
		s.JetStream.add(account)
	}
	if srv := h.running(); srv != nil {
		return describeServer(srv, h.ClientURL(), s)
	}
	stats := r.nc.Stats()
	s.Server = ServerStatus{
		ID: r.nc.ConnectedServerId(), Name: r.nc.ConnectedServerName(), Version: r.nc.ConnectedServerVersion(),
		URL: r.nc.ConnectedUrlRedacted(), MaxPayload: r.nc.MaxPayload(),
	}
	s.Messages = MessageStatus{
		Published: stats.OutMsgs, Consumed: stats.InMsgs, PublishedBytes: stats.OutBytes, ConsumedBytes: stats.InBytes,
		Errors: s.JetStream.APIErrors,
	}
	return nil
}

// accounts are the JetStream of each account, once.
func (r *run) accounts() []jetstream.JetStream {
	if r.js == r.clients {
		return []jetstream.JetStream{r.js}
	}
	return []jetstream.JetStream{r.js, r.clients}
}

// add adds what an account uses.
func (s *JetStreamStatus) add(a *jetstream.AccountInfo) {
	s.Memory, s.Store, s.Reserved = s.Memory+a.Memory, s.Store+a.Store, s.Reserved+a.ReservedStore
	s.MaxMemory, s.MaxStore = a.Limits.MaxMemory, a.Limits.MaxStore
	s.Streams, s.Consumers = s.Streams+a.Streams, s.Consumers+a.Consumers
	s.APIRequests, s.APIErrors = s.APIRequests+a.API.Total, s.APIErrors+a.API.Errors
}

func describeServer(srv *server.Server, url string, s *Status) error {
	v, err := srv.Varz(nil)
	if err != nil {
		return fmt.Errorf("asking the NATS server: %w", err)
	}
	s.Server = ServerStatus{
		ID: v.ID, Name: v.Name, Version: v.Version, URL: url, Host: v.Host, MaxPayload: int64(v.MaxPayload),
		Started: v.Start, Connections: v.Connections, Subscriptions: int(v.Subscriptions), SlowConsumers: v.SlowConsumers,
	}
	if url != "" {
		s.Server.Port = v.Port
	}
	s.JetStream.MaxMemory, s.JetStream.MaxStore = v.JetStream.Config.MaxMemory, v.JetStream.Config.MaxStore
	s.Messages = MessageStatus{
		Published: uint64(v.InMsgs), Consumed: uint64(v.OutMsgs),
		PublishedBytes: uint64(v.InBytes), ConsumedBytes: uint64(v.OutBytes),
		Errors: s.JetStream.APIErrors + uint64(v.SlowConsumers), Since: v.Start,
	}
	return nil
}

func listStreams(ctx context.Context, r *run) ([]StreamStatus, error) {
	if r == nil {
		return nil, ErrNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	all := []StreamStatus{}
	for _, js := range r.accounts() {
		lister := js.ListStreams(ctx)
		for info := range lister.Info() {
			s := Describe(info)
			s.Internal = s.Internal || js != r.clients
			all = append(all, s)
		}
		if err := lister.Err(); err != nil {
			return nil, fmt.Errorf("listing streams: %w", err)
		}
	}
	slices.SortFunc(all, func(a, b StreamStatus) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Describe is the status of a stream of the clients' account.
func Describe(i *jetstream.StreamInfo) StreamStatus {
	s := StreamStatus{
		Name: i.Config.Name, Subjects: i.Config.Subjects,
		Messages: i.State.Msgs, Bytes: i.State.Bytes, MaxBytes: i.Config.MaxBytes,
		FirstSeq: i.State.FirstSeq, LastSeq: i.State.LastSeq, LastTime: i.State.LastTime,
		Consumers: i.State.Consumers, Replicas: i.Config.Replicas,
		Retention: retentionWord(i.Config.Retention), Storage: "file", Created: i.Created, Internal: IsInternal(i.Config.Name),
		Discard: "old", MaxAge: i.Config.MaxAge.Seconds(),
	}
	if i.Config.Discard == jetstream.DiscardNew {
		s.Discard = "new"
	}
	if i.Config.Storage == jetstream.MemoryStorage {
		s.Storage = "memory"
	}
	if i.Cluster != nil && i.Config.Replicas > 1 {
		s.Leader = i.Cluster.Leader
	}
	if s.Subjects == nil {
		s.Subjects = []string{}
	}
	return s
}

func retentionWord(p jetstream.RetentionPolicy) string {
	switch p {
	case jetstream.WorkQueuePolicy:
		return "workqueue"
	case jetstream.InterestPolicy:
		return "interest"
	}
	return "limits"
}
