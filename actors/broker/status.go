package broker

import (
	"context"
	"fmt"
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
}

// ServerStatus describes the NATS server.
type ServerStatus struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	// URL is where other processes reach it; empty when it takes in-process
	// connections only.
	URL        string    `json:"url"`
	Host       string    `json:"host"`
	Port       int       `json:"port"` // 0: it does not listen
	MaxPayload int64     `json:"max_payload"`
	Started    time.Time `json:"started"` // zero: external
	// Connections, Subscriptions and SlowConsumers are counts; external: unknown, 0.
	Connections   int   `json:"connections"`
	Subscriptions int   `json:"subscriptions"`
	SlowConsumers int64 `json:"slow_consumers"`
}

// JetStreamStatus is the account's use of JetStream, in bytes.
type JetStreamStatus struct {
	Memory      uint64 `json:"memory"`
	Store       uint64 `json:"storage"`
	MaxMemory   int64  `json:"max_memory"`  // -1: no limit
	MaxStore    int64  `json:"max_storage"` // -1: no limit
	Reserved    uint64 `json:"reserved_storage"`
	Streams     int    `json:"streams"`
	Consumers   int    `json:"consumers"`
	APIRequests uint64 `json:"api_requests_total"`
	APIErrors   uint64 `json:"api_errors_total"`
}

// MessageStatus counts messages since the server was started; of an external
// server, those of this process's own connection.
type MessageStatus struct {
	Published      uint64    `json:"published"` // into the server
	Consumed       uint64    `json:"consumed"`  // out of it
	PublishedBytes uint64    `json:"published_bytes"`
	ConsumedBytes  uint64    `json:"consumed_bytes"`
	Errors         uint64    `json:"errors"` // slow consumers and refused requests
	Since          time.Time `json:"start_time"`
}

// StreamStatus describes one JetStream stream.
type StreamStatus struct {
	Name      string    `json:"name"`
	Subjects  []string  `json:"subjects"`
	Messages  uint64    `json:"messages"`
	Bytes     uint64    `json:"bytes"`
	MaxBytes  int64     `json:"max_bytes"`
	FirstSeq  uint64    `json:"first_seq"`
	LastSeq   uint64    `json:"last_seq"`
	LastTime  time.Time `json:"last_time"`
	Consumers int       `json:"consumer_count"`
	Retention string    `json:"retention"`
	Storage   string    `json:"storage"`
	Replicas  int       `json:"replicas"`
	// Internal streams are the program's own; clients cannot write to them.
	Internal bool `json:"internal"`
}

// status collects a Status; r is nil when nothing runs.
func (h *Handle) status(ctx context.Context, r *run) (Status, error) {
	s := Status{Mode: h.cfg.Mode, Streams: []StreamStatus{}}
	h.mu.Lock()
	s.Available, s.Since = h.up, h.since
	if h.reason != nil {
		s.Reason = h.reason.Error()
	}
	h.mu.Unlock()
	if r == nil {
		return s, nil
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
	account, err := r.js.AccountInfo(ctx)
	if err != nil {
		return fmt.Errorf("asking for the use of JetStream: %w", err)
	}
	s.JetStream = JetStreamStatus{
		Memory: account.Memory, Store: account.Store, Reserved: account.ReservedStore,
		MaxMemory: account.Limits.MaxMemory, MaxStore: account.Limits.MaxStore,
		Streams: account.Streams, Consumers: account.Consumers,
		APIRequests: account.API.Total, APIErrors: account.API.Errors,
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
	lister := r.js.ListStreams(ctx)
	for info := range lister.Info() {
		all = append(all, streamStatus(info))
	}
	if err := lister.Err(); err != nil {
		return nil, fmt.Errorf("listing streams: %w", err)
	}
	return all, nil
}

func streamStatus(i *jetstream.StreamInfo) StreamStatus {
	s := StreamStatus{
		Name: i.Config.Name, Subjects: i.Config.Subjects,
		Messages: i.State.Msgs, Bytes: i.State.Bytes, MaxBytes: i.Config.MaxBytes,
		FirstSeq: i.State.FirstSeq, LastSeq: i.State.LastSeq, LastTime: i.State.LastTime,
		Consumers: i.State.Consumers, Replicas: i.Config.Replicas,
		Retention: retentionWord(i.Config.Retention), Storage: "file",
	}
	if i.Config.Storage == jetstream.MemoryStorage {
		s.Storage = "memory"
	}
	if s.Subjects == nil {
		s.Subjects = []string{}
	}
	for _, subject := range s.Subjects {
		s.Internal = s.Internal || IsReserved(subject)
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
