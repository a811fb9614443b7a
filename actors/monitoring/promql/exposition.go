package promql

import (
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/textparse"
)

// Accept is the Accept header of a scrape: the text format, else OpenMetrics' text.
const Accept = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1"

// Metadata describes a metric.
type Metadata struct {
	Type string `json:"type" required:"true"` // counter, gauge, histogram, summary, unknown
	Help string `json:"help" required:"true"`
	Unit string `json:"unit" required:"true"`
}

// Exposition is the body of a scrape while it is read.
type Exposition struct {
	// Sample is called for each sample; key is the series as it is written and valid
	// during the call, labels reads its labels, t is its own time in Unix milliseconds
	// or nil. An error ends the reading.
	Sample func(key []byte, labels func() Labels, t *int64, v float64) error
	// About is called for what is said of a metric, once for each Type, Help and Unit.
	About func(metric string, change func(*Metadata))
}

// Read reads an exposition: text, or OpenMetrics' text, as the content type says; one
// without is text. Errors: what is wrong with it, or Sample's.
func (x Exposition) Read(body []byte, contentType string) error {
	p, err := textparse.New(body, contentType, nil, textparse.ParserOptions{FallbackContentType: "text/plain"})
	if p == nil {
		return fmt.Errorf("content type %q: %w", contentType, err)
	}
	read := func() Labels {
		var l Labels
		p.Labels(&l)
		return l
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the exposition: %w", err)
		}
		switch entry {
		case textparse.EntrySeries:
			key, t, v := p.Series()
			if err := x.Sample(key, read, t, v); err != nil {
				return err
			}
		case textparse.EntryType:
			name, kind := p.Type()
			x.About(string(name), func(m *Metadata) { m.Type = string(kind) })
		case textparse.EntryHelp:
			name, help := p.Help()
			text := string(help)
			x.About(string(name), func(m *Metadata) { m.Help = text })
		case textparse.EntryUnit:
			name, unit := p.Unit()
			text := string(unit)
			x.About(string(name), func(m *Metadata) { m.Unit = text })
		}
	}
}
