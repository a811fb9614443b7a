package storage

import (
	"errors"
	"maps"
	"net/http"
	"slices"
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
