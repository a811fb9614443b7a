package storage

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	branch "github.com/marketprism/marketprism/actors/storage"
	"github.com/marketprism/marketprism/http/chassis"
)

// readerList is the answer of journal/readers.
type readerList struct {
	success
	Data      []branch.JournalReader `json:"data" required:"true"`
	Timestamp time.Time              `json:"timestamp" required:"true"`
}

func (f *service) readerRoutes() []chassis.Route {
	return []chassis.Route{
		{
			Method: http.MethodGet, Path: base + "journal/readers", ID: "journalReaders", Tag: tagAdmin,
			Summary: "The stores that the journal is kept for", Responses: []chassis.Response{{Body: readerList{}}}, Handler: f.readers,
		},
		{
			Method: http.MethodDelete, Path: base + "journal/readers/{reader}", ID: "retireReader", Tag: tagAdmin,
			Summary: "Keep nothing for a reader any more that nobody uses",
			Description: "For the name of a node that will not come back, or of a store that has got another name. It is refused for one that is, or may be, in use: " +
				"of a known node, silent for less than `data-storage-service.actors.retire_after`, or not behind; and for the only full copy.",
			Responses: []chassis.Response{{Body: readerList{}}, {Status: http.StatusConflict, Doc: "it is in use, or the only full copy"}},
			Handler:   f.retire,
		},
	}
}

func (f *service) readers(w http.ResponseWriter, r *http.Request) error {
	all, err := f.Branch.Readers(r.Context())
	if err != nil {
		return unasked(err)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, readerList{succeeded, all, f.Now()})
}

func (f *service) retire(w http.ResponseWriter, r *http.Request) error {
	name, err := chassis.PathParam(r, "reader")
	if err != nil {
		return err
	}
	gone, err := f.Branch.Retire(r.Context(), name)
	switch {
	case errors.Is(err, branch.ErrNoReader):
		return chassis.NotFound("the journal has no reader %q", clip(name)).WithCode("unknown_reader")
	case errors.Is(err, branch.ErrReaderInUse):
		return chassis.Conflict("%s", err.Error()).WithCode("reader_in_use")
	case errors.Is(err, branch.ErrLastCopy):
		return chassis.Conflict("%s", err.Error()).WithCode("last_copy")
	case err != nil:
		return unasked(err)
	}
	chassis.Logger(r.Context()).Warn("a reader of the journal was retired: nothing is kept for it any more", zap.String("reader", name), zap.Int("shards", len(gone)))
	return chassis.WriteJSON(w, r, http.StatusOK, readerList{succeeded, gone, f.Now()})
}
