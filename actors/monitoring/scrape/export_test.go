package scrape

import "github.com/marketprism/marketprism/actors/monitoring/series"

// WritePage lets a sink write a page.
func WritePage(store *series.Store, labels map[string]string, body []byte, contentType string, limit int) (int, error) {
	n, _, err := newSink(store, labels).write(1_700_000_000_000, &page{body, contentType}, limit)
	return n, err
}
