package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
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
		if err := takesRequests(ctx, name, url); err != nil {
			row.Status, row.Detail, well = "not ready", err.Error(), false
		}
		rows = append(rows, row)
	}
	return rows, well && len(rows) > 0
}

// takesRequests is nil when a service says that it is ready.
func takesRequests(ctx context.Context, name, url string) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	c, err := clientAt(ctx, name, url)
	if err != nil {
		return err
	}
	return c.Ready(ctx, name)
}

// askWithin bounds the wait for a word of a service.
const askWithin = 3 * time.Second

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
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	c, err := clientAt(ctx, r.Service, r.URL)
	if err != nil {
		return err
	}
	health, err := c.Health(ctx, r.Service)
	if err != nil {
		return err
	}
	r.Status, r.Uptime = health.Status, health.Uptime
	var causes []string
	for name, check := range health.Checks {
		if check.Status != "pass" {
			causes = append(causes, strings.TrimSuffix(name+": "+check.Error, ": "))
		}
	}
	slices.Sort(causes)
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
