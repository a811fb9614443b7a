package collector

import (
	"context"
	"errors"
	"net/http"
	"time"

	branch "github.com/marketprism/marketprism/actors/collector"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/market"
	"github.com/marketprism/marketprism/persistence"
)

// imported is the answer of import.
type imported struct {
	Success   bool      `json:"success" required:"true"`
	Records   int       `json:"records" required:"true" doc:"that the journal has now"`
	Known     int       `json:"known" required:"true" doc:"that an earlier import had stored already"`
	Timestamp time.Time `json:"timestamp" required:"true"`
}

// maxImport bounds the body of one import.
const maxImport = 16 << 20

func (f *service) importRoute() chassis.Route {
	return chassis.Route{
		Method: http.MethodPost, Path: base + "backfills", ID: "import", Tag: tagQuality, Summary: "Take records of the past that were recorded elsewhere",
		Description: "Records in the one JSON form, one a line, as `marketprism normalize` makes them of a capture: `marketprism backfill --capture` sends them here. " +
			"They are stored as collected, with the flag `backfilled`; the same ones again do no harm. The answer comes when the journal has all of them; a refusal may have stored some.",
		Request: "", Accepts: []string{chassis.MediaNDJSON}, BodyLimit: maxImport, Timeout: time.Minute,
		Responses: []chassis.Response{{Body: imported{}}}, Handler: f.importRecords,
	}
}

// Importer takes records that were recorded elsewhere.
type Importer interface {
	Import(ctx context.Context, lines []byte) (branch.Imported, error)
}

func (f *service) importRecords(w http.ResponseWriter, r *http.Request) error {
	lines, err := chassis.ReadBody(r)
	if err != nil {
		return err
	}
	done, err := f.Branch.Import(r.Context(), lines)
	switch {
	case err == nil:
		return chassis.WriteJSON(w, r, http.StatusOK, imported{true, done.Records, done.Known, f.Now()})
	case errors.Is(err, market.ErrJSONRecord):
		return chassis.BadRequest("%s", err.Error()).WithCode("invalid_record")
	case errors.Is(err, persistence.ErrTooLarge):
		return chassis.NewError(http.StatusRequestEntityTooLarge, "too_large", "the records of one stream do not fit a message of the journal: send fewer at once").WithCause(err)
	case refuses(err):
		return chassis.Unavailable(time.Second, "the journal does not take records now: %s", err.Error()).WithCode("journal_unavailable").WithCause(err)
	}
	return notBegun(err)
}

// refuses reports whether the journal may take the same records later.
func refuses(err error) bool {
	for _, why := range []error{persistence.ErrNoCredit, persistence.ErrRefusing, persistence.ErrJournalFull, persistence.ErrDiskFull,
		persistence.ErrDoubt, persistence.ErrForeign, persistence.ErrStopped} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}
