package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/marketprism/marketprism/cluster"
	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/connectors/all"
	"github.com/marketprism/marketprism/internal/app"
)

// ExitRestart asks an orchestrator to start the program again: it cannot go on.
const ExitRestart = 75

// stopWithin bounds a graceful stop.
const stopWithin = time.Minute

func newStart(s streams) *cobra.Command {
	var o settings
	c := &cobra.Command{
		Use:   "start [SERVICE...]",
		Short: "run services, all six without a name",
		Long: `start runs the named services in this process, in start order, and finds the
others by configuration. SIGTERM or SIGINT drains and exits 0; a second signal
ends the process at once. Exit code 75 means that the program could not go on and
is to be started again.`,
		RunE: func(c *cobra.Command, services []string) error {
			loaded, err := o.load(s)
			if err != nil {
				return err
			}
			again := func() (*config.Loaded, error) { return o.load(streams{err: io.Discard, environ: s.environ}) }
			return run(c.Context(), s, &loaded.Config, services, newReloader(again, loaded), func(ctx context.Context, _ *app.App) error {
				<-ctx.Done()
				return nil
			})
		},
	}
	o.flags(c)
	return c
}

// run starts the services, calls during, and stops them in order. It returns
// early when the program cannot go on. Changes of the configuration are taken up by
// r while during runs; nil takes up none.
func run(ctx context.Context, s streams, cfg *config.Config, services []string, r *reloader, during func(context.Context, *app.App) error) error {
	if r != nil {
		defer r.close()
	}
	log, level, err := app.NewLogger(cfg.Log, s.err, Version(), nodeName(cfg))
	if err != nil {
		return err
	}
	a, err := app.New(app.Options{Config: cfg, Services: services, Exchanges: all.Exchanges(), Version: Version(), Log: log})
	if err != nil {
		return usage("%w", err)
	}
	if err := a.Start(ctx); err != nil {
		if errors.Is(err, cluster.ErrDouble) {
			return &exitError{ExitRestart, err}
		}
		return err
	}
	ended := make(chan error, 1)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var reloading sync.WaitGroup
	if r != nil {
		r.log, r.level, r.reconfigure = log, level, a.Reconfigure
		a.ShowSettings(r.settings.list)
		reloading.Go(func() { r.run(inner) })
	}
	go func() { ended <- during(inner, a) }()
	var failure error
	select {
	case failure = <-ended:
	case cause := <-a.Failed():
		log.Error("cannot go on", zap.Error(cause))
		failure = &exitError{ExitRestart, fmt.Errorf("cannot go on: %w", cause)}
		cancel()
		failure = errors.Join(failure, <-ended)
	}
	cancel()
	reloading.Wait()
	stop, release := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer release()
	return errors.Join(failure, a.Stop(stop))
}

func nodeName(cfg *config.Config) string {
	if cfg.Node.ID != "" {
		return cfg.Node.ID
	}
	name, err := os.Hostname()
	if err != nil {
		return "node"
	}
	return name
}
