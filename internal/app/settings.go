package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/marketprism/marketprism/http/chassis"
	facade "github.com/marketprism/marketprism/http/monitoring"
)

// ShowSettings makes the settings in force those that list lists. Before it is called
// none are shown.
func (a *App) ShowSettings(list func() facade.InForce) { a.settings.Store(&list) }

// settingsInForce are the settings for the façade.
func (a *App) settingsInForce() facade.InForce {
	list := a.settings.Load()
	if list == nil {
		return facade.InForce{}
	}
	return (*list)()
}

// maxFetched bounds an answer of another service, in bytes.
const maxFetched = 64 << 20

// fetch gets what a service answers to GET path.
func (a *App) fetch(ctx context.Context, service, path string) (json.RawMessage, error) {
	urls, err := a.resolve(ctx, service)
	if err != nil {
		return nil, err
	}
	err = fmt.Errorf("%s runs nowhere", service)
	for _, url := range urls {
		var text json.RawMessage
		if text, err = a.fetchFrom(ctx, url+path); err == nil {
			return text, nil
		}
	}
	return nil, err
}

func (a *App) fetchFrom(ctx context.Context, url string) (json.RawMessage, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", url, err)
	}
	r.Header.Set(chassis.HeaderPoll, "1") // live pages look again and again
	resp, err := a.monitoring.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxFetched))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", url, resp.StatusCode)
	}
	return text, nil
}
