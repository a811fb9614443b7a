package catalogue

// Metrics of actors/broker.
const (
	BrokerUp                     Name = "mp_broker_up"
	BrokerRestarts               Name = "mp_broker_restarts_total"
	BrokerConnections            Name = "mp_broker_connections"
	BrokerSubscriptions          Name = "mp_broker_subscriptions"
	BrokerMessages               Name = "mp_broker_messages_total"
	BrokerBytes                  Name = "mp_broker_bytes_total"
	BrokerSlowConsumers          Name = "mp_broker_slow_consumers_total"
	BrokerStore                  Name = "mp_broker_store_bytes"
	BrokerStoreLimit             Name = "mp_broker_store_limit_bytes"
	BrokerStreamMessages         Name = "mp_broker_stream_messages"
	BrokerStreamBytes            Name = "mp_broker_stream_bytes"
	BrokerStreamLimit            Name = "mp_broker_stream_limit_bytes"
	BrokerConsumerPending        Name = "mp_broker_consumer_pending_messages"
	BrokerConsumerUnacknowledged Name = "mp_broker_consumer_unacknowledged_messages"
	BrokerDeadLetters            Name = "mp_broker_dead_letters_total"
	BrokerTasks                  Name = "mp_broker_tasks_total"
	BrokerEvents                 Name = "mp_broker_events_total"
	BrokerFollowers              Name = "mp_broker_followers"
	BrokerConnectionsTotal       Name = "mp_broker_connections_total"
	BrokerPendingBytes           Name = "mp_broker_connection_pending_bytes"
	BrokerMemory                 Name = "mp_broker_memory_bytes"
	BrokerStoreReserved          Name = "mp_broker_store_reserved_bytes"
	BrokerAPIRequests            Name = "mp_broker_api_requests_total"
	BrokerStreams                Name = "mp_broker_streams"
	BrokerConsumers              Name = "mp_broker_consumers"
	BrokerCertificateExpiry      Name = "mp_broker_certificate_expiry_timestamp_seconds"
	BrokerConsumerRedelivered    Name = "mp_broker_consumer_redelivered_messages"
	BrokerNodesExpected          Name = "mp_broker_nodes_expected"
	BrokerNodesOnline            Name = "mp_broker_nodes_online"
	BrokerMajority               Name = "mp_broker_majority"
	BrokerLeaderChanges          Name = "mp_broker_leader_changes_total"
	BrokerReplicaLag             Name = "mp_broker_replica_lag_messages"
)

func broker() Area {
	return Area{
		Title: "Broker",
		About: "NATS JetStream. All but the first two are those of the embedded server.",
		Metrics: []Metric{
			gauge(BrokerUp, Flag, "1 when the broker can be used."),
			counter(BrokerRestarts, Number, "Times that the server, or the link to it, ended and was begun again."),
			gauge(BrokerConnections, Number, "Connections to the embedded server."),
			gauge(BrokerSubscriptions, Number, "Subscriptions at the embedded server."),
			counter(BrokerMessages, Number, "Messages into (published) and out of (consumed) the embedded server.", outcome),
			counter(BrokerBytes, Bytes, "Bytes into (published) and out of (consumed) the embedded server.", outcome),
			counter(BrokerSlowConsumers, Number, "Connections that were closed because they were too slow."),
			counter(BrokerConnectionsTotal, Number, "Connections that the embedded server has accepted."),
			gauge(BrokerPendingBytes, Bytes, "Bytes that wait for the slowest connection of the embedded server."),
			gauge(BrokerMemory, Bytes, "Memory that JetStream's memory streams take."),
			gauge(BrokerStoreReserved, Bytes, "Disk space that streams have reserved."),
			counter(BrokerAPIRequests, Number, "Requests to JetStream's API, all (accepted) and those of them that it refused (refused).", outcome),
			gauge(BrokerStreams, Number, "Streams of all accounts."),
			gauge(BrokerCertificateExpiry, Seconds, "When the certificate of the embedded server ends; absent without TLS."),
			gauge(BrokerConsumers, Number, "Consumers of all accounts."),
			counter(BrokerDeadLetters, Number, "Messages of a stream that became dead letters: delivered too often (exceeded), or given up (terminated).", stream, outcome),
			counter(BrokerTasks, Number, "Tasks by what became of them: submitted, succeeded, retried, dead, cancelled.", outcome),
			counter(BrokerEvents, Number, "Events about the program's own life: published, or dropped because too many waited.", outcome),
			gauge(BrokerFollowers, Number, "Clients that follow a subject over HTTP."),
			gauge(BrokerStore, Bytes, "Bytes that JetStream has on disk."),
			gauge(BrokerStoreLimit, Bytes, "Bytes that JetStream may have on disk."),
			gauge(BrokerStreamMessages, Number, "Messages stored.", stream),
			gauge(BrokerStreamBytes, Bytes, "Bytes stored.", stream),
			gauge(BrokerStreamLimit, Bytes, "Bytes that a stream may hold; -1 when it has no limit.", stream),
			gauge(BrokerConsumerPending, Number, "Messages that a durable consumer has not been sent yet.", stream, consumer),
			gauge(BrokerConsumerUnacknowledged, Number, "Messages that a durable consumer has not acknowledged yet.", stream, consumer),
			gauge(BrokerConsumerRedelivered, Number, "Messages that a durable consumer was sent more than once.", stream, consumer),
			gauge(BrokerNodesExpected, Number, "Nodes that are to run the broker; absent where it stands alone."),
			gauge(BrokerNodesOnline, Number, "Nodes of the broker that this one hears, itself included; absent where it stands alone."),
			gauge(BrokerMajority, Flag, "1 when enough nodes of the broker reach each other to write; absent where it stands alone."),
			counter(BrokerLeaderChanges, Number, "Times that another node was seen to lead a stream, or the group that decides on streams."),
			gauge(BrokerReplicaLag, Number, "Messages that the replica which is furthest behind lacks, said by the node that leads the stream; absent where the broker stands alone.", stream),
		},
	}
}
