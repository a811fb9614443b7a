package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/internal/app"
)

// serviceStatus is a row of the status command.
type serviceStatus struct {
	Service string  `json:"service"`
	URL     string  `json:"url"`
	Status  string  `json:"status"`
	Uptime  float64 `json:"uptime_seconds"`
	PID     int     `json:"pid,omitempty"`
	Detail  string  `json:"detail,omitempty"`
}

func newStatus(s streams) *cobra.Command {
	var o settings
	var form string
	var ready bool
	c := &cobra.Command{
		Use:   "status",
		Short: "show how the six services are, from outside",
		Long: `status asks every service for its health. The exit code is 1 when one of them
is unreachable or unhealthy.

With --ready it asks only those that processes on node.data_dir run, and only whether
they take requests: the health check of a container.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if form != "table" && form != "json" {
				return usage("-o %q: want table or json", form)
			}
			loaded, err := o.load(s)
			if err != nil {
				return err
			}
			look := func() ([]serviceStatus, bool) {
				if ready {
					return askReady(c.Context(), loaded.Config.Node.DataDir)
				}
				return ask(c.Context(), app.Registry(&loaded.Config), loaded.Config.Node.DataDir)
			}
			rows, well := look()
			if err := printStatus(s.out, rows, form); err != nil {
				return err
			}
			if !well {
				return &exitError{ExitFailed, fmt.Errorf("not every service is well")}
			}
			return nil
		},
	}
	o.flags(c)
	c.Flags().StringVarP(&form, "output", "o", "table", "table or json")
	c.Flags().BoolVar(&ready, "ready", false, "ask only the services of this node whether they take requests")
	return c
}

// askReady asks the services that run on the data directory whether they take requests;
// none running is not well.
func askReady(ctx context.Context, dataDir string) (rows []serviceStatus, well bool) {
	well = true
	for _, name := range cluster.Services() {
		pid, url, ok := app.Running(dataDir, name)
		if !ok {
			continue
		}
		row := serviceStatus{Service: name, Status: "ready", PID: pid, URL: url}
		if err := takesRequests(ctx, url); err != nil {
			row.Status, row.Detail, well = "not ready", err.Error(), false
		}
		rows = append(rows, row)
	}
	return rows, well && len(rows) > 0
}

// takesRequests is nil when a service says that it is ready.
func takesRequests(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/readyz: %s", url, res.Status)
	}
	return nil
}

func ask(ctx context.Context, registry cluster.Registry, dataDir string) (rows []serviceStatus, well bool) {
	well = true
	for _, row := range places(ctx, registry, dataDir) {
		if err := row.fetch(ctx); err != nil {
			row.Detail = err.Error()
		}
		well = well && (row.Status == "healthy" || row.Status == "degraded")
		rows = append(rows, row)
	}
	return rows, well
}

// places are where services answer, in start order, each service at least once:
// where a process on the data directory says itself, else by the registry.
func places(ctx context.Context, registry cluster.Registry, dataDir string) (rows []serviceStatus) {
	for _, name := range cluster.Services() {
		if pid, url, ok := app.Running(dataDir, name); ok {
			rows = append(rows, serviceStatus{Service: name, Status: "unreachable", PID: pid, URL: url})
			continue
		}
		instances, err := registry.Instances(ctx, name)
		if err != nil || len(instances) == 0 {
			rows = append(rows, serviceStatus{Service: name, Status: "unreachable"})
		}
		for _, i := range instances {
			rows = append(rows, serviceStatus{Service: name, Status: "unreachable", URL: i.URL()})
		}
	}
	return rows
}

func (r *serviceStatus) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+"/health", nil)
	if err != nil {
		return err
	}
	res, err := do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var health struct {
		Status string  `json:"status"`
		Uptime float64 `json:"uptime_seconds"`
		Checks map[string]struct {
			Status string `json:"status"`
			Error  string `json:"error"`
		} `json:"checks"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&health); err != nil {
		return fmt.Errorf("reading %s/health: %w", r.URL, err)
	}
	r.Status, r.Uptime = health.Status, health.Uptime
	var causes []string
	for name, c := range health.Checks {
		if c.Status != "pass" {
			causes = append(causes, strings.TrimSuffix(name+": "+c.Error, ": "))
		}
	}
	r.Detail = strings.Join(causes, "; ")
	return nil
}

func printStatus(w io.Writer, rows []serviceStatus, form string) error {
	if form == "json" {
		return json.NewEncoder(w).Encode(rows)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SERVICE\tSTATUS\tUPTIME\tPID\tADDRESS\tDETAIL")
	for _, r := range rows {
		uptime, pid := "-", "-"
		if r.Uptime > 0 {
			uptime = time.Duration(r.Uptime * float64(time.Second)).Round(time.Second).String()
		}
		if r.PID > 0 {
			pid = fmt.Sprint(r.PID)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Service, r.Status, uptime, pid, r.URL, r.Detail)
	}
	return t.Flush()
}
