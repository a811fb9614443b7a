package catalogue

// Metrics of actors/collector/live.
const (
	LiveClients       Name = "mp_live_clients"
	LiveSubscriptions Name = "mp_live_subscriptions"
	LiveMessages      Name = "mp_live_messages_total"
	LiveBytes         Name = "mp_live_bytes_total"
	LiveCoalesced     Name = "mp_live_coalesced_total"
	LiveBehind        Name = "mp_live_books_begun_anew_total"
	LiveDropped       Name = "mp_live_dropped_total"
	LiveDisconnects   Name = "mp_live_disconnects_total"
	LiveResumes       Name = "mp_live_resumes_total"
	LiveRefused       Name = "mp_live_refused_total"
	LiveLag           Name = "mp_live_lag_seconds"
)

func live() Area {
	return Area{
		Title: "Live streams",
		About: "Those who follow streams over WebSocket or server-sent events; see [live.md](live.md).",
		Metrics: []Metric{
			gauge(LiveClients, Number, "Connections.", consumer),
			gauge(LiveSubscriptions, Number, "Subscriptions of all connections."),
			counter(LiveMessages, Number, "Messages written.", consumer),
			counter(LiveBytes, Bytes, "Bytes of messages written.", consumer),
			counter(LiveCoalesced, Number, "Records that were put into others, because a client was behind."),
			counter(LiveBehind, Number, "Books that were given anew, because too many of their changes waited for a client."),
			counter(LiveDropped, Number, "Records lost between a stream and the clients' queues; their books are begun anew."),
			counter(LiveDisconnects, Number, "Connections that the server ended, by reason.", outcome),
			counter(LiveResumes, Number, "Clients of server-sent events that came back, by whether they got what they had missed.", outcome),
			counter(LiveRefused, Number, "Connections and subscriptions that were refused.", message),
			histogram(LiveLag, Seconds, Latency, "Time from the reading of a frame to its record being written to a client, the oldest of each write.", consumer),
		},
	}
}
