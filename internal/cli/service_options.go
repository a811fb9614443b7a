package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/marketprism/marketprism/config"
	"github.com/marketprism/marketprism/http/client"
	"github.com/marketprism/marketprism/internal/app"
)

// serviceOptions are those of commands that ask one service of the running program and
// print a table or JSON.
type serviceOptions struct {
	settings
	service  string
	at, form string
}

func (o *serviceOptions) flags(c *cobra.Command) {
	o.settings.flags(c)
	c.Flags().StringVar(&o.at, "at", "", "address of the "+o.service+"; without it, it is found by configuration")
	c.Flags().StringVarP(&o.form, "output", "o", "table", "table or json")
}

// find is the base address of the service.
func (o *serviceOptions) find(ctx context.Context, s streams) (string, error) {
	if o.form != "table" && o.form != "json" {
		return "", usage("-o %q: want table or json", o.form)
	}
	if o.at != "" {
		return strings.TrimSuffix(o.at, "/"), nil
	}
	loaded, err := o.load(s)
	if err != nil {
		return "", err
	}
	return placeOf(ctx, &loaded.Config, o.service)
}

// client asks the service.
func (o *serviceOptions) client(ctx context.Context, s streams) (*client.Client, error) {
	base, err := o.find(ctx, s)
	if err != nil {
		return nil, err
	}
	return clientAt(ctx, o.service, base)
}

// placeOf is the base address of a service, by what runs here and by configuration.
func placeOf(ctx context.Context, cfg *config.Config, service string) (string, error) {
	for _, p := range places(ctx, app.Registry(cfg), cfg.Node.DataDir) {
		if p.Service == service && p.URL != "" {
			return p.URL, nil
		}
	}
	return "", fmt.Errorf("the %s is nowhere to be found: start it, or name its address with --at", service)
}
