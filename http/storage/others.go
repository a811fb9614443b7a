package storage

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/http/chassis/facade"
)

// elsewhere has the node answer that knows an operation which this one does not: each
// keeps its own. Where nobody knows it, and who may know it does not answer, that is
// said; else the error is the one given.
func (f *service) elsewhere(w http.ResponseWriter, r *http.Request, id string, unknown error) error {
	if f.Others == nil || facade.Passed(r) {
		return unknown
	}
	passer := facade.NewPasser(f.Others, "the operation", "owner_away")
	answers, silent := facade.Gather[operationAnswer](passer, r, r.URL.EscapedPath(), nil)
	for node, a := range answers {
		if a.Data.ID == id {
			return passer.Pass(w, r, node)
		}
	}
	maps.DeleteFunc(silent, func(_ string, err error) bool {
		var answered *facade.AnsweredError
		return errors.As(err, &answered) && answered.Status == http.StatusNotFound
	})
	if len(silent) == 0 {
		return unknown
	}
	return chassis.Unavailable(time.Second, "no node that answers knows the operation; %s may", strings.Join(slices.Sorted(maps.Keys(silent)), ", ")).WithCode("owner_away")
}

// withOthers adds the operations of the other nodes to those of this one, newest first;
// missing are those that did not say.
func (f *service) withOthers(r *http.Request, all []operationOf, limit int) (joined []operationOf, missing []string) {
	for i := range all {
		all[i].Node = f.Others.Name()
	}
	passer := facade.NewPasser(f.Others, "the operation", "owner_away")
	answers, silent := facade.Gather[operationList](passer, r, base+"operations", url.Values{"limit": {strconv.Itoa(limit)}})
	for node, a := range answers {
		for _, o := range a.Data {
			o.Node = node
			all = append(all, o)
		}
	}
	slices.SortStableFunc(all, func(a, b operationOf) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Node, b.Node))
	})
	return all, slices.Sorted(maps.Keys(silent))
}
