package notify

import (
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/alert"
)

// route is a node of the routing tree, with what it inherits filled in.
type route struct {
	key      string // path of matchers from the root: {}/{severity="critical"}
	matchers Matchers
	receiver string
	groupBy  []string
	byAll    bool // every alert is a group of its own
	wait     time.Duration
	interval time.Duration
	repeat   time.Duration
	goOn     bool // to the next sibling
	children []*route
}

// find lists the routes that an alert takes: of each node the deepest that match, the
// first of them unless it goes on to its next sibling
// (https://prometheus.io/docs/alerting/latest/configuration/#route).
func (r *route) find(ls alert.Labels) []*route {
	if !r.matchers.Match(ls) {
		return nil
	}
	var found []*route
	for _, child := range r.children {
		below := child.find(ls)
		found = append(found, below...)
		if len(below) > 0 && !child.goOn {
			break
		}
	}
	if len(found) == 0 {
		found = []*route{r}
	}
	return found
}

// groupLabels are the labels that an alert shares with its group.
func (r *route) groupLabels(ls alert.Labels) alert.Labels {
	if r.byAll {
		return ls
	}
	return ls.Only(r.groupBy...)
}
