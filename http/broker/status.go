package broker

import (
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/broker"
	"github.com/marketprism/marketprism/http/chassis"
)

// status is the answer of status.
type status struct {
	Service       string                 `json:"service" required:"true" example:"message-broker-service"`
	Timestamp     time.Time              `json:"timestamp" required:"true"`
	UptimeSeconds float64                `json:"uptime_seconds" required:"true" doc:"of this service, not of the NATS server"`
	Server        natsServer             `json:"nats_server" required:"true" doc:"the server behind it"`
	Streams       []branch.StreamStatus  `json:"jetstream_streams" required:"true" doc:"the program's own included"`
	Messages      branch.MessageStatus   `json:"message_stats" required:"true" doc:"since the server was started; of an external server those of this process's connection"`
	Available     bool                   `json:"nats_available" required:"true" doc:"whether the broker can be used"`
	Reason        string                 `json:"reason,omitempty" doc:"why NATS is not available"`
	Mode          string                 `json:"mode,omitempty" enum:"embedded,external" doc:"embedded: the server runs in this process"`
	JetStream     branch.JetStreamStatus `json:"jetstream" required:"true" doc:"use of JetStream, in bytes"`
	Cluster       *branch.ClusterStatus  `json:"cluster,omitempty" doc:"how the nodes with the broker stand to each other; absent where it stands alone"`
}

type natsServer struct {
	Status string              `json:"status" enum:"running,stopped" required:"true"`
	Info   branch.ServerStatus `json:"server_info" required:"true"`
	Ports  map[string]int      `json:"ports" required:"true" doc:"that the server listens on; none when it takes in-process connections only"`
}

func (f *service) status(w http.ResponseWriter, r *http.Request) error {
	found, err := f.Branch.Status(r.Context())
	if err != nil {
		if !down(err) {
			return err
		}
		if reason := f.Branch.Up(); reason != nil {
			err = reason
		}
		found = branch.Status{Reason: err.Error()}
	}
	now := f.Now()
	out := status{
		Service: Service, Timestamp: now, UptimeSeconds: max(now.Sub(f.started).Seconds(), 1e-9),
		Server:  natsServer{Status: "stopped", Info: found.Server, Ports: map[string]int{}},
		Streams: found.Streams, Messages: found.Messages, Available: found.Available, Reason: found.Reason,
		Mode: found.Mode, JetStream: found.JetStream, Cluster: found.Cluster,
	}
	if found.Available {
		out.Server.Status = "running"
	}
	if found.Server.Port > 0 {
		out.Server.Ports["client"] = found.Server.Port
	}
	if out.Messages.Since.IsZero() {
		out.Messages.Since = f.started
	}
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

// streamList is the answer of streams.
type streamList struct {
	Streams []branch.StreamStatus `json:"streams" required:"true" doc:"the program's own included"`
	Total   int                   `json:"total" required:"true" doc:"of this answer"`
}

func (f *service) streams(w http.ResponseWriter, r *http.Request) error {
	found, err := f.Branch.Streams(r.Context())
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, streamList{found, len(found)})
}

// info is the answer of nats/info.
type info struct {
	Available bool                   `json:"nats_available" required:"true" doc:"whether the broker can be used"`
	Mode      string                 `json:"mode" required:"true" doc:"embedded (the server runs in this process) or external"`
	Server    branch.ServerStatus    `json:"server_info" required:"true"`
	JetStream branch.JetStreamStatus `json:"jetstream" required:"true" doc:"use of JetStream, in bytes"`
}

func (f *service) info(w http.ResponseWriter, r *http.Request) error {
	found, err := f.Branch.Status(r.Context())
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, info{found.Available, found.Mode, found.Server, found.JetStream})
}
