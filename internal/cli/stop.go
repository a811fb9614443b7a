package cli

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/internal/app"
)

func newStop(s streams) *cobra.Command {
	var o settings
	var wait time.Duration
	c := &cobra.Command{
		Use:   "stop [SERVICE...]",
		Short: "stop services that were started on the data directory, and wait",
		Long: `stop sends SIGTERM to the processes that run the named services (all six without
a name), and waits until they have drained and ended. A process that also runs
services that were not named is left alone, with an error.`,
		RunE: func(c *cobra.Command, names []string) error {
			services, err := cluster.Named(names)
			if err != nil {
				return usage("%w", err)
			}
			loaded, err := o.load(s)
			if err != nil {
				return err
			}
			return stopServices(c.Context(), s, loaded.Config.Node.DataDir, services, wait)
		},
	}
	o.flags(c)
	c.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for them to end")
	return c
}

func stopServices(ctx context.Context, s streams, dataDir string, services []string, wait time.Duration) error {
	processes := map[int][]string{}
	for _, name := range cluster.Services() {
		if pid, _, ok := app.Running(dataDir, name); ok {
			processes[pid] = append(processes[pid], name)
		}
	}
	var pids []int
	for pid, runs := range processes {
		named := slices.ContainsFunc(runs, func(r string) bool { return slices.Contains(services, r) })
		if !named {
			continue
		}
		for _, r := range runs {
			if !slices.Contains(services, r) {
				return fmt.Errorf("process %d also runs %s: name it too, or start services in processes of their own", pid, r)
			}
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		fmt.Fprintf(s.out, "nothing runs on %s\n", dataDir)
		return nil
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			return fmt.Errorf("stopping process %d: %w", pid, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for _, pid := range pids {
		if err := ended(ctx, pid); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "process %d ended\n", pid)
	}
	return nil
}

// ended waits for a process that is not our child, which leaves only asking.
func ended(ctx context.Context, pid int) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for syscall.Kill(pid, 0) == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %d still drains; `kill -9 %d` loses nothing that was acknowledged", pid, pid)
		}
	}
	return nil
}
