package supervise

import (
	"cmp"
	"slices"
	"strings"
)

// Found is an actor by its name.
type Found struct {
	ID    string `json:"id" required:"true"`
	Kind  string `json:"kind" required:"true" doc:"the sort of actor, shared by all that are alike"`
	State State  `json:"state" required:"true" doc:"starting, running, restarting, backoff, stopping, stopped or failed"`
}

// Find lists the actors whose id or kind has every word, whatever its case: the shortest
// ids first, of equal ones in the order of starting; at most limit, of so many. It takes no
// measurements, and costs little where there are very many actors.
func (t *Tree) Find(words []string, limit int) (found []Found, of int) {
	folded := make([]string, len(words))
	for i, w := range words {
		folded[i] = strings.ToLower(w)
	}
	var all []*node
	t.nodes.Range(func(id, n any) bool {
		text := strings.ToLower(id.(string) + " " + n.(*node).spec.Kind)
		for _, w := range folded {
			if !strings.Contains(text, w) {
				return true
			}
		}
		all = append(all, n.(*node))
		return true
	})
	slices.SortFunc(all, func(a, b *node) int {
		return cmp.Or(cmp.Compare(len(a.id), len(b.id)), cmp.Compare(a.order, b.order))
	})
	found = []Found{}
	for _, n := range all[:min(len(all), max(0, limit))] {
		n.mu.Lock()
		found = append(found, Found{ID: n.id, Kind: n.spec.Kind, State: n.state})
		n.mu.Unlock()
	}
	return found, len(all)
}
