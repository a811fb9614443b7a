package cluster

// Journal is how the journal is replicated, as the broker says it.
type Journal struct {
	Replicas int `json:"replicas" required:"true" doc:"copies of each shard; 1: it is on one node alone"`
	// Quorum is of all shards: one that lacks it takes no writes.
	Quorum bool    `json:"quorum" required:"true" doc:"every shard has a leader and a majority of its copies, so that it can be written"`
	Shards []Shard `json:"shards" required:"true" doc:"by number"`
}

// Shard is one of its streams.
type Shard struct {
	Shard    int    `json:"shard" required:"true" doc:"its number, from 0"`
	Leader   string `json:"leader" required:"true" doc:"the node that decides on it; empty when there is none"`
	Quorum   bool   `json:"quorum" required:"true" doc:"there is a leader, and with it a majority of the copies is there"`
	Messages uint64 `json:"messages" required:"true" doc:"that it holds"`
	Bytes    uint64 `json:"bytes" required:"true" doc:"of the messages that it holds"`
	First    uint64 `json:"first" required:"true" doc:"position of the oldest message"`
	Last     uint64 `json:"last" required:"true" doc:"position of the newest message"`
	Copies   []Copy `json:"copies" required:"true" doc:"the leader's first"`
}

// Copy is one node's copy of a shard.
type Copy struct {
	Node   string `json:"node" required:"true"`
	Leader bool   `json:"leader" required:"true" doc:"it decides on the shard"`
	// There: the leader hears of it.
	There   bool    `json:"there" required:"true" doc:"the leader has heard of it"`
	Current bool    `json:"current" required:"true" doc:"it has what the leader has, or nearly"`
	Lag     uint64  `json:"lag" required:"true" doc:"operations that it is behind"`
	Active  float64 `json:"heard_seconds" required:"true" doc:"how long ago the leader heard of it; 0 for the leader"`
}
