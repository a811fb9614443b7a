package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/marketprism/marketprism/cluster"
)

// accessOptions are those of commands that ask the gateway.
type accessOptions struct{ serviceOptions }

func newAccessOptions() *accessOptions {
	return &accessOptions{serviceOptions{service: cluster.Gateway}}
}

const accessTimeout = 30 * time.Second

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
