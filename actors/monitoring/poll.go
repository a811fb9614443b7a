package monitoring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxReport is what is read of one health report, in bytes.
const maxReport = 256 << 10

// report is what is read of a health report.
type report struct {
	Service string `json:"service"`
	Status  string `json:"status"`
	Version string `json:"version"`
	Checks  map[string]struct {
		Status string `json:"status"`
		Error  string `json:"error"`
	} `json:"checks"`
}

// poller asks instances.
type poller struct {
	options *Options
	timeout time.Duration
}

// round asks every instance of every service, all at once.
func (p *poller) round(ctx context.Context) map[string][]Check {
	var (
		all = make(map[string][]Check, len(p.options.Services))
		mu  sync.Mutex
		run sync.WaitGroup
	)
	for _, service := range p.options.Services {
		run.Go(func() {
			checks := p.service(ctx, service)
			mu.Lock()
			defer mu.Unlock()
			all[service] = checks
		})
	}
	run.Wait()
	return all
}

// service asks the instances of one service.
func (p *poller) service(ctx context.Context, service string) []Check {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	at := p.options.Now()
	urls, err := p.options.Instances(ctx, service)
	if err != nil {
		return []Check{{At: at, Took: p.options.Now().Sub(at), Status: Unreachable, Cause: "finding it: " + err.Error()}}
	}
	checks := make([]Check, len(urls))
	var run sync.WaitGroup
	for i, url := range urls {
		run.Go(func() { checks[i] = p.instance(ctx, service, url) })
	}
	run.Wait()
	return checks
}

// instance asks one.
func (p *poller) instance(ctx context.Context, service, url string) Check {
	c := Check{URL: url, At: p.options.Now().UTC(), Status: Unreachable}
	code, body, err := p.ask(ctx, url+"/health")
	c.Took = max(p.options.Now().Sub(c.At), time.Nanosecond)
	if err != nil {
		c.Cause = "no answer: " + err.Error()
		if errors.Is(err, context.DeadlineExceeded) {
			c.Cause = fmt.Sprintf("no answer within %v", p.timeout)
		}
		return c
	}
	c.Status = Unhealthy
	var r report
	switch err := json.Unmarshal(body, &r); {
	case err != nil:
		c.Cause = fmt.Sprintf("answered %d without a health report", code)
	case r.Service != service:
		c.Cause = fmt.Sprintf("another service answers there: %.60q", r.Service)
	default:
		c.Details, c.Version = body, r.Version
		c.Status, c.Degraded, c.Cause = p.read(r, code, service)
	}
	return c
}

// read judges a report. What the monitoring-service says of the others is no fault of
// its own.
func (p *poller) read(r report, code int, service string) (Status, bool, string) {
	failing, warning := []string{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(r.Checks)) {
		if service == p.options.Self && slices.Contains(p.options.Services, name) {
			continue
		}
		text := name
		if e := r.Checks[name].Error; e != "" {
			text += ": " + e
		}
		switch r.Checks[name].Status {
		case "pass":
		case "warn":
			warning = append(warning, text)
		default:
			failing = append(failing, text)
		}
	}
	switch {
	case len(failing) > 0:
		return Unhealthy, false, strings.Join(failing, "; ")
	case service == p.options.Self:
		return Healthy, len(warning) > 0, strings.Join(warning, "; ")
	case r.Status == "healthy" && code == http.StatusOK:
		return Healthy, false, ""
	case r.Status == "degraded" && code == http.StatusOK:
		if len(warning) == 0 {
			warning = append(warning, "it says that it is degraded")
		}
		return Healthy, true, strings.Join(warning, "; ")
	}
	return Unhealthy, false, fmt.Sprintf("answered %d: it says that it is %.40s", code, r.Status)
}

func (p *poller) ask(ctx context.Context, url string) (int, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("its address: %w", err)
	}
	r.Header.Set("User-Agent", "marketprism-monitoring")
	resp, err := p.options.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReport))
	return resp.StatusCode, body, err
}
