package cluster

import (
	"net/http"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
)

// View is how the cluster stands.
type View struct {
	Provider  string    `json:"provider" enum:"static,consul" required:"true" doc:"who knows the nodes; static: there is this one alone"`
	Self      string    `json:"self" required:"true" doc:"the node that answers"`
	Nodes     []Node    `json:"nodes" required:"true" doc:"by id"`
	Leases    []Lease   `json:"leases" required:"true" doc:"rights to do one job for all nodes"`
	Placement Placement `json:"placement" required:"true" doc:"the plan in force: which node collects which stream"`
	Moves     []Move    `json:"moves" required:"true" doc:"what plans changed last, newest first"`
	Journal   *Journal  `json:"journal,omitempty" doc:"how the journal is replicated; absent while nobody says"`
	Problems  []string  `json:"problems" required:"true" doc:"what could not be found out"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

// NodeState is how a node is.
type NodeState string

// The states.
const (
	Up          NodeState = "up"
	Draining    NodeState = "draining"    // it still has streams
	Drained     NodeState = "drained"     // it has none, and gets none
	Unreachable NodeState = "unreachable" // announced, and its collector does not answer
)

// Node is one of them.
type Node struct {
	ID       string     `json:"id" required:"true"`
	Address  string     `json:"address" required:"true" doc:"host at which others reach it"`
	Services []Place    `json:"services" required:"true" doc:"those that it runs"`
	Version  string     `json:"version" required:"true"`
	State    NodeState  `json:"state" enum:"up,draining,drained,unreachable" required:"true" doc:"draining: it still has streams; drained: it has none, and gets none; unreachable: its collector does not answer, or nobody of that name is announced"`
	Since    *time.Time `json:"since" required:"true" doc:"when its process began; null when it does not say"`
	Weight   float64    `json:"weight" required:"true" doc:"its share of the streams, relative to others'; 0 without a collector"`
	// Planned streams are its by the plan; Recording and Waiting are what it says itself.
	Planned   int    `json:"planned" required:"true" doc:"streams that the plan gives to it"`
	Recording int    `json:"recording" required:"true" doc:"streams that it records"`
	Waiting   int    `json:"waiting" required:"true" doc:"streams that it is taking over"`
	Revision  uint64 `json:"revision" required:"true" doc:"of the plan that it follows"`
	Epoch     int64  `json:"epoch" required:"true" doc:"ownership number of what it took over last"`
	// Markets are what its settings enable.
	Markets []string `json:"markets" required:"true" doc:"exchange/market of those that it collects, and is given streams of; null when it does not say"`
	Public  string   `json:"public_address,omitempty" doc:"where its connections to exchanges come from, when others share that"`
	Drain   *Drain   `json:"drain,omitempty" doc:"the order to empty it"`
	Consul  *Link    `json:"consul,omitempty" doc:"whether it reaches Consul, as it sees that"`
	Problem string   `json:"problem,omitempty" doc:"what is wrong with it; absent when nothing is known to be"`
}

// Place is where a service of a node answers.
type Place struct {
	Service string `json:"service" required:"true"`
	URL     string `json:"url" required:"true" doc:"where it answers"`
}

// Drain is an order to empty a node.
type Drain struct {
	By     string    `json:"by,omitempty" doc:"who ordered it"`
	Reason string    `json:"reason,omitempty" doc:"as given with the order; absent when none was"`
	Since  time.Time `json:"since" required:"true" doc:"when it was ordered"`
}

// Link is whether something is reached.
type Link struct {
	Reached bool   `json:"reached" required:"true"`
	Problem string `json:"problem,omitempty" doc:"why it is not reached; absent when it is"`
}

// Lease is the right to do one job for all.
type Lease struct {
	Job    string     `json:"job" required:"true" doc:"such as placement, scheduler, notifier, archiver"`
	Holder string     `json:"holder" required:"true" doc:"empty when nobody has it"`
	Since  *time.Time `json:"since" required:"true" doc:"null when it is not known"`
	Fence  uint64     `json:"fence" required:"true" doc:"what its effects carry: of the placement the plan's revision, of the scheduler and of notifications that of the key which the holder wrote when it got the lease, of the archive the number of the manifest's last record; 0 when it is not known"`
}

// Placement is the plan in force.
type Placement struct {
	Revision uint64     `json:"revision" required:"true" doc:"0: there is no plan"`
	Made     *time.Time `json:"made" required:"true" doc:"when; null where there is no plan"`
	By       string     `json:"by" required:"true" doc:"the node that made it"`
	Streams  int        `json:"streams" required:"true" doc:"that a node has by it"`
	Unplaced []string   `json:"unplaced" required:"true" doc:"that no node can have, or has room for"`
	Owners   []Owner    `json:"owners,omitempty" doc:"by stream; absent with owners=false, and where no stream has one"`
	Pins     []Pin      `json:"pins" required:"true" doc:"streams that operators have put somewhere"`
}

// Owner is the node that a stream is at by the plan.
type Owner struct {
	Stream string `json:"stream" required:"true" doc:"exchange/market/symbol"`
	Node   string `json:"node" required:"true" doc:"that collects the stream"`
	Epoch  int64  `json:"epoch" required:"true" doc:"at least that of its records, by what its node says; 0 when it does not"`
	State  string `json:"state" enum:"settled,moving,unknown" required:"true" doc:"moving: its node is still taking streams over, or does not follow the plan yet"`
}

// Move is a stream that a plan gave to another node.
type Move struct {
	Stream   string    `json:"stream" required:"true" doc:"exchange/market/symbol"`
	From     string    `json:"from" required:"true" doc:"empty when nobody had it"`
	To       string    `json:"to" required:"true" doc:"empty when it has no place any more"`
	Revision uint64    `json:"revision" required:"true" doc:"of the plan that gave it"`
	At       time.Time `json:"at" required:"true" doc:"when that plan was made"`
}

// Standing is how a node stands, as it says itself.
type Standing struct {
	Node      string `json:"node" required:"true"`
	Revision  uint64 `json:"revision" required:"true"`
	Epoch     int64  `json:"epoch" required:"true"`
	Recording int    `json:"recording" required:"true"`
	Waiting   int    `json:"waiting" required:"true"`
	Plans     bool   `json:"makes_plans" required:"true" doc:"it has the lease of the placement"`
	Draining  bool   `json:"draining" required:"true"`
	Leaving   bool   `json:"leaving" required:"true"`
	Problem   string `json:"problem,omitempty" doc:"why it cannot follow plans"`
	Moves     []Move `json:"moves" required:"true" doc:"newest first, since it follows plans"`
	Consul    Link   `json:"consul" required:"true"`
}

// RegisterStanding adds the route by which a collector says how its node stands.
func RegisterStanding(s *chassis.Server, standing func() Standing) error {
	return s.Handle(chassis.Route{
		Method: http.MethodGet, Path: base + "placement", ID: "placement", Tag: tag, Summary: "How this node stands in the cluster",
		Description: "`GET /api/v1/cluster` of the monitoring-service asks every node for it.",
		Responses:   []chassis.Response{{Body: Standing{}}},
		Handler: func(w http.ResponseWriter, r *http.Request) error {
			return chassis.WriteJSON(w, r, http.StatusOK, standing())
		},
	})
}
