package client

import "time"

// Cluster is who is in the cluster, and who has what.
type Cluster struct {
	Journal   *Replication `json:"journal,omitempty"` // how the journal is replicated; absent while nobody says
	Leases    []Lease      `json:"leases"`
	Moves     []Move       `json:"moves"` // what plans changed last, newest first
	Nodes     []Node       `json:"nodes"`
	Placement Placement    `json:"placement"`
	Problems  []string     `json:"problems"` // what could not be found out
	Provider  string       `json:"provider"` // who knows the nodes; static: there is this one alone: static, consul
	Self      string       `json:"self"`     // the node that answers
	Timestamp time.Time    `json:"timestamp"`
}

// Node is one node of the cluster.
type Node struct {
	Address       string     `json:"address"`
	Consul        *Link      `json:"consul,omitempty"` // whether it reaches Consul, as it sees that
	Drain         *Drain     `json:"drain,omitempty"`  // the order to empty it
	Epoch         int64      `json:"epoch"`            // ownership number of what it took over last
	ID            string     `json:"id"`
	Markets       []string   `json:"markets"` // exchange/market of those that it collects, and is given streams of; null when it does not say
	Planned       int64      `json:"planned"` // streams that the plan gives to it
	Problem       string     `json:"problem,omitempty"`
	PublicAddress string     `json:"public_address,omitempty"` // where its connections to exchanges come from, when others share that
	Recording     int64      `json:"recording"`                // streams that it records
	Revision      int64      `json:"revision"`                 // of the plan that it follows
	Services      []Place    `json:"services"`
	Since         *time.Time `json:"since"` // when its process began; null when it does not say
	State         string     `json:"state"` // up, draining, drained, unreachable
	Version       string     `json:"version"`
	Waiting       int64      `json:"waiting"` // streams that it is taking over
	Weight        float64    `json:"weight"`  // its share of the streams, relative to others'; 0 without a collector
}

// Drain is an order to empty a node.
type Drain struct {
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

// Link is whether something is reached.
type Link struct {
	Problem string `json:"problem,omitempty"`
	Reached bool   `json:"reached"`
}

// Lease is the right to do one job for all.
type Lease struct {
	Fence  int64      `json:"fence"`  // what its effects carry: of the placement the plan's revision; 0 when it is not known
	Holder string     `json:"holder"` // empty when nobody has it
	Job    string     `json:"job"`
	Since  *time.Time `json:"since"` // null when it is not known
}

// Placement is the plan of which node collects which stream.
type Placement struct {
	By       string     `json:"by"`
	Made     *time.Time `json:"made"`
	Owners   []Owner    `json:"owners,omitempty"`
	Pins     []Pin      `json:"pins"`     // streams that operators have put somewhere
	Revision int64      `json:"revision"` // 0: there is no plan
	Streams  int64      `json:"streams"`
	Unplaced []string   `json:"unplaced"` // that no node can have, or has room for
}

// Owner is the node that a stream is at by the plan.
type Owner struct {
	Epoch  int64  `json:"epoch"` // at least that of its records, by what its node says; 0 when it does not
	Node   string `json:"node"`
	State  string `json:"state"`  // moving: its node is still taking streams over, or does not follow the plan yet: settled, moving, unknown
	Stream string `json:"stream"` // exchange/market/symbol
}

// Pin is a stream that an operator has put somewhere.
type Pin struct {
	By     string     `json:"by,omitempty"`
	Held   bool       `json:"held"` // the plan has the stream there; else the node is away, drains, cannot, or has no room
	Node   string     `json:"node"`
	Reason string     `json:"reason,omitempty"`
	Since  time.Time  `json:"since"`
	Stream string     `json:"stream"` // exchange/market/symbol
	Until  *time.Time `json:"until"`  // when it ends by itself; null: when it is taken back
}

// Move is a stream that a plan gave to another node.
type Move struct {
	At       time.Time `json:"at"`
	From     string    `json:"from"`
	Revision int64     `json:"revision"`
	Stream   string    `json:"stream"`
	To       string    `json:"to"`
}

// MovedTo is what came of an order about where a stream is to be.
type MovedTo struct {
	Action    string     `json:"action"` // move, unpin
	Message   string     `json:"message"`
	Node      string     `json:"node"` // where it is to be; empty for unpin
	Stream    string     `json:"stream"`
	Success   bool       `json:"success"`
	Timestamp time.Time  `json:"timestamp"`
	Until     *time.Time `json:"until"`
}

// Place is where a node answers for a service.
type Place struct {
	Service string `json:"service"`
	URL     string `json:"url"`
}

// StreamStanding is how a stream stands at its owner.
type StreamStanding struct {
	AgeSeconds float64   `json:"age_seconds"` // since the last change was received
	AskLevels  int64     `json:"ask_levels"`
	BestAsk    string    `json:"best_ask,omitempty"`
	BestBid    string    `json:"best_bid,omitempty"`
	BidLevels  int64     `json:"bid_levels"`
	Owner      string    `json:"owner"`         // the node that collects it, by the plan
	Sequence   int64     `json:"sequence"`      // the exchange's, at which the book stands
	State      string    `json:"state"`         // of its book: live, stale, syncing
	Stream     string    `json:"stream"`        // exchange/market/symbol
	Time       time.Time `json:"time,omitzero"` // of the last change
}

// Ordered is what came of an order about a node.
type Ordered struct {
	Action    string    `json:"action"` // drain, undrain
	Message   string    `json:"message"`
	Node      string    `json:"node"`
	Success   bool      `json:"success"`
	Timestamp time.Time `json:"timestamp"`
}

// Resynced is what came of fetching a book anew.
type Resynced struct {
	Owner     string    `json:"owner"`
	Stream    string    `json:"stream"`
	Success   bool      `json:"success"`
	Timestamp time.Time `json:"timestamp"`
}

// Replication is how the journal is replicated.
type Replication struct {
	Quorum   bool              `json:"quorum"`   // every shard has a leader and a majority of its copies, so that it can be written
	Replicas int64             `json:"replicas"` // copies of each shard; 1: it is on one node alone
	Shards   []ReplicatedShard `json:"shards"`
}

// ReplicatedShard is one shard of the journal with its copies.
type ReplicatedShard struct {
	Bytes    int64  `json:"bytes"`
	Copies   []Copy `json:"copies"` // the leader's first
	First    int64  `json:"first"`  // position of the oldest message
	Last     int64  `json:"last"`   // position of the newest message
	Leader   string `json:"leader"` // the node that decides on it; empty when there is none
	Messages int64  `json:"messages"`
	Quorum   bool   `json:"quorum"` // there is a leader, and with it a majority of the copies is there
	Shard    int64  `json:"shard"`
}

// Copy is one copy of a shard.
type Copy struct {
	Current      bool    `json:"current"`       // it has what the leader has, or nearly
	HeardSeconds float64 `json:"heard_seconds"` // how long ago the leader heard of it; 0 for the leader
	Lag          int64   `json:"lag"`           // operations that it is behind
	Leader       bool    `json:"leader"`
	Node         string  `json:"node"`
	There        bool    `json:"there"` // the leader has heard of it
}
