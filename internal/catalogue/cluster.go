package catalogue

// Metrics of cluster/consul and cluster/coordinator.
const (
	ConsulHeartbeats    Name = "mp_consul_heartbeats_total"
	ConsulRegistrations Name = "mp_consul_registrations_total"
	ConsulMembers       Name = "mp_consul_members"
	LeaseHeld           Name = "mp_cluster_lease_held"
	PlacementPlans      Name = "mp_placement_plans_total"
	PlacementMoves      Name = "mp_placement_moves_total"
	PlacementPlacing    Name = "mp_placement_placing_seconds"
	PlacementStreams    Name = "mp_placement_streams"
	PlacementRevision   Name = "mp_placement_revision"
	PlacementHandoffs   Name = "mp_placement_handoffs_total"
	PlacementHandoff    Name = "mp_placement_handoff_seconds"
	RemotingMembers     Name = "mp_remoting_members"
	RemotingAsked       Name = "mp_remoting_asked_total"
	RemotingAsking      Name = "mp_remoting_asking_seconds"
	RemotingServed      Name = "mp_remoting_served_total"
	RemotingRefused     Name = "mp_remoting_refused_total"
)

func clusters() Area {
	return Area{
		Title:    "Cluster",
		Optional: true,
		About:    "What this node tells Consul, what it knows from it, and which streams are its own. None of them is there without `cluster.provider: consul`.",
		Metrics: []Metric{
			counter(ConsulHeartbeats, Number, "Heartbeats that Consul took (`accepted`) or did not (`failed`).", service, outcome),
			counter(ConsulRegistrations, Number, "Announcements of a service to a Consul that did not know it.", service),
			gauge(ConsulMembers, Number, "Nodes that announce a service, as far as this one knows.", service),
			gauge(LeaseHeld, Flag, "1 while this node holds the lease of a job.", job),
			counter(PlacementPlans, Number, "Plans that this node wrote, or could not: `written`, `conflict`, `failed`.", outcome),
			counter(PlacementMoves, Number, "Streams that got another owner by a plan that this node wrote."),
			histogram(PlacementPlacing, Seconds, Handling, "Time to place all streams."),
			gauge(PlacementStreams, Number, "Streams that record here (`recording`), or hold what they receive until their owner lets go (`waiting`); those of the whole cluster that have no place (`unplaced`).", outcome),
			gauge(PlacementRevision, Number, "Revision of the plan that this node follows."),
			counter(PlacementHandoffs, Number, "Streams that this node asked for: begun without a hole (`seamless`), begun after what was stored (`taken`), or not let go (`refused`).", outcome),
			histogram(PlacementHandoff, Seconds, Latency, "Time until the other nodes had let go of streams."),
			gauge(RemotingMembers, Number, "Nodes that can be asked, this one included."),
			counter(RemotingAsked, Number, "Questions to other nodes: answered (`ok`, `refused`), or `unreachable`, `timeout`, `busy`, `cancelled`, `failed`.", message, outcome),
			histogram(RemotingAsking, Seconds, Latency, "Time until a question to another node had its answer, or none."),
			counter(RemotingServed, Number, "Questions of other nodes: `ok`, `refused`, `failed`.", message, outcome),
			counter(RemotingRefused, Number, "Connections and messages refused at the port of remoting: a certificate that is `expired`, of another `authority` or of no member (`name`), a `handshake` that failed otherwise, `plaintext` from beyond loopback, what is `malformed` or `forbidden`; a `panic` is one that was caught.", outcome),
		},
	}
}
