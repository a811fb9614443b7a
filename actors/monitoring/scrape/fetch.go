package scrape

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/marketprism/marketprism/actors/monitoring/promql"
)

// What a scrape may meet beside an error of the network.
var (
	// ErrBodyLimit: the answer is longer than is read.
	ErrBodyLimit = errors.New("the answer is longer than body_limit")
	// ErrSampleLimit: the answer has more samples than are taken.
	ErrSampleLimit = errors.New("the answer has more samples than sample_limit")
)

// outcome is what became of a scrape.
type outcome struct {
	at      time.Time
	took    time.Duration
	samples int
	about   map[string]promql.Metadata // nil: not said
	err     error
}

// scrape asks the target once and writes what it says.
func (s *scraper) scrape(ctx context.Context) outcome {
	o := outcome{at: s.h.options.Now()}
	bounded, cancel := context.WithTimeout(ctx, s.h.options.Config.Timeout)
	defer cancel()
	begin := time.Now()
	var page *page
	page, o.err = s.fetch(bounded)
	if ctx.Err() != nil { // the scraper ends: that says nothing of the target
		return o
	}
	at := o.at.UnixMilli()
	if o.err == nil && !s.task.probe {
		o.samples, o.about, o.err = s.sink.write(at, page, s.h.options.Config.SampleLimit)
	}
	o.took = time.Since(begin)
	s.sink.report(at, o)
	return o
}

// page is an answer.
type page struct {
	body        []byte
	contentType string
}

func (s *scraper) fetch(ctx context.Context) (*page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.task.address(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", promql.Accept)
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("User-Agent", "marketprism-monitoring")
	req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(s.h.options.Config.Timeout.Seconds(), 'f', -1, 64))
	res, err := s.h.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("server returned HTTP status %s", res.Status)
	}
	body, err := read(res, s.h.options.Config.BodyLimit)
	if err != nil {
		return nil, err
	}
	return &page{body, res.Header.Get("Content-Type")}, nil
}

// read reads an answer, unpacked, up to limit bytes.
func read(res *http.Response, limit int64) ([]byte, error) {
	var from io.Reader = res.Body
	switch coding := res.Header.Get("Content-Encoding"); coding {
	case "", "identity":
	case "gzip":
		zip, err := gzip.NewReader(from)
		if err != nil {
			return nil, fmt.Errorf("unpacking the answer: %w", err)
		}
		from = zip
	default:
		return nil, fmt.Errorf("the answer is packed with %q, which was not asked for", coding)
	}
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(from, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	case n > limit:
		return nil, ErrBodyLimit
	}
	return buf.Bytes(), nil
}
