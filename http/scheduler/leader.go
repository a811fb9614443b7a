package scheduler

import (
	"net/http"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// atLeader answers a request at the node whose scheduler leads: the others know no
// tasks.
func (f *service) atLeader(here chassis.Handler) chassis.Handler {
	if f.Others == nil {
		return here
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if leader := f.Branch.Leader(); f.passer.May(r, leader) {
			return f.passer.Pass(w, r, leader)
		}
		return here(w, r)
	}
}

// statusAt answers about the scheduler that leads, or about this one.
func (f *service) statusAt() chassis.Handler {
	there := f.atLeader(f.status)
	return func(w http.ResponseWriter, r *http.Request) error {
		q := chassis.QueryOf(r)
		scope := q.OneOf("scope", facade.ScopeCluster, facade.ScopeCluster, facade.ScopeNode)
		switch err := q.Err(); {
		case err != nil:
			return err
		case scope == facade.ScopeNode:
			return f.status(w, r)
		}
		return there(w, r)
	}
}
