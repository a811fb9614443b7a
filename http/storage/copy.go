package storage

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/persistence"
)

const (
	// pieceBytes is the most that one request for a file is answered with.
	pieceBytes = 4 << 20
	// maxGiving is how many pieces are given at once.
	maxGiving = 4
	// headerFileBytes is the size of the file that a piece is of.
	headerFileBytes = "X-File-Bytes"
)

// offerAnswer is the answer of copy.
type offerAnswer struct {
	success
	Data      persistence.Offer `json:"data" required:"true"`
	Timestamp time.Time         `json:"timestamp" required:"true"`
}

func (f *service) copyRoutes() []chassis.Route {
	return []chassis.Route{
		{
			Method: http.MethodGet, Path: base + "copy", ID: "copyOffer", Tag: tagAdmin, Quiet: true, Timeout: time.Minute,
			Summary: "What another node can copy from this one", Responses: []chassis.Response{{Body: offerAnswer{}}}, Handler: f.offer,
			Description: "Each node with the embedded engine keeps a full copy. One that was away longer than the journal reaches back takes the files of another, " +
				"and reads on behind the position that they stand for.",
		},
		{
			Method: http.MethodGet, Path: base + "copy/file", ID: "copyFile", Tag: tagAdmin, Quiet: true, Timeout: time.Minute,
			Summary:     "A piece of a file of the store",
			Description: "At most 4 MiB from an offset on; " + headerFileBytes + " is the size of the whole.",
			Params: []chassis.Param{
				{Name: "tier", Enum: []string{persistence.CopyHot, persistence.CopyCold}, Required: true},
				{Name: "name", Required: true, Doc: "As copy names it.", Example: "trades/0-000000000001-000000000042-1.parquet"},
				{Name: "offset", Type: int64(0), Default: 0, Min: 0},
			},
			Responses: []chassis.Response{{Body: "", Media: mediaBytes, Headers: map[string]string{headerFileBytes: "size of the whole file"}}},
			Handler:   f.piece,
		},
	}
}

const mediaBytes = "application/octet-stream"

func (f *service) offer(w http.ResponseWriter, r *http.Request) error {
	o, err := f.Branch.Offer(r.Context())
	if errors.Is(err, persistence.ErrNoCopy) {
		return chassis.Conflict("this node keeps no files that could be copied").WithCode("no_files")
	}
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, offerAnswer{succeeded, o, f.Now()})
}

func (f *service) piece(w http.ResponseWriter, r *http.Request) (err error) {
	q := chassis.QueryOf(r)
	tier := q.OneOf("tier", "", persistence.CopyHot, persistence.CopyCold)
	name := q.Text("name", "")
	if tier == "" {
		q.Refuse("tier", "is needed")
	}
	if name == "" {
		q.Refuse("name", "is needed")
	}
	offset, parseErr := strconv.ParseInt(q.Text("offset", "0"), 10, 64)
	if parseErr != nil || offset < 0 {
		q.Refuse("offset", "must be a whole number from 0 on")
	}
	if err := q.Err(); err != nil {
		return err
	}
	select {
	case f.giving <- struct{}{}:
		defer func() { <-f.giving }()
	default:
		return chassis.Unavailable(time.Second, "%d pieces of files are being given already", maxGiving).WithCode("busy")
	}
	content, size, err := f.Branch.OpenCopy(r.Context(), tier, name)
	if errors.Is(err, persistence.ErrNoCopy) {
		return chassis.NotFound("there is no such file, or it has left the store").WithCode("no_such_file")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	if offset > size {
		return chassis.BadRequest("the file has %d bytes", size).WithCode("bad_offset")
	}
	n := min(size-offset, pieceBytes)
	h := w.Header()
	h.Set("Content-Type", mediaBytes)
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	h.Set(headerFileBytes, strconv.FormatInt(size, 10))
	h.Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return nil
	}
	_, err = io.Copy(w, io.NewSectionReader(content, offset, n))
	return err
}
