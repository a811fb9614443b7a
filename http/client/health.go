package client

import (
	"context"
	"net/http"
	"time"
)

// HealthReport is what a service says of its own health.
type HealthReport struct {
	Service   string    `json:"service"`
	Status    string    `json:"status"` // healthy, degraded, unhealthy
	Timestamp time.Time `json:"timestamp"`
	// Uptime is in seconds. This and what follows is told to those who show who they
	// are, where that is demanded.
	Uptime  float64                `json:"uptime_seconds"`
	Version string                 `json:"version"`
	Checks  map[string]HealthCheck `json:"checks"`
}

// HealthCheck is one thing that a service looks at.
type HealthCheck struct {
	Status string `json:"status"` // pass, warn, fail
	Error  string `json:"error"`
}

// Health asks a service for its health. One that is unhealthy is no error.
func (c *Client) Health(ctx context.Context, service string) (h HealthReport, err error) {
	path := "/health" // tells everybody, and how it is whoever asks
	if _, direct := c.services[service]; !direct {
		path = "/api/v1/health"
	}
	r := get(service, path, nil)
	r.wanted = []int{http.StatusServiceUnavailable}
	return h, c.call(ctx, r, &h)
}

// Ready is nil when a service, which is asked directly, takes requests.
func (c *Client) Ready(ctx context.Context, service string) error {
	return c.call(ctx, get(service, "/readyz", nil), nil)
}
