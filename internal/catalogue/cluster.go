package catalogue

// Metrics of cluster/consul.
const (
	ConsulHeartbeats    Name = "mp_consul_heartbeats_total"
	ConsulRegistrations Name = "mp_consul_registrations_total"
	ConsulMembers       Name = "mp_consul_members"
	LeaseHeld           Name = "mp_cluster_lease_held"
)

func clusters() Area {
	return Area{
		Title:    "Cluster",
		Optional: true,
		About:    "What this node tells Consul, and what it knows from it. None of them is there without `cluster.provider: consul`.",
		Metrics: []Metric{
			counter(ConsulHeartbeats, Number, "Heartbeats that Consul took (`accepted`) or did not (`failed`).", service, outcome),
			counter(ConsulRegistrations, Number, "Announcements of a service to a Consul that did not know it.", service),
			gauge(ConsulMembers, Number, "Nodes that announce a service, as far as this one knows.", service),
			gauge(LeaseHeld, Flag, "1 while this node holds the lease of a job.", job),
		},
	}
}
