package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// accessOptions find the gateway.
type accessOptions struct {
	settings
	at, form string
}

const accessTimeout = 30 * time.Second

func (o *accessOptions) flags(c *cobra.Command) {
	o.settings.flags(c)
	c.Flags().StringVar(&o.at, "at", "", "address of the api-gateway-service; without it, it is found by configuration")
	c.Flags().StringVarP(&o.form, "output", "o", "table", "table or json")
}

// find is the base address of the gateway.
func (o *accessOptions) find(ctx context.Context, s streams) (string, error) {
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
	return gatewayOf(ctx, &loaded.Config)
}

// call asks the gateway, and reads the JSON that is answered.
func (o *accessOptions) call(ctx context.Context, s streams, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, accessTimeout)
	defer cancel()
	base, err := o.find(ctx, s)
	if err != nil {
		return err
	}
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, base+authPath+path, content)
	if err != nil {
		return usage("--at: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := do(r)
	var said *exitError
	switch {
	case errors.As(err, &said): // by the gateway
		return err
	case err != nil:
		return fmt.Errorf("asking the gateway (does it run?): %w", err)
	}
	defer res.Body.Close() // it is read as far as it counts
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		return fmt.Errorf("%w; give an administrator's API key in %s or %s", refused(base, res), keyVariable, keyFileVariable)
	default:
		return refused(base, res)
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", base, err)
	}
	return nil
}
